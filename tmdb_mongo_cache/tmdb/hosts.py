"""TMDB's own hosts; apart from what is done with URLs, so that a program's other calls are told by them alone."""

from __future__ import annotations

HOST = "api.themoviedb.org"
"""The host under whose name every answer is kept."""

BASE_URL = f"https://{HOST}"
"""Where TMDB is."""

OWN_HOSTS = frozenset({HOST, "api.tmdb.org"})
