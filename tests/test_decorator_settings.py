"""The settings that cached_tmdb takes for the calls within."""

import pytest
import requests

from tmdb_mongo_cache import ConfigError, OfflineError, TMDBCache, cached_tmdb, enabled

from .flowkit import ANY_KEY

pytestmark = [pytest.mark.usefixtures("unchanged"), pytest.mark.any_database]


class TestSettings:
    """The settings for the calls within."""

    def test_expire_after(self, cache, ask, tmdb, collection):
        """expire_after is that of the answers stored within."""
        cached_tmdb(cache=cache, expire_after=60)(ask)(1)
        found = collection.find_one()
        assert 59 <= (found["expires_at"] - found["timestamp"]).total_seconds() <= 60

    def test_expire_after_nothing(self, cache, ask, tmdb):
        """expire_after=0 asks TMDB every time."""
        program = cached_tmdb(cache=cache, expire_after=0)(ask)
        program(1)
        program(1)
        assert tmdb.count == 2

    @pytest.mark.parametrize(("limit", "served"), [(3600, True), (0, False), (False, False), (True, True)])
    def test_stale_if_error(self, cache, ask, tmdb, collection, limit, served):
        """stale_if_error says how long past its expiry an answer stands in for a failing TMDB."""
        with enabled(cache):
            ask(1)
        found = collection.find_one()
        collection.update_one({}, {"$set": {"expires_at": found["timestamp"]}})
        tmdb.fail("reset")
        program = cached_tmdb(cache=cache, stale_if_error=limit)(ask)
        if served:
            assert program(1) is True
        else:
            with pytest.raises(requests.ConnectionError):
                program(1)

    def test_only_if_cached(self, cache, tmdb):
        """only_if_cached=True gives a 504 for what is not in the cache and calls nobody."""

        def program():
            return requests.get(tmdb.url + "/3/movie/1", params=ANY_KEY)

        only = cached_tmdb(cache=cache, only_if_cached=True)(program)
        assert (only().status_code, tmdb.count) == (504, 0)
        cached_tmdb(cache=cache)(program)()
        assert (only().status_code, only().from_cache, tmdb.count) == (200, True, 1)

    def test_refresh(self, cache, ask, tmdb):
        """refresh=True asks TMDB whether a fresh answer has changed."""
        program = cached_tmdb(cache=cache, refresh=True)(ask)
        assert [program(1), program(1)] == [False, True]
        assert [call.status for call in tmdb.calls] == [200, 304]

    def test_force_refresh(self, cache, ask, tmdb):
        """force_refresh=True fetches anew."""
        program = cached_tmdb(cache=cache, force_refresh=True)(ask)
        assert [program(1), program(1)] == [False, False]
        assert [call.status for call in tmdb.calls] == [200, 200]

    def test_offline(self, cache, ask, tmdb):
        """offline=True raises OfflineError for what is not in the cache, and serves what is."""
        offline = cached_tmdb(cache=cache, offline=True)(ask)
        with pytest.raises(OfflineError):
            offline(1)
        assert tmdb.count == 0
        cached_tmdb(cache=cache)(ask)(1)
        assert offline(1) is True

    @pytest.mark.parametrize("name", ["expire_afterr", "uri", "database", "hosts", "disabled", "backend"])
    def test_bad_names(self, name):
        """A name that is no setting of single calls is a TypeError at decoration."""
        with pytest.raises(TypeError, match=name):
            cached_tmdb(**{name: 1})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("expire_after", "tomorrow"),
            ("expire_after", -5),
            ("expire_after", True),
            ("stale_if_error", -3),
            ("stale_if_error", "yes"),
            ("only_if_cached", "yes"),
            ("refresh", 1),
            ("force_refresh", 0),
            ("offline", "no"),
            ("not_found_expire_after", object()),
        ],
    )
    def test_bad_values(self, name, value):
        """A value that cannot be used is a ConfigError at decoration, which names the setting."""
        with pytest.raises(ConfigError, match=name):
            cached_tmdb(**{name: value})

    @pytest.mark.parametrize("wrong", [3, "x", object()])
    def test_not_a_callable(self, wrong):
        """What cannot be called is a TypeError at decoration."""
        with pytest.raises(TypeError):
            cached_tmdb(wrong)

    @pytest.mark.parametrize("wrong", ["mongodb://localhost", 3, TMDBCache])
    def test_not_a_cache(self, wrong):
        """cache= that is no cache is a TypeError at decoration."""
        with pytest.raises(TypeError):
            cached_tmdb(cache=wrong)

    def test_nothing_is_opened_at_decoration(self):
        """Decoration opens no database: that is for the first call."""
        with TMDBCache(uri="mongodb://127.0.0.1:1") as cache:
            cached_tmdb(cache=cache)(len)

    def test_a_disabled_cache(self, make_cache, ask):
        """A cache that is disabled makes the decorator do nothing."""
        program = cached_tmdb(cache=make_cache(disabled=True))(ask)
        assert [program(1), program(1)] == [None, None]
