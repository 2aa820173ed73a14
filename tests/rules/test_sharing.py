"""Responses that say of themselves that they are not for everyone are passed on and not stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from urllib3._collections import HTTPHeaderDict  # where it is in urllib3 1.26, too

from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.core.policy import Verdict, judge
from tmdb_mongo_cache.httpcache.models import Hop, Reply
from tmdb_mongo_cache.tmdb.call import classify, storable_form
from tmdb_mongo_cache.tmdb.endpoints import MARKED_PRIVATE
from tmdb_mongo_cache.tmdb.shared_cache import why_not_shared

from ..entrykit import DAY, ETAG, NOW, OK, entry
from ..flowkit import MOVIE
from ..transferkit import Other, other_fixture, rewrite  # noqa: F401  a fixture

fast = settings(max_examples=60, deadline=None)
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "exchanges.jsonl"
NOT_SHARED: list[dict[str, str]] = [
    {"Vary": "Accept-Language"},
    {"vary": "accept-encoding, Origin, Cookie"},
    {"VARY": "*"},
    {"Cache-Control": "no-store"},
    {"cache-control": "public, max-age=600, Private"},
    {"CACHE-CONTROL": 'max-age=600, private="set-cookie"'},
]


def spelt(words: list[str]) -> st.SearchStrategy[list[str]]:
    """Spell each word with some of its letters in capitals, and with blanks around it."""
    blanks = st.sampled_from(["", " ", "\t", "  "])
    upper = st.sampled_from([str.lower, str.upper, str.title, str.swapcase])
    one = [st.tuples(blanks, upper, blanks).map(lambda t, w=word: t[0] + t[1](w) + t[2]) for word in words]  # type: ignore[misc]
    return st.tuples(*one).map(list)


def in_lines(draw: Callable[..., Any], words: list[str]) -> list[str]:
    """Put the elements of a list into one line of a header or several."""
    lines: list[str] = [""]
    for word in draw(spelt(words)):
        new = draw(st.sampled_from(["line", "element"]))
        lines = [*lines, word] if new == "line" else [*lines[:-1], f"{lines[-1]},{word}"]
    return lines


def received(name: str, lines: list[str]) -> CaseInsensitiveDict[str]:
    """Return the header that requests makes of its lines."""
    return CaseInsensitiveDict(HTTPHeaderDict([(name, line.strip(" \t")) for line in lines]))


NAMES = st.sampled_from(["Vary", "vary", "VARY", "vAry"])
KEYED = st.lists(st.sampled_from(["accept-encoding", "origin", ""]), max_size=5)
OTHERS = st.sampled_from(
    [
        *("*", "accept", "accept-language", "authorization", "cookie", "host", "user-agent", "x-forwarded-host"),
        *("accept-encodings", "origin;q=1", '"origin"', "accept encoding", "origin:", "accept-encoding\x0borigin"),
    ]
)


@fast
@given(name=NAMES, words=KEYED, data=st.data())
def test_vary_on_what_makes_no_difference(name: str, words: list[str], data: st.DataObject) -> None:
    """Accept-Encoding and Origin, in whatever case, with blanks, empty elements and lines, are no reason."""
    assert why_not_shared(received(name, in_lines(data.draw, words)), None) == ""


@fast
@given(name=NAMES, words=KEYED, other=OTHERS, place=st.integers(0, 5), data=st.data())
def test_vary_on_anything_else(name: str, words: list[str], other: str, place: int, data: st.DataObject) -> None:
    """One other name, wherever it stands in whichever of the lines, keeps a response from being stored."""
    words = [*words[:place], other, *words[place:]]
    headers = received(name, in_lines(data.draw, words))
    assert why_not_shared(headers, None) == "its Vary names more than Accept-Encoding and Origin"
    assert why_not_shared(headers, "/3/certification/tv/list")


HARMLESS = st.lists(
    st.sampled_from(
        ["public", "max-age=0", "no-cache", "must-revalidate", "no-transform", "x-private", "no-store-x", "x=private"]
    ),
    max_size=4,
)
FORBIDDING = st.sampled_from(["private", "no-store", 'private="set-cookie"', '"private"', "no-store=1", "private;"])
TEMPLATES = st.sampled_from([None, "/3/movie/{movie_id}", *sorted(MARKED_PRIVATE)])


@fast
@given(words=HARMLESS, template=TEMPLATES, data=st.data())
def test_cache_control_that_speaks_of_time(words: list[str], template: str | None, data: st.DataObject) -> None:
    """no-cache, max-age=0 and what only looks like private say nothing of who may have the response."""
    headers = {**received("Cache-Control", in_lines(data.draw, words)), "Pragma": "no-cache, private, no-store"}
    assert why_not_shared(headers, template) == ""


@fast
@given(words=HARMLESS, said=FORBIDDING, place=st.integers(0, 4), template=TEMPLATES, data=st.data())
def test_private_and_no_store(
    words: list[str], said: str, place: int, template: str | None, data: st.DataObject
) -> None:
    """Private and no-store, however spelt, keep a response from being stored, but for what TMDB marks so for all."""
    headers = received("cache-Control", in_lines(data.draw, [*words[:place], said, *words[place:]]))
    everyone = template in MARKED_PRIVATE and "private" in said
    assert bool(why_not_shared(headers, template)) is not everyone


def test_every_other_spelling_of_the_name_counts() -> None:
    """Where a file has a header twice, in different cases, both are obeyed."""
    assert why_not_shared({"Vary": "Origin", "VARY": "Cookie"}, None)
    assert why_not_shared({"cache-control": "public", "Cache-Control ": "private"}, None)


@pytest.mark.parametrize("cache_control", [False, True])
@pytest.mark.parametrize("headers", NOT_SHARED)
@pytest.mark.parametrize("status", [200, 404])
def test_whatever_the_setting(headers: dict[str, str], status: int, cache_control: bool) -> None:
    """What is not for everyone is passed on whether or not cache_control is on, TMDB's 404 included."""
    ask = classify("GET", f"https://api.themoviedb.org{MOVIE}", {}).request  # type: ignore[union-attr]
    body = OK if status == 200 else b'{"success": false, "status_code": 34, "status_message": "-"}'
    rules = CacheConfig(cache_control=cache_control).policy
    for found in (None, entry(-60, 20 * DAY)):
        judged = judge(Reply(status, headers=headers, body=body), ask, found, rules, False, NOW)
        assert judged.verdict is Verdict.PASS_ON
        assert judged.why.startswith("its ")


