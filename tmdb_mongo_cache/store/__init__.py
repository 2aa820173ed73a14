"""Where answers live: documents, MongoDB, the embedded server.

``pymongo`` and ``bson`` are imported here and nowhere else, and what they raise
leaves as an error of :mod:`tmdb_mongo_cache.errors`.
"""
