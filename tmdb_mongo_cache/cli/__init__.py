"""The command line ``tmdb-mongo-cache``, a module a command."""
