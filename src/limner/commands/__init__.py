"""One module or folder for each `limner` command."""
