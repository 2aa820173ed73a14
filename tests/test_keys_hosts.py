"""Where a call goes is in its key: who answers for TMDB, and by which channel."""

from __future__ import annotations

from typing import Any

import requests

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.cache_key import keys_of_url

from .flowkit import ANY_KEY, API_KEY, MOVIE, get


class TestApart:
    def test_stand_in(self, cache: TMDBCache, tmdb: StandIn, collection: Any) -> None:
        """What a host of one's own says is not TMDB's, nor another host's, though all are one film."""
        with StandIn() as other, TMDBCache(cache.config.changed(hosts=[tmdb.host, other.host])) as both, enabled(both):
            assert not get(tmdb).from_cache
            assert not get(other).from_cache
            assert get(tmdb).from_cache
            assert get(other).from_cache
            keys = {f"GET {host}{MOVIE}" for host in (tmdb.host, other.host)}
            assert {document["_id"] for document in collection.find({"tmdb_id": 550})} == keys
            assert both.explain(f"https://api.themoviedb.org{MOVIE}").found == "nothing"
            assert both.invalidate(media_type="movie", tmdb_id=550) == 2

    def test_write(self, cache: TMDBCache, tmdb: StandIn, collection: Any) -> None:
        """A write to one host makes stale what is kept of the title, whoever has told of it."""
        with StandIn() as other, TMDBCache(cache.config.changed(hosts=[tmdb.host, other.host])) as both, enabled(both):
            get(tmdb)
            get(other)
            params = {"api_key": API_KEY, "session_id": "s"}
            requests.post(f"{tmdb.url}{MOVIE}/rating", params=params, json={"value": 8}, timeout=5)
            get(tmdb)
            get(other)
            assert [call.status for call in other.calls] == [200, 304]

    def test_invalidate(self, cache: TMDBCache, tmdb: StandIn, collection: Any) -> None:
        """invalidate(url=…) takes the answers of that URL by every channel, and of no other host."""
        keys = [*keys_of_url(tmdb.url + MOVIE, None, cache.engine.hosts), f"GET api.themoviedb.org{MOVIE}"]
        with enabled(cache):
            get(tmdb)
        document = collection.find_one({})
        collection.insert_many([{**document, "_id": key} for key in keys if key != document["_id"]])
        assert cache.invalidate(f"https://{tmdb.host}{MOVIE}", params=ANY_KEY) == 2
        assert [found["_id"] for found in collection.find({})] == keys[-1:]

    def test_import(self, cache: TMDBCache, tmdb: StandIn, tmp_path: Any, collection: Any) -> None:
        """An answer of a host of one's own is taken where that is one, and else refused with a sentence."""
        with enabled(cache):
            get(tmdb)
        cache.export_entries(tmp_path / "film.jsonl")
        assert cache.invalidate(tmdb.url + MOVIE) == 1
        with TMDBCache(cache.config.changed(hosts=[])) as stranger:
            ((_, why),) = stranger.import_entries(tmp_path / "film.jsonl").refused
        assert why == "it is not TMDB's, and its host is none of the hosts in the settings (TMDB_CACHE_HOSTS)"
        assert cache.import_entries(tmp_path / "film.jsonl").imported == 1
        with enabled(cache):
            assert get(tmdb).from_cache
