"""The algorithm of the cache: what is served, fetched, stored and refreshed, without any I/O."""
