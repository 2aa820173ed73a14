"""``MongoBackend``: requests-cache on the shared collection."""
