"""An ordinary program with tmdbv3api; prints what it got."""

from tmdbv3api import TV, Discover, Genre, Movie, Person, Search, Season, TMDb

settings = TMDb()
settings.api_key = "0123456789abcdef0123456789abcdef"
settings.language = "en-US"

print(Movie().details(550, append_to_response="").title)
print(Movie().details(550).title)
print([person.name for person in Movie().credits(550).cast][:3])
print(len(Movie().popular()))
print(TV().details(1399).name)
print(Season().details(1399, 1).name)
print(Person().details(287).name)
print([genre.name for genre in Genre().movie_list()])
print([movie.title for movie in Discover().discover_movies({"sort_by": "popularity.desc"})])
print([movie.title for movie in Search().movies("storm")])
