"""``cache.explain()``: how long an answer is fresh and stands in, at the edges; and the rule that ``show`` names."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tmdb_mongo_cache import enabled
from tmdb_mongo_cache.formatting import duration_text
from tmdb_mongo_cache.inspection import entry_details
from tmdb_mongo_cache.inspection.freshness_text import allowed_text

from .clikit import filled_fixture, run_fixture
from .flowkit import API_KEY, KEY, MOVIE, TMDBS_KEY, expire, get, now, status_of

pytestmark = pytest.mark.any_database

__all__ = ["filled_fixture", "run_fixture"]

DAY = 86400.0
FAR = datetime(2300, 1, 1, tzinfo=timezone.utc)
SETTINGS: list[dict[str, Any]] = [
    {"expire_after": -1},
    {"expire_after": -1, "stale_if_error": True},
    {"expire_after": timedelta(days=300)},
    {"expire_after": timedelta(days=190)},
    {"expire_after": timedelta(days=176)},
    {"expire_after": FAR},
    {"expire_after": 60, "stale_if_error": True},
    {"expire_after": 60, "stale_if_error": 0, "stale_while_revalidate": True},
    {"urls_expire_after": {"*/movie/*": -1}},
    {"expire_after": {"details": -1}, "not_found_expire_after": -1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_what_is_said_is_kept(settings, tmdb, make_cache, collection):
    """An entry's expiry is what was said, and no answer is said to stand in for longer than its entry is there."""
    with enabled(make_cache(**settings)) as cache:
        said = cache.explain(tmdb.url + MOVIE)
        get(tmdb)
    document = collection.find_one({"_id": KEY})
    lasts = (document["expires_at"] - document["timestamp"]).total_seconds()
    assert lasts == pytest.approx(said.fresh_for, abs=5)
    assert said.stands_in_for <= (document["purge_at"] - document["expires_at"]).total_seconds() + 1
    assert lasts + said.stands_in_for <= 180 * DAY + 5
    assert ("as long as TMDB's terms allow" in said.rule) == (lasts > 170 * DAY and "176 days" not in said.rule)


def test_for_ever(tmdb, make_cache):
    """What is to be kept for ever is kept as long as TMDB's terms allow, a 404 as well, and that is said."""
    for asked in (-1, 1e300, timedelta(days=999)):
        said = make_cache(not_found_expire_after=asked).explain(tmdb.url + MOVIE)
        note = "a 404 of TMDB would be fresh for 180 days, as long as TMDB's terms allow (not_found_expire_after)"
        assert note in said.notes
    assert "fresh until 2300-01-01" in str(make_cache(not_found_expire_after=FAR).explain(tmdb.url + MOVIE))
    assert allowed_text(math.inf) == "180 days, as long as TMDB's terms allow"
    assert allowed_text(3600) == "1 h"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (59.6, "60 s"), (119, "119 s"), (119.6, "2 min"), (120, "2 min"), (121, "2 min 1 s")),
        *((3599, "59 min 59 s"), (3599.6, "1 h"), (3600, "1 h"), (3629, "1 h"), (3660, "1 h 1 min"), (7170, "2 h")),
        *(
            (48 * 3600 - 61, "47 h 59 min"),
            (48 * 3600, "2 days"),
            (48 * 3600 + 1800, "2 days"),
            (51 * 3600, "2 days 3 h"),
        ),
        *((26.2 * 3600, "26 h 12 min"), (27 * DAY + 4 * 3600, "27 days 4 h"), (180 * DAY, "180 days")),
    ],
)
def test_lengths(seconds, text):
    """A length of time is written in its two largest units, rounded to the smaller one."""
    assert duration_text(seconds) == text


def test_longest():
    """What TMDB's terms cut short says so, and what they do not cut does not."""
    assert allowed_text(180 * DAY - 1) == "180 days"
    assert allowed_text(180 * DAY) == "180 days, as long as TMDB's terms allow"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "the table of classes (here 'details'; expire_after is not set)"),
        ({"expire_after": 60}, "expire_after, which is for everything"),
        ({"expire_after": {"details": 60}}, "expire_after['details']"),
        ({"expire_after": {"search": 60}}, "the table of classes (here 'details'; expire_after does not have it)"),
        ({"urls_expire_after": {"*/3/movie/*": 60}}, "urls_expire_after['*/3/movie/*']"),
    ],
)
def test_rules(tmdb, make_cache, settings, name):
    """The setting that decides is named as it was written."""
    assert name in make_cache(**settings).explain(tmdb.url + MOVIE).rule


def test_nothing_stands_in_past_the_six_months(tmdb, make_cache):
    """Where an answer is fresh until its entry is deleted, it does not stand in, and the reason is said."""
    said = make_cache(expire_after=-1).explain(tmdb.url + MOVIE)
    assert said.stands_in_for == 0
    assert dict(said.rows())["served stale"] == "not at all, because TMDB's terms do not allow it"
    shorter = dict(make_cache(stale_if_error=True).explain(tmdb.url + MOVIE).rows())["served stale"]
    assert re.match(r"as long as TMDB's terms allow \(17[89] days", shorter)


