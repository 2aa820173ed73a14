"""What Kometa asks of TMDB for a library, by tmdbapis and a session of its own, in a module that stands for its own."""

import requests
from tmdbapis import Movie, NotFound, TMDbAPIs

client = TMDbAPIs("fedcba9876543210fedcba9876543210", language="en", session=requests.Session())
print(len(client._iso_3166_1))

# The metadata of what is in the library.
for number in (550, 603, 680):
    film = client.movie(number, partial="external_ids,keywords")
    language = film.original_language.english_name if film.original_language else None
    print(film.title, film.tagline, film.imdb_id, film.poster_url, film.vote_average, language)
    print([genre.name for genre in film.genres], [word.name for word in film.keywords], film.release_date)
    print(film.companies[0].name if film.companies else None, film.collection.name if film.collection else None)
for number in (1396, 1399):
    show = client.tv_show(number, partial="external_ids,keywords")
    print(show.title, show.tvdb_id, show.imdb_id, show.first_air_date, show.last_air_date, show.status, show.type)
    print(show.networks, [country.name for country in show.origin_countries])
    for season in show.seasons[:2]:
        found = client.tv_season(number, season.season_number)
        print(found.name, found.poster_url, found.overview)
    found = client.tv_episode(number, 1, 1)
    print(found.name, found.still_url, found.vote_average)

# From other databases' ids to TMDB's.
print(client.find_by_id(tvdb_id=81189).tv_results[:1], client.find_by_id(imdb_id="tt0137523").movie_results[:1])

# What collections are built of.
person = client.person(287, partial="movie_credits,tv_credits")
print([credit.movie.id for credit in person.movie_cast], [credit.tv_show.id for credit in person.tv_cast])
print([credit.movie.id for credit in person.movie_crew if credit.department == "Directing"], person.biography)
collection = client.collection(10)
print(collection.name, [part.id for part in collection.movies], collection.poster_url, collection.overview)
for chart in (
    client.popular_movies(region="US"),
    client.top_rated_movies(),
    client.now_playing_movies(),
    client.upcoming_movies(),
    client.popular_tv(),
    client.tv_airing_today(),
    client.tv_on_the_air(),
    client.trending("movie", "day"),
    client.trending("tv", "week"),
    client.discover_movies(**{"vote_count.gte": 100, "sort_by": "popularity.desc"}),
):
    print([found.id for found in chart.get_results(30)])
for group in (client.company(1), client.network(1), client.keyword(1)):
    titles = group.tv_shows if hasattr(group, "tv_shows") else group.movies
    print(group.name, [found.id for found in titles.get_results(25)])
print([found.name for found in client.people_search("storm")], isinstance(film, Movie))
try:
    client.tv_show(999000001, partial="external_ids,keywords")
except NotFound:
    print("no such show")
