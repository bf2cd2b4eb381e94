"""Finished runs side by side: a table of their scores, or a page for a person's blind choice."""
