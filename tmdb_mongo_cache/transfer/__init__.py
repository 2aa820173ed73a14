"""Export and import of a cache as a file."""
