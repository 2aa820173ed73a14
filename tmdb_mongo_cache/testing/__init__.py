"""For users' tests: the pytest plugin, recordings, scratch databases, offline sessions."""
