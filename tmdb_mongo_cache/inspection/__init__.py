"""What is in a cache, what the cache does with a call, and what it has saved."""
