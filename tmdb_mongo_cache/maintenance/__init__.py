"""Work on a whole cache: warming it, following TMDB's change feed, deleting entries."""
