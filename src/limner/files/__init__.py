"""Safe reading and writing of files, and safe text for output."""
