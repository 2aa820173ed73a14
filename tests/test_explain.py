"""``cache.explain()``: what it says is what then happens, and saying it changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest

from tmdb_mongo_cache import Explanation, OfflineError, TMDBSession, cached_tmdb, disabled, enabled
from tmdb_mongo_cache.config import overrides

from .flowkit import API_KEY, KEY, MOVIE, expire, get, now, status_of

pytestmark = pytest.mark.any_database

NEVER = 0x0D0E0200020704
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": {"expire_after": 7200},
    "class": {"expire_after": {"details": timedelta(days=30)}},
    "other class": {"expire_after": {"search": 60}},
    "never": {"expire_after": -1},
    "at once": {"expire_after": 0},
    "until": {"expire_after": datetime.now(timezone.utc) + timedelta(days=3)},
    "url": {"urls_expire_after": {"*/tv/*": 1, "*/movie/*": 9000}, "expire_after": 60},
    "not kept": {"urls_expire_after": {"*/movie/*": NEVER}},
    "offline": {"offline": True},
    "no stand-in": {"stale_if_error": 0},
    "in memory": {"memory_ttl": 60},
}
HEADERS: list[dict[str, str]] = [
    {},
    *({"Cache-Control": text} for text in ("no-cache", "max-stale=300", "max-age=30", "only-if-cached", "no-store")),
    {"Cache-Control": "stale-if-error=0"},
]
STATES = ("nothing", "fresh", "stale", "old", "broken")


def bring_about(state: str, document: dict[str, Any], collection: Any) -> None:
    """Leave one document in the collection, in some state, or none."""
    collection.delete_many({})
    if state == "nothing":
        return
    fetched = now() - timedelta(minutes=1)
    times = {"timestamp": fetched, "expires_at": now() + timedelta(hours=1), "purge_at": now() + timedelta(days=8)}
    collection.insert_one({**document, **times})
    if state == "stale":
        expire(collection)
    elif state == "old":
        expire(collection, purge_at=now() - timedelta(seconds=5))
    elif state == "broken":
        collection.update_one({}, {"$set": {"body": b"{", "checksum": 1}})


def what_happens(tmdb: Any, **options: Any) -> tuple[str, Any]:
    """Make the call; return what became of it, in the words of an explanation, and the response."""
    before = tmdb.count
    try:
        response = get(tmdb, **options)
    except OfflineError:
        return "give_up", None
    said = status_of(response)
    if response.status_code == 504:
        return "give_up", response
    if said.get("fwd") == "bypass":
        return "bypass", response
    if "hit" in said:
        assert tmdb.count == before
        return "serve", response
    asked = {name.lower() for call in tmdb.calls[before:] for name in call.headers}
    return ("validate" if "if-none-match" in asked else "fetch"), response


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_said_happens(name, tmdb, make_cache, collection, stored):
    """Whatever the settings, the caller's headers and what is there: what happens is what was said, expiry included."""
    headers_tried = HEADERS if name in ("defaults", "offline", "in memory") else HEADERS[:2]
    for state, headers in product(STATES, headers_tried):
        bring_about(state, stored, collection)
        with enabled(make_cache(**SETTINGS[name])) as cache:
            documents, called, stats = list(collection.find()), tmdb.count, cache.stats()
            said = cache.explain(tmdb.url + MOVIE, {"api_key": API_KEY}, headers=headers)
            assert (list(collection.find()), tmdb.count, cache.stats()) == (documents, called, stats)
            found, response = what_happens(tmdb, headers=headers)
            case = f"{state}, {headers}: {said}"
            assert said.step == found, case
            assert API_KEY not in str(said) + repr(said)
            if said.step == "serve":
                assert int(status_of(response)["ttl"]) == pytest.approx(said.ttl, abs=5), case
                assert len(response.content) == said.size
                assert response.expires == said.expires_at.replace(tzinfo=response.expires.tzinfo), case
            elif said.step == "fetch":
                document = collection.find_one({"_id": KEY})
                is_new = document is not None and "stored" in status_of(response)
                assert is_new == (said.fresh_for is not None), case
                if is_new:
                    lasts = (document["expires_at"] - document["timestamp"]).total_seconds()
                    # To a moment there is less and less.
                    assert lasts == pytest.approx(said.fresh_for, abs=5 if "until" in said.rule else 0.01), case
            cache.close()


