"""Training: build the objects of a config, fit the model, and score it."""
