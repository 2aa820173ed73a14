"""HTTP caching as RFC 9110, 9111, 9211 and 5861 have it; nothing here knows TMDB."""