@pytest.mark.parametrize(
    ("headers", "settings"), [({}, {}), (HEADERS[1], {}), (HEADERS[-1], {}), ({}, {"stale_if_error": 0})]
)
def test_what_stands_in(headers, settings, tmdb, make_cache, collection, stored):
    """Where an answer is said to stand in for TMDB it does, and nowhere else."""
    expire(collection, purge_at=now() + timedelta(days=1))
    tmdb.fail("503")
    with enabled(make_cache(**settings)) as cache:
        said = cache.explain(tmdb.url + MOVIE, headers=headers)
        response = get(tmdb, headers=headers)
    assert (response.status_code == 200) == ("if TMDB fails" in said.does) == (said.stands_in_for > 0)


def test_answered_at_once_and_refreshed(tmdb, make_cache, collection, stored):
    """Where stale_while_revalidate holds that is said."""
    expire(collection)
    with enabled(make_cache(stale_while_revalidate=3600)) as cache:
        assert cache.explain(tmdb.url + MOVIE).step == "serve_and_refresh"
        assert "hit" in status_of(get(tmdb))


def test_the_log_says_nothing(tmdb, make_cache, collection, stored, caplog):
    """What the log says of hits, misses and keys that back off is of calls that are made."""
    caplog.set_level("DEBUG", "tmdb_mongo_cache")
    with enabled(make_cache(memory_ttl=60)) as cache:

        def found():
            caplog.clear()
            said = cache.explain(tmdb.url + MOVIE)
            assert caplog.messages == []
            return said.found, said.step

        assert found() == ("fresh", "serve")
        assert get(tmdb).from_cache
        assert found() == ("fresh", "serve")
        cache.invalidate(tmdb.url + MOVIE)
        assert found() == ("nothing", "fetch")
        get(tmdb)
        expire(collection)
        cache.engine.core.memory.forget(KEY)
        cache.engine.core.backoff.back_off(KEY, 60.0)
        assert found() == ("stale", "serve")


def test_contained(tmdb, make_cache, collection):
    """An answer within another one is found where reuse_appended is set, and what contains it is named."""
    with enabled(make_cache(reuse_appended=True)) as cache:
        get(tmdb, params={"append_to_response": "credits,images"})
        said = cache.explain(f"{tmdb.url}{MOVIE}/credits")
        assert (said.found, said.step) == ("contained", "serve")
        assert f"{KEY}?append_to_response=credits,images" in said.look_up
        response = get(tmdb, f"{MOVIE}/credits")
    assert status_of(response)["detail"] == "reused"
    assert len(response.content) == said.size
    assert make_cache().explain(f"{tmdb.url}{MOVIE}/credits").found == "nothing"


def test_changed_by_the_feed(tmdb, cache, collection, stored):
    """What TMDB's feed of changes made stale is told from what has expired."""
    expire(collection)
    assert cache.explain(tmdb.url + MOVIE).found == "stale"
    expire(collection, changed_at=now())
    said = cache.explain(tmdb.url + MOVIE)
    assert (said.found, said.step) == ("changed", "validate")
    assert "change feed" in said.look_up


def test_memory(tmdb, make_cache, collection):
    """What is in memory is found there; explaining puts nothing into it."""
    with enabled(make_cache(memory_ttl=60)) as cache:
        get(tmdb)
        assert "in memory" in cache.explain(tmdb.url + MOVIE).look_up
    other = make_cache(memory_ttl=60)
    assert "in MongoDB" in other.explain(tmdb.url + MOVIE).look_up
    assert other.engine.core.memory.bytes == 0
    collection.delete_many({})
    assert other.explain(tmdb.url + MOVIE).found == "nothing"


RULES: list[tuple[dict[str, Any], str, str]] = [
    ({}, MOVIE, "24 h, by the table of classes (here 'details'; expire_after is not set)"),
    ({"expire_after": {"details": 7200}}, MOVIE, "2 h, by expire_after['details']"),
    (
        {"expire_after": {"search": 60}},
        MOVIE,
        "24 h, by the table of classes (here 'details'; expire_after does not",
    ),
    ({"expire_after": 60}, MOVIE, "60 s, by expire_after, which is for everything"),
    ({"expire_after": -1}, MOVIE, "180 days, as long as TMDB's terms allow, by expire_after"),
    ({"urls_expire_after": {"*/tv/*": 1, "*/movie/*": 90}}, MOVIE, "90 s, by urls_expire_after['*/movie/*']"),
    ({"urls_expire_after": {"*/movie/*": NEVER}}, MOVIE, "not cached, by urls_expire_after['*/movie/*']"),
    ({"expire_after": "adaptive"}, MOVIE, "a tenth of its age since release, between 24 h and 30 days"),
    ({"expire_after": "adaptive"}, "/3/search/movie?query=x", "6 h, by the table of classes (here 'search'"),
]


def test_the_rule(make_cache, tmdb):
    """The rule names the setting, and the pattern of an URL, as the user has written it."""
    for settings, path, rule in RULES:
        assert make_cache(**settings).explain(tmdb.url + path).rule.startswith(rule)


