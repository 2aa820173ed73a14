"""How caching is switched on: ``install()``, ``enabled()``, ``@cached_tmdb``, ``TMDBSession`` and ``run``."""
