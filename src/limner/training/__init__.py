"""From a config to objects, to a fitted model, to scores."""