def test_the_answer_decides(tmdb, make_cache, collection):
    """With cache_control no time is promised, and "fresh for" says that TMDB's answer decides."""
    with enabled(make_cache(cache_control=True)) as cache:
        for _ in range(2):
            said = cache.explain(tmdb.url + MOVIE)
            assert said.fresh_for is None
            assert said.rule.startswith("as long as TMDB's Cache-Control says (cache_control); without one, ")
            assert "24 h, by the table of classes" in said.rule
            get(tmdb)


def test_a_404_by_age(tmdb, make_cache, collection):
    """A 404 that is there has no date by which an answer would be fresh."""
    tmdb.fail("404", path=MOVIE)
    with enabled(make_cache(expire_after="adaptive")) as cache:
        assert get(tmdb).status_code == 404
        said = cache.explain(tmdb.url + MOVIE)
    assert (said.found, said.status, said.fresh_for) == ("fresh", 404, None)
    assert "for the cached response" not in said.rule


@pytest.mark.parametrize("way", ["offline", "max-stale"])
def test_a_fresh_container_goes_before_a_stale_answer(way, tmdb, make_cache, collection):
    """Where a stale answer would be served as well, a fresh one that contains it is said to be, and is."""
    with enabled(make_cache()):
        get(tmdb, f"{MOVIE}/credits")
        get(tmdb, params={"append_to_response": "credits"})
    expire(collection, f"{KEY}/credits")
    settings = {"offline": True} if way == "offline" else {}
    headers = {} if way == "offline" else {"Cache-Control": "max-stale"}
    with enabled(make_cache(reuse_appended=True, **settings)) as cache:
        said = cache.explain(f"{tmdb.url}{MOVIE}/credits", headers=headers)
        response = get(tmdb, f"{MOVIE}/credits", headers=headers)
    assert (said.found, said.step) == ("contained", "serve")
    assert status_of(response)["detail"] == "reused"


def test_other_schemes(cache):
    """What requests cannot send at all is not said to go anywhere."""
    said = cache.explain("ftp://api.themoviedb.org/3/movie/550")
    assert (said.step, "requests raises an error" in said.does) == ("bypass", True)


def test_explain_by_other_settings(run, filled):
    """--expire-after says how long an answer would be fresh, as in the program that sets it."""
    said = json.loads(run("explain", MOVIE, "--expire-after", "2h", "--json").stdout)
    assert said["rule"].startswith("2 h, by expire_after, which is for everything")


def test_names_without_a_scheme(run, filled, tmdb, cache):
    """What show takes explain takes: keys as ls prints them, digests as well, and hosts without a scheme."""
    long = next(document["_id"] for document in filled.find() if "#" in document["_id"])
    with enabled(cache):
        get(tmdb)
    digest = long.removeprefix("GET api.themoviedb.org")
    for typed, key in [
        ((digest,), long),
        ((long,), long),
        (("GET", f"api.themoviedb.org{MOVIE}"), TMDBS_KEY),
        ((f"api.tmdb.org{MOVIE}?api_key={API_KEY}",), TMDBS_KEY),
        ((f"API.THEMOVIEDB.ORG{MOVIE}",), TMDBS_KEY),
        ((f"{tmdb.host}{MOVIE}",), KEY),
        ((f"{tmdb.host.upper()}{MOVIE}",), KEY),
    ]:
        said = json.loads(run("explain", *typed, "--json").stdout)
        assert (said["key"], said["found"] in ("fresh", "stale")) == (key, True), typed
        assert json.loads(run("show", *typed, "--json").stdout)["key"] == key
    assert "give the URL" in run("explain", f"{digest[:-1]}{'0' if digest[-1] != '0' else '1'}", code=2).stderr
    assert "Give one URL" in run("explain", "nonsense", code=2).stderr
    assert "requests raises" in run("explain", "ftp://x").stdout


def test_show_names_the_rule(run, filled, cache, tmdb):
    """An entry is shown with what the settings here would say of it if it came now."""
    assert "\nby settings    fresh for 24 h, by the table of classes (here 'details'" in run("show", MOVIE).stdout
    for key in (document["_id"] for document in filled.find()):
        found = json.loads(run("show", key, "--json").stdout)
        assert found["rule"].startswith("fresh for 6 h" if "search" in key else "fresh for 24 h"), key
    tmdb.fail("404", path="/3/movie/8")
    with enabled(cache):
        get(tmdb, "/3/movie/8")
    assert (
        json.loads(run("show", f"{tmdb.host}/3/movie/8", "--json").stdout)["rule"]
        == "fresh for 1 h, by not_found_expire_after"
    )


def test_a_key_that_tells_no_url(cache, tmdb, stored):
    """A key by a session's own rules, and one whose URL is not known, have no rule."""
    entry = cache.engine.store.find(KEY)
    call = entry_details.call_of(entry)
    assert call is not None
    assert call.url == f"{tmdb.url}{MOVIE}"
    for changes in ({"key": "0123456789abcdef"}, {"key": f"{KEY}#{'0' * 64}"}, {"key": f"{KEY}?b=2&a=1"}):
        assert entry_details.rule(cache, entry._replace(**changes), now().replace(tzinfo=timezone.utc)) == ""
