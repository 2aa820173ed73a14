"""What is known of TMDB: hosts, keys, privacy, endpoints, freshness.

Everything in here is pure: values in, values out, the time passed in. Nothing
reads a clock, a socket, a database or the environment, so that a second kind
of I/O needs no second copy of a rule.
"""
