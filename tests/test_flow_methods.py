"""The methods of the cache itself: stats, invalidate, clear, entries, close."""

import pytest

from tmdb_mongo_cache import ConfigError, EntryInfo, StoreError, TMDBCache, enabled

from .flowkit import DAY, KEY, MOVIE, expire, get, near, recent, spread_time

pytestmark = pytest.mark.any_database


class TestStats:
    def test_counts(self, tmdb, cache, collection):
        """stats() counts hits, misses, validations, stale answers, straight calls, failures and what was stored."""
        with enabled(cache):
            get(tmdb)
            get(tmdb)
            get(tmdb)
            expire(collection)
            get(tmdb)
            expire(collection)
            tmdb.fail("503", times=2)
            get(tmdb)
            get(tmdb, "/3/movie/1")
            get(tmdb, "/3/account")
        stats = cache.stats()
        assert (stats.hits, stats.misses, stats.revalidated, stats.stale) == (2, 2, 1, 1)
        assert (stats.straight, stats.stored, stats.failures, stats.store_errors) == (1, 1, 2, 0)
        assert stats.calls == 7
        assert stats.hit_ratio == pytest.approx(4 / 6)

    def test_new(self, cache):
        """A new cache has counted nothing."""
        assert (cache.stats().calls, cache.stats().hit_ratio) == (0, 0.0)


class TestMaintenance:
    @pytest.fixture
    def filled(self, tmdb, cache):
        """Return a cache with six entries."""
        with enabled(cache):
            for path in (
                MOVIE,
                f"{MOVIE}/credits",
                "/3/movie/5",
                "/3/tv/550",
                "/3/tv/550/season/1",
                "/3/configuration",
            ):
                get(tmdb, path)
        return cache

    def test_invalidate_url(self, tmdb, filled, collection):
        """invalidate(url=…) forgets one call, in whatever spelling of it."""
        assert filled.invalidate(url=f"{tmdb.url}{MOVIE}?api_key=other&page=1") == 1
        assert filled.invalidate(f"https://api.tmdb.org{MOVIE}") == 0
        assert filled.invalidate(f"{tmdb.url}/3/tv/550", params={"api_key": "x"}) == 1
        assert collection.count_documents({}) == 4
        with enabled(filled):
            assert not get(tmdb).from_cache

    def test_invalidate_title(self, filled, collection):
        """invalidate(media_type, tmdb_id) forgets a title and everything below it, and no other."""
        assert filled.invalidate(media_type="movie", tmdb_id=550) == 2
        assert filled.invalidate(media_type="tv", tmdb_id=550) == 2
        assert {document["_id"].rpartition("/")[2] for document in collection.find()} == {"5", "configuration"}

    @pytest.mark.parametrize(
        "arguments",
        [{}, {"media_type": "movie"}, {"tmdb_id": 1}, {"url": "https://api.themoviedb.org/3/tv/1", "tmdb_id": 1}],
    )
    def test_invalidate_half(self, cache, arguments):
        """invalidate() with half of what it needs is a TypeError."""
        with pytest.raises(TypeError):
            cache.invalidate(**arguments)

    def test_invalidate_foreign(self, cache):
        """invalidate() of an URL that is not TMDB's says so."""
        with pytest.raises(ConfigError, match=r"themoviedb\.org"):
            cache.invalidate("https://example.com/3/movie/550")

    @pytest.mark.parametrize("value", [{"$gt": 0}, {"$ne": None}])
    def test_invalidate_operator(self, filled, collection, value):
        """A MongoDB operator in place of an id deletes nothing."""
        with pytest.raises(TypeError):
            filled.invalidate(media_type="movie", tmdb_id=value)
        assert collection.count_documents({}) == 6

    def test_clear(self, tmdb, filled, collection):
        """clear() empties the collection and says how many documents that were."""
        assert filled.clear() == 6
        assert collection.count_documents({}) == 0
        with enabled(filled):
            assert not get(tmdb).from_cache
            assert get(tmdb).from_cache

    def test_entries(self, filled, collection):
        """entries() lists what there is, in the order of the keys."""
        entries = list(filled.entries())
        assert [entry.key for entry in entries] == sorted(document["_id"] for document in collection.find())
        movie = next(entry for entry in entries if entry.key == KEY)
        assert isinstance(movie, EntryInfo)
        assert (movie.tmdb_id, movie.media_type, movie.endpoint) == (550, "movie", "/3/movie/{movie_id}")
        assert recent(movie.timestamp)
        assert near(movie.expires_at - movie.timestamp, spread_time(DAY))
        assert movie.status == 200

    def test_entries_filters(self, filled, collection):
        """entries() filters by type, id, endpoint and freshness, and ends at a limit."""
        expire(collection)
        count = lambda **query: len(list(filled.entries(**query)))  # noqa: E731
        assert count(media_type="tv") == 2
        assert count(media_type="movie", tmdb_id=550) == 2
        assert count(tmdb_id=550) == 4
        assert count(endpoint="/3/movie/{movie_id}") == 2
        assert (count(expired=True), count(expired=False)) == (1, 5)
        assert (count(limit=2), count(limit=0)) == (2, 6)

    def test_empty(self, cache):
        """On an empty database the methods find nothing, without an error."""
        assert list(cache.entries()) == []
        assert cache.clear() == 0
        assert cache.invalidate(media_type="movie", tmdb_id=1) == 0

    def test_close(self, tmdb, filled):
        """close() is idempotent, before and after use; a closed cache costs no program a call."""
        with enabled(filled):
            filled.close()
            filled.close()
            assert get(tmdb).status_code == 200
        with pytest.raises(StoreError, match="closed"):
            filled.clear()

    def test_close_unused(self):
        """A cache that was never used opens nothing when it is closed."""
        TMDBCache(uri="mongodb://127.0.0.1:1").close()

    def test_context_manager(self, mongo_uri, database, tmdb):
        """A cache is a context manager that gives itself and closes it."""
        with TMDBCache(uri=mongo_uri, database=database, hosts=[tmdb.host]) as cache:
            assert isinstance(cache, TMDBCache)
            cache.clear()
        with pytest.raises(StoreError):
            cache.clear()

    def test_given_client(self, mongo, database, tmdb):
        """A client that was given is used and left open."""
        with TMDBCache(client=mongo, database=database, hosts=[tmdb.host]) as cache, enabled(cache):
            get(tmdb)
        assert mongo[database]["tmdb_cache"].count_documents({}) == 1
