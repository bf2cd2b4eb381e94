"""`limner search`: find the best values of some keys by trials, with Optuna."""
