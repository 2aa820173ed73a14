"""An ordinary program with tmdbapis; prints what it got."""

from tmdbapis import TMDbAPIs

client = TMDbAPIs("fedcba9876543210fedcba9876543210", language="en-US")

print(client.configuration().base_image_url)
print(client.person(287).name)
print(client.collection(10).name)
print(client.company(1).name)
print([found.name for found in client.movie_search("storm").get_results(5)])
print([found.name for found in client.popular_movies().get_results(5)])
film = client.movie(550)
print(film.name, film.favorite, film.rated, film.watchlist, len(film.cast))
print(client.tv_show(1399).name, client.tv_season(1399, 1).name, client.tv_episode(1399, 1, 1).rated)
