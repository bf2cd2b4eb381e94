"""Callbacks of training: pictures, scores, logs, safety checks, checkpoints."""
