"""What happens around training: pictures, scores, logs, guards, checkpoints."""
