"""What the cache does at TMDB by itself, when somebody asks for it: filling it, and following the feed of changes."""
