"""The plain programs that limner is measured against, and the code that runs them in turns."""
