"""The latency of a hit against the number of documents in the collection."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import cycle
from typing import Any

from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import enabled
from tmdb_mongo_cache.store.document import to_bson
from tmdb_mongo_cache.tmdb.entry import Entry

from .bench import DATABASE, HEADERS, KEY, Bench, body_of
from .measuring import Contender, Times, by_turns

SIZE = 2_000
ASKED = 500
"""Different films asked for, the same number in each collection, spread over all of it."""


def fill(bench: Bench, collection: Any, numbers: range) -> None:
    """Put the entries of films into a collection, as the cache would."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    body = body_of(SIZE)
    later = now + timedelta(days=1)
    batch: list[RawBSONDocument] = []
    for number in numbers:
        key = f"GET api.themoviedb.org/3/movie/{number}?language=en-US"
        entry = Entry(key, 200, "OK", HEADERS, body, now, later, later, number, "movie", "/3/movie/{movie_id}")
        raw, _ = to_bson(entry, None)
        assert raw is not None
        batch.append(raw)
        if len(batch) == 5_000:
            collection.insert_many(batch, ordered=False)
            batch.clear()
    if batch:
        collection.insert_many(batch, ordered=False)


def documents(bench: Bench, counts: list[int], *, rounds: int, block: int) -> dict[int, Times]:
    """Measure a hit from MongoDB in collections of different sizes, by turns; return the times by size."""
    session = bench.session()
    found = []
    for count in counts:
        name = f"tmdb_cache_{count}"
        fill(bench, bench.client[DATABASE][name], range(count))
        cache = bench.cache(memory_ttl=0, collection=name)
        films = cycle(random.Random(2).sample(range(count), min(ASKED, count)))

        def call(films: Iterator[int] = films) -> object:
            response = session.get(f"{bench.tmdb.url}/3/movie/{next(films)}", params=KEY)
            assert response.from_cache  # type: ignore[attr-defined]
            return response.content

        found.append(Contender(str(count), call, lambda cache=cache: enabled(cache)))
    before = bench.tmdb.count
    with_all = by_turns(found, rounds=rounds, block=block)
    assert bench.tmdb.count == before
    return {int(name): times for name, times in with_all.items()}
