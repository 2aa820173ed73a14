"""One line at the top; everything below is unchanged."""

import os

import requests

import tmdb_mongo_cache

tmdb_mongo_cache.install()

KEY = os.environ.get("TMDB_API_KEY", "put-your-key-here")
response = requests.get("https://api.themoviedb.org/3/movie/550", params={"api_key": KEY}, timeout=10)
print(response.json()["title"])
print(response.headers["Cache-Status"])
