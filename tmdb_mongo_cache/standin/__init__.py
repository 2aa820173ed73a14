"""A stand-in for TMDB's API: the demo and the tests run against it, and so may yours.

It speaks the shapes, headers, ETags and errors of TMDB's v3 API with made-up films, has a feed of changes and
daily id exports, counts its calls and can be told to fail. `python -m tmdb_mongo_cache.standin` runs it as a process.
"""

from .standin import Call, StandIn

__all__ = ["Call", "StandIn"]
