"""Scores of pictures from anywhere, or of a finished run, without training a model."""
