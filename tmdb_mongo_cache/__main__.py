"""``python -m tmdb_mongo_cache``: the same as ``tmdb-mongo-cache``."""

from .cli.main import main

if __name__ == "__main__":
    main()