def test_adaptive(tmdb, make_cache, collection):
    """With "adaptive" nothing is promised before there is an answer; then it goes by that one."""
    with enabled(make_cache(expire_after="adaptive")) as cache:
        assert cache.explain(tmdb.url + MOVIE).fresh_for is None
        get(tmdb)
        said = cache.explain(tmdb.url + MOVIE)
    document = collection.find_one({})
    assert (document["expires_at"] - document["timestamp"]).total_seconds() == pytest.approx(said.fresh_for, abs=0.01)


STRAIGHT = [
    ("https://api.themoviedb.org/3/account/1?session_id=verysecret", "GET", "/3/account is private"),
    ("https://api.themoviedb.org/3/movie/550?session_id=verysecret", "GET", "a session is in the query"),
    ("https://api.themoviedb.org/3/movie/550&api_key=verysecret", "GET", "a credential in the path"),
    ("https://api.themoviedb.org/3/movie/550%26api_key%3Dverysecret", "GET", "a credential in the path"),
    ("https://api.themoviedb.org/3/movie/550/rating?api_key=verysecret", "POST", "not a GET"),
    ("https://example.com/3/movie/550?api_key=verysecret", "GET", "not on a TMDB host"),
    ("no URL, verysecret", "GET", "requests does not send it"),
]


def test_what_is_never_cached(make_cache):
    """What goes straight says so and why, without a look-up, and repeats no credential."""
    for url, method, why in STRAIGHT:
        said = make_cache(uri="mongodb://127.0.0.1:9/").explain(url, method=method)
        assert why in said.straight
        assert (said.key, said.found, said.step) == (None, "", "bypass")
        assert "verysecret" not in f"{said}{said!r}"


def test_hosts_are_named(tmdb, make_cache):
    """For another host it is said which hosts are TMDB's, and by which setting there are more."""
    said = make_cache().explain("https://example.com/3/movie/550").straight
    assert tmdb.host in said
    assert "TMDB_CACHE_HOSTS" in said


def test_switched_off(tmdb, make_cache, cache):
    """A cache that is off, or off here, or closed, says that calls go straight."""
    assert "disabled is set" in make_cache(disabled=True).explain(tmdb.url + MOVIE).does
    with disabled():
        assert "disabled()" in cache.explain(tmdb.url + MOVIE).does
    cache.close()
    said = cache.explain(tmdb.url + MOVIE)
    assert "closed" in said.does
    assert (said.step, said.key) == ("bypass", KEY)


def test_offline_by_a_recording(tmdb, cache, monkeypatch):
    """Where a recording of tests keeps all calls from TMDB, that is what is said."""
    monkeypatch.setattr(overrides, "offline", True)
    said = cache.explain(tmdb.url + MOVIE)
    with enabled(cache):
        assert (said.step, what_happens(tmdb)[0]) == ("give_up", "give_up")


def test_private_and_offline(tmdb, make_cache):
    """Offline, what is never cached is an error, and the explanation says which."""
    said = make_cache(offline=True).explain(f"{tmdb.url}/3/account/1")
    assert said.step == "give_up"
    assert "OfflineError" in said.does


def test_a_mongodb_that_is_away(tmdb, make_cache):
    """A MongoDB that is away is told of; all else is explained."""
    said = make_cache(uri="mongodb://user:pa55word@127.0.0.1:9/", store_timeout=0.2).explain(tmdb.url + MOVIE)
    assert (said.found, said.step, said.key) == ("unknown", "fetch", KEY)
    assert "does not answer" in said.look_up
    assert "pa55word" not in repr(said)
    assert said.fresh_for > 3600


def test_the_settings_of_a_decorated_function(tmdb, cache):
    """Within a decorated function its own settings hold."""

    @cached_tmdb(cache=cache, expire_after=90)
    def explained() -> Explanation:
        return cache.explain(tmdb.url + MOVIE)

    assert explained().rule == "90 s, by expire_after of this call"
    assert "table of classes" in cache.explain(tmdb.url + MOVIE).rule


def test_keys_are_those_of_calls(tmdb, cache):
    """Params count as requests sends them: key and appended parts are those of the call."""
    params = {"append_to_response": "videos,credits", "language": "de", "page": 1, "api_key": API_KEY}
    said = cache.explain(tmdb.url + MOVIE, params)
    with TMDBSession(cache) as session:
        assert session.get(tmdb.url + MOVIE, params=params).cache_key == said.key
    assert said.appended == ("credits", "videos")
    assert (said.media_type, said.tmdb_id, said.endpoint) == ("movie", 550, "/3/movie/{movie_id}")
