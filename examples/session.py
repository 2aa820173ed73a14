"""A session with per-request arguments, and the counts of its cache."""

import os

from tmdb_mongo_cache import TMDBSession

with TMDBSession(expire_after=7 * 24 * 3600) as session:
    session.params = {"api_key": os.environ.get("TMDB_API_KEY", "put-your-key-here")}
    details = session.get("https://api.themoviedb.org/3/movie/550")
    trending = session.get("https://api.themoviedb.org/3/trending/movie/day", expire_after=15 * 60)
    again = session.get("https://api.themoviedb.org/3/movie/550", refresh=True)
    print(details.json()["title"], details.from_cache, again.from_cache)
    print(len(trending.json()["results"]), "trending")
    print(session.cache.stats())
