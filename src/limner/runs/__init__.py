"""The files of a run folder: checkpoints, status, records, lock."""
