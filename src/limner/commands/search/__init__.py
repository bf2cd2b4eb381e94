"""`limner search`: the best values of some keys, found by trying."""
