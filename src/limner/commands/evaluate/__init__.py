"""Scores of a finished run, or of any pictures, without training a model."""
