"""From a run, an export or a hub name to a model that samples."""
