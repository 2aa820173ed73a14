"""An ordinary program with themoviedb (its synchronous side); prints what it got."""

from themoviedb import TMDb

client = TMDb(api_key="fedcba9876543210fedcba9876543210", language="en-US", region="US")

print(client.movie(550).details().title)
print(len(client.movie(550).credits().cast))
print(client.movies().popular().results[0].title)
print(client.tv(1399).details().name)
print(client.search().movies("storm").results[0].title)
print(client.person(287).details().name)
print([genre.name for genre in client.genres().movie().genres])
