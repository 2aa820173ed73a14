"""``doctor``: a check of everything that a cache depends on."""
