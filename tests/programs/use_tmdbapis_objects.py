"""tmdbapis' objects with all they know, loaded at once, in part, or when something of them is asked for."""

from tmdbapis import NotFound, TMDbAPIs

client = TMDbAPIs("fedcba9876543210fedcba9876543210", language="en-US")


def show(what, found, names=None):
    """Print what an object has; to ask for it may load it."""
    names = names or sorted(name for name in vars(found) if not name.startswith("_"))
    print(what, [f"{name}={getattr(found, name)!s:.60}" for name in names])


for number in (550, 603):
    show("film", client.movie(number))
    show("show", client.tv_show(number))
show("season", client.tv_season(1399, 1))
show("episode", client.tv_episode(1399, 1, 2))
show("person", client.person(287))
show("collection", client.collection(10))
show("company", client.company(1))
show("network", client.network(1))
show("keyword", client.keyword(1))

lazy = client.movie(680, load=False)
show("film, later", lazy, ["title", "favorite", "rated", "watchlist", "cast", "videos"])
part = client.tv_show(1396, partial="external_ids,keywords")
show("show, in part", part, ["name", "tvdb_id", "keywords", "favorite", "seasons", "content_ratings"])
for season in part.seasons[:1]:
    show("its season", season, ["name", "episodes", "cast"])
    for episode in season.episodes[:1]:
        show("its episode", episode, ["name", "rated", "guest_stars"])
film = client.movie(550)
for found in (film.recommendations, film.similar, film.reviews, film.lists):
    print([str(item) for item in found.get_results(3)])
print(film.cast[0].name, client.person(film.cast[0].person_id).birthday)

for found in (
    client.movie_search("storm"),
    client.tv_search("storm"),
    client.people_search("storm"),
    client.collection_search("storm"),
    client.company_search("storm"),
    client.keyword_search("storm"),
    client.multi_search("storm"),
    client.discover_movies(with_genres="18"),
    client.discover_tv_shows(with_genres="18"),
    client.trending("movie", "week"),
    client.top_rated_tv(),
    client.popular_people(),
):
    print(len(found), [item.name for item in found.get_results(25)])
show("found", client.movie_search("storm").get_results(1)[0], ["title", "runtime", "favorite"])
print(client.find_by_id(imdb_id="tt0137523").movie_results)
try:
    client.movie(999000001)
except NotFound:
    print("no such film")
