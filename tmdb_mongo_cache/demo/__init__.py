"""The demo: an old script run twice, the second time without a call to TMDB."""