@pytest.mark.parametrize("headers", NOT_SHARED)
def test_a_304_is_judged_as_an_answer_is(headers: dict[str, str]) -> None:
    """A 304 that says so, or comes for an entry that does, renews nothing: the whole response is fetched."""
    ask = classify("GET", f"https://api.themoviedb.org{MOVIE}", {}).request  # type: ignore[union-attr]
    rules = CacheConfig().policy
    for said, kept in ((headers, {}), ({}, headers), ({}, {})):
        found = entry(-60, 20 * DAY)._replace(headers={"ETag": ETAG, **kept})
        judged = judge(Reply(304, headers={"ETag": ETAG, **said}), ask, found, rules, True, NOW)
        assert judged.verdict is (Verdict.FETCH_AGAIN if said or kept else Verdict.RENEW)


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not beside the checkout")
def test_every_recorded_answer_is_stored() -> None:
    """Nothing in the headers of TMDB's own answers keeps one of them from being stored."""
    seen = 0
    for line in RECORDINGS.read_text(encoding="utf-8").splitlines():
        exchange = json.loads(line)
        headers = {k: ", ".join(v) if isinstance(v, list) else v for k, v in exchange["headers"].items()}
        query = "&".join(f"{name}={value}" for name, value in exchange["query"])
        call = classify("GET", f"https://api.themoviedb.org{exchange['path']}?{query}", {})
        assert call is not None
        if exchange["status"] != 200 or call.bypass:
            continue
        reply = Reply(200, headers=headers, body=json.dumps(exchange["body"]).encode())
        assert judge(reply, call.request, None, CacheConfig().policy, False, NOW).verdict is Verdict.STORE
        seen += 1
    assert seen >= 40


def test_a_hop_alone() -> None:
    """A redirect to the same call by another scheme is not kept, so what it says does not matter."""
    url = f"https://api.themoviedb.org{MOVIE}"
    call = classify("GET", url.replace("https", "http"), {})
    assert call is not None
    hop = Hop(call.url, 301, "", {"Location": url, "Cache-Control": "no-store", "Vary": "Upgrade"}, b"")
    kept = storable_form(call, Reply(200, body=OK, url=url, history=(hop,)))
    assert (kept.storable, kept.history) == (True, ())
