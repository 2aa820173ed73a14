"""An ordinary program with tmdbsimple; prints what it got."""

import tmdbsimple

tmdbsimple.API_KEY = "0123456789abcdef0123456789abcdef"

movie = tmdbsimple.Movies(550)
print(movie.info(language="en-US")["title"])
print(len(movie.credits(language="en-US")["cast"]))
print(tmdbsimple.Search().movie(query="storm", language="en-US")["total_results"])
print([genre["name"] for genre in tmdbsimple.Genres().movie_list(language="en-US")["genres"]])
print(tmdbsimple.TV(1399).info(append_to_response="credits,images")["name"])
print(tmdbsimple.TV_Seasons(1399, 1).info()["name"])
print(tmdbsimple.Discover().movie(page=2, sort_by="popularity.desc")["page"])
print(tmdbsimple.Configuration().info()["images"]["base_url"])
