"""For users of requests-cache: the same documents behind its own session."""

import os

import requests_cache

from tmdb_mongo_cache import MongoBackend

KEY = os.environ.get("TMDB_API_KEY", "put-your-key-here")
with requests_cache.CachedSession(backend=MongoBackend(), expire_after=3600, stale_if_error=True) as session:
    response = session.get("https://api.themoviedb.org/3/movie/550", params={"api_key": KEY})
    print(response.json()["title"], response.from_cache)
