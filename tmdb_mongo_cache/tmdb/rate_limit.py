"""TMDB's rate limits, and how much of them maintenance uses."""

from __future__ import annotations

MAX_CONNECTIONS = 20
"""Connections that TMDB allows from one address."""

DEFAULT_RATE = 20.0
"""Requests a second: half of what TMDB allows (40 to 50), so that programs can run beside it."""
