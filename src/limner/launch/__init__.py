"""Processes: what started them, what they may use, and how they end."""
