"""TMDB's own hosts; a module of its own, so that calls to other hosts import no more."""

from __future__ import annotations

HOST = "api.themoviedb.org"
"""The host in the keys of all entries."""

BASE_URL = f"https://{HOST}"
"""The base URL of TMDB."""

OWN_HOSTS = frozenset({HOST, "api.tmdb.org"})
