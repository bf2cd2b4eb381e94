"""Trained models: load a run, an export or a repository of the hub as a model that samples."""
