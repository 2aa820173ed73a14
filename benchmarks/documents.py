"""The latency of a hit against the number of documents in the collection."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import count, cycle
from typing import Any

from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import enabled
from tmdb_mongo_cache.httpcache.models import Entry
from tmdb_mongo_cache.mongo.document import to_bson

from .bench import DATABASE, HEADERS, KEY, Bench, body_of
from .measuring import Contender, Times, by_turns

SIZE = 2_000
AGAIN = 500
"""Films requested again and again: the server has them in its cache, however many others there are."""

Documents = dict[int, dict[str, Times]]
ANY, SAME = "films of the whole collection", f"the same {AGAIN} films"
BARE = "bare find_one of films of the whole collection"


def key_of(bench: Bench, number: int) -> str:
    """Return the key of a film requested with KEY."""
    return f"GET {bench.tmdb.host}/3/movie/{number}?language=en-US"


def fill(bench: Bench, collection: Any, numbers: range) -> None:
    """Put the entries of films into a collection, as the cache would."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    body = body_of(SIZE)
    later = now + timedelta(days=1)
    batch: list[RawBSONDocument] = []
    for number in numbers:
        key = key_of(bench, number)
        entry = Entry(key, 200, "OK", HEADERS, body, now, later, later, number, "movie", "/3/movie/{movie_id}")
        raw, _ = to_bson(entry, None)
        assert raw is not None
        batch.append(raw)
        if len(batch) == 5_000:
            collection.insert_many(batch, ordered=False)
            batch.clear()
    if batch:
        collection.insert_many(batch, ordered=False)


def documents(bench: Bench, counts: list[int], *, rounds: int, block: int) -> Documents:
    """Measure a hit from MongoDB in collections of different sizes, by turns; return the times by size.

    Every call has another ``api_key``, which is no part of the cache's key: so
    none is known to the process from before, however few films there are.
    """
    session, users = bench.session(), count(1)
    found = []
    for size in counts:
        name = f"tmdb_cache_{size}"
        fill(bench, bench.client[DATABASE][name], range(size))
        cache = bench.cache(memory_ttl=0, collection=name)
        chosen = random.Random(2).sample(range(size), min(size, 50_000))
        for which, films in ((ANY, cycle(chosen)), (SAME, cycle(chosen[:AGAIN]))):

            def call(films: Iterator[int] = films) -> object:
                params = {**KEY, "api_key": f"{next(users):032x}"}
                response = session.get(f"{bench.tmdb.url}/3/movie/{next(films)}", params=params)
                assert response.from_cache  # type: ignore[attr-defined]
                return response.content

            found.append(Contender(f"{size} {which}", call, partial(enabled, cache)))

        def find(films: Iterator[int] = cycle(chosen), collection: Any = bench.client[DATABASE][name]) -> object:  # noqa: B008
            document = collection.find_one({"_id": key_of(bench, next(films))}, {"data": 0})
            assert document is not None
            return document

        found.append(Contender(f"{size} {BARE}", find))
    before = bench.tmdb.count
    times = by_turns(found, rounds=rounds, block=block)
    assert bench.tmdb.count == before
    return {size: {which: times[f"{size} {which}"] for which in (ANY, SAME, BARE)} for size in counts}
