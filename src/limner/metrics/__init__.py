"""Feature networks, and scores on their features."""
