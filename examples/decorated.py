"""Only the calls of one function are cached, for an hour, including those in threads that it starts."""

import os
from concurrent.futures import ThreadPoolExecutor

import requests

from tmdb_mongo_cache import cached_tmdb

KEY = os.environ.get("TMDB_API_KEY", "put-your-key-here")


def title(film):
    response = requests.get(f"https://api.themoviedb.org/3/movie/{film}", params={"api_key": KEY}, timeout=10)
    return response.json()["title"]


@cached_tmdb(expire_after=3600)
def titles(films):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(title, films))


print("\n".join(titles([550, 603, 680, 13])))
