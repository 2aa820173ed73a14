"""MongoDB: the client, the documents, and every operation on them."""
