"""Reading and writing small files safely."""
