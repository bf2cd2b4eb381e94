"""Resuming a run: which run a command means, whether it may be resumed, and with which config."""
