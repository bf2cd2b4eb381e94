"""Comparison of finished runs: a table of their scores, or a page for blind choices."""
