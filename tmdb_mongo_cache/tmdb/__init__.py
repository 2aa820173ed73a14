"""What is known of TMDB (hosts, keys, privacy, endpoints, freshness), as pure functions: no I/O, the time passed in."""
