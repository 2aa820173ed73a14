"""Print a small film library, with the first names of each cast."""

import os

import requests

API = "https://api.themoviedb.org/3"
KEY = os.environ.get("TMDB_API_KEY", "put-your-key-here")
FILMS = [550, 603, 680, 13, 155, 238, 424, 497, 27205, 157336]


def get(path):
    response = requests.get(API + path, params={"api_key": KEY, "language": "en-US"}, timeout=10)
    response.raise_for_status()
    return response.json()


print("My films:", flush=True)
for film in FILMS:
    movie = get(f"/movie/{film}")
    people = get(f"/movie/{film}/credits")
    cast = ", ".join(person["name"] for person in people["cast"][:3])
    print(f"  {movie['title']} ({movie['release_date'][:4]}), with {cast}", flush=True)
