"""Feature networks, and scores computed from their features."""
