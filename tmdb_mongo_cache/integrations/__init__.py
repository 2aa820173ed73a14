"""The HTTP libraries that are cached, each in a folder or module of its name."""
