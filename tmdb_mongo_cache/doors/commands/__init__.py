"""The commands of ``tmdb-mongo-cache``, each in a module that is imported when it is called for."""
