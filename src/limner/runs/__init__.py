"""What lies in a run folder: checkpoints, status, records, lock."""
