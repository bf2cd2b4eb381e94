"""Going on with a run: which one a command means, whether it may, and with what config."""
