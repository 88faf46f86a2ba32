"""The run directory: write, read, compare."""
