"""account_states that are appended where nobody is logged in: kept where they say nothing of anybody, and only then."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from tmdb_mongo_cache.core.policy import Policy, Verdict, judge
from tmdb_mongo_cache.httpcache.models import Reply
from tmdb_mongo_cache.tmdb.account_states import has_account_data
from tmdb_mongo_cache.tmdb.call import Request, classify, may_identify_user

from ..flowkit import now

TOKEN = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl"
fast = settings(max_examples=200, deadline=None)


def body_with(states: Any) -> bytes:
    return json.dumps({"id": 550, "title": "Film", "credits": {"cast": []}, "account_states": states}).encode()


def kept(body: bytes) -> bool:
    """Say whether a response to a call with an api_key alone may be stored."""
    ask = Request(appended=("account_states",))
    return judge(Reply(200, body=body), ask, None, Policy(), False, now()).verdict is Verdict.STORE


nothing = st.sampled_from([None, False])
numbers = st.integers(0, 10**6)
of_nobody = st.fixed_dictionaries(
    {},
    optional={
        "id": numbers,
        "episode_number": numbers,
        "favorite": nothing,
        "watchlist": nothing,
        "rated": nothing,
        "unheard_of": st.sampled_from([None, False, 0, "", [], {}]),
    },
)
of_seasons = st.fixed_dictionaries({"id": numbers, "results": st.lists(of_nobody)})
errors = st.fixed_dictionaries(
    {"status_code": st.sampled_from([3, 7, 14, 17]), "status_message": st.text()},
    optional={"success": st.just(False)},
)
harmless = st.one_of(of_nobody, of_seasons, errors, nothing)
affirmative = st.one_of(
    st.sampled_from([True, 1, -1, 0.5, "yes", "false", [0], [None], {"value": 8}, {"value": None}, {"x": {}}]),
    st.text(min_size=1),
    st.integers(min_value=1),
)
WHERE = ["there", "in results", "in a result", "in a season", "twice", "within what is there twice"]


@fast
@given(states=harmless)
def test_what_says_nothing_is_kept(states: Any) -> None:
    """Any mixture of False, null, ids, empty values and errors is stored."""
    assert kept(body_with(states))


@fast
@given(
    states=st.one_of(of_nobody, errors),
    name=st.sampled_from(["favorite", "watchlist", "rated", "success", "lists", "note", "account", "name"]),
    value=affirmative,
    where=st.sampled_from(WHERE),
)
def test_what_says_something_is_not_kept(states: dict[str, Any], name: str, value: Any, where: str) -> None:
    """One affirmative or unknown value anywhere in account_states, of the title or a season, keeps a response out."""
    states.pop(name, None)
    said = {**states, name: value}
    text = {
        "there": {"id": 1, "account_states": said},
        "in results": {"id": 1, "account_states": {"results": [states, said]}},
        "in a result": {"id": 1, "account_states": {"results": [{"results": [said]}]}},
        "in a season": {"id": 1, "season/1": {"account_states": said}},
        "a value of its own": {"id": 1, "account_states": said if isinstance(value, dict) else value},
    }.get(where, {"id": 1, "season/1/account_states": said})
    body = json.dumps(text)
    if where == "twice":
        body = f'{{"account_states": {json.dumps(said)}, "account_states": {json.dumps(states)}, "id": 1}}'
    if where == "within what is there twice":
        body = f'{{"id": 1, "season/1": {{"account_states": {json.dumps(said)}}}, "season/1": {{}}}}'
    if where == "in capitals":
        body = body.replace("account_states", "ACCOUNT_STATES")
    if where == "beside what is nested too deeply":
        body = f'{body[:-1]}, "x": {"[" * 10**5}{"]" * 10**5}}}'
    if where == "an underscore escaped":
        body = body.replace("account_states", "account\\u005fstates")
    if where == "escaped":
        body = body.replace("account_states", "\\u0061ccount\\u005Fstates")
    assert not kept(body.encode())
    assert not kept(body.encode("utf-16"))


@pytest.mark.parametrize("name", ["favorite", "rated", "watchlist"])
@pytest.mark.parametrize("value", [0, 0.0, "", [], {}])
def test_neither_false_nor_null(name: str, value: Any) -> None:
    """What TMDB says of a user in favorite, rated and watchlist says nothing only where it is False or null."""
    assert not kept(body_with({name: value}))
    assert kept(body_with({"unheard_of": value}))


@pytest.mark.parametrize("code", [1, 12, 13])
def test_a_code_of_success(code: int) -> None:
    """A status_code of TMDB's for what has succeeded is no error, and says something."""
    assert not kept(body_with({"status_code": code, "status_message": "The item was updated."}))
    assert kept(body_with({"status_code": 3, "status_message": "Authentication failed."}))


@pytest.mark.parametrize(("success", "says_nothing"), [(False, True), (True, False), (None, False)])
def test_a_message_of_a_failure(success: bool | None, says_nothing: bool) -> None:
    """A message says nothing of anybody where "success" is false, whether there is a status_code or not."""
    assert kept(body_with({"success": success, "status_message": "Authentication failed."})) is says_nothing


MARKS = ["session_id", "guest_session_id", "access_token", "request_token", "username", "password", "user", "token"]


def bypass_reason(query: str, headers: dict[str, str] | None = None) -> bool:
    url = f"https://api.themoviedb.org/3/movie/550?api_key=k&append_to_response=account_states{query}"
    call = classify("GET", requests.Request("GET", url).prepare().url, CaseInsensitiveDict(headers or {}))
    assert call is not None
    return bool(call.bypass)


@fast
@given(name=st.sampled_from(MARKS), data=st.data(), value=st.sampled_from(["", "x", "0123456789abcdef"]))
def test_a_user_in_the_query(name: str, data: st.DataObject, value: str) -> None:
    """A user's param, whatever letters of it are escaped or in capitals, makes account_states private."""
    spelt = "".join(
        data.draw(st.sampled_from([char, char.upper(), f"%{ord(char):02x}", f"%25{ord(char):02X}"])) for char in name
    )
    assert bypass_reason(f"&{data.draw(st.sampled_from(['', 'x_', '%20']))}{spelt}={value}")


@fast
@given(
    name=st.sampled_from(
        [
            "Authorization",
            "Cookie",
            "X-Authorization",
            "X-Auth-Token",
            "Session-Id",
            "X-Session",
            "Account",
            "X-User-Id",
            "From",
            "X-Forwarded-Email",
            "DPoP",
            "X-Client-Cert",
        ]
    ),
    value=st.sampled_from(["", "x", TOKEN, "session_id=abc"]),
    upper=st.sampled_from([str.upper, str.lower, str.title, str]),
)
def test_a_user_in_the_headers(name: str, value: str, upper: Callable[[str], str]) -> None:
    """A header that may say who asks makes account_states private, in whatever case and with whatever value."""
    assert bypass_reason("", {upper(name): value})


@pytest.mark.parametrize(
    ("url", "headers", "may_be"),
    [
        ("https://api.themoviedb.org/3/movie/550?api_key=k&language=de", {"Accept": "*/*"}, False),
        ("https://api.themoviedb.org/3/movie/550", {"Cookie": "a=b"}, True),
        ("https://api.themoviedb.org/3/movie/550?session_id=s", {}, True),
        (None, {"Cookie": "a=b"}, True),
        (None, {}, False),
    ],
)
def test_a_user_in_what_was_sent(url: str | None, headers: dict[str, str], may_be: bool) -> None:
    """A request as it was sent may say who asks in its headers or its query."""
    assert may_identify_user(url, headers) is may_be


@pytest.mark.parametrize(
    "value",
    [TOKEN, TOKEN.split()[1], "Token abcdef", "Basic bmFtZTp3b3Jk", "session_id=abc", "a=1; request_token=abc"],
)
def test_a_user_in_any_value(value: str) -> None:
    """A token or a session in a header or a param of any name makes account_states private."""
    assert bypass_reason("", {"X-Forwarded": value})
    assert bypass_reason(f"&x={quote(value)}")
    assert bypass_reason(f"&api_key={quote(value)}")


@pytest.mark.parametrize(
    "query",
    [
        "append_to_response=credits%2Caccount_states,%20images",
        "append_to_response=account%5Fstates",
        "append%5Fto_response=%61ccount_states",
        "append_to_response=season/1,season/1/account_states",
    ],
)
def test_other_spellings(query: str) -> None:
    """What TMDB's edge decodes to the same param is the same call."""
    call = classify("GET", f"https://api.themoviedb.org/3/tv/1399?{query}", {})
    assert call is not None
    assert "account_states" in call.key


@pytest.mark.parametrize("name", ["User-Agent", "Accept", "Accept-Language", "Connection", "X-Api-Key", "traceparent"])
def test_what_every_client_sends(name: str) -> None:
    """The headers that clients and tracers send, and further params, say nothing of a user."""
    assert not bypass_reason("&language=en-US&include_image_language=en,null", {name: "python-requests/2.32.5"})


@pytest.mark.parametrize(
    ("states", "says"),
    [
        *((None, False), (False, False), ({}, False), ([], False), ("", False), (0, False), (True, True), ("x", True)),
        *(({name: value}, False) for name in ("favorite", "rated", "watchlist") for value in (None, False)),
        *(
            ({name: value}, True)
            for name in ("favorite", "rated", "watchlist")
            for value in (True, 0, "", {}, {"value": 9})
        ),
        *(({name: value}, False) for name in ("id", "season_number", "episode_number") for value in (None, 7, 0)),
        *(
            ({name: value}, True)
            for name in ("id", "season_number", "episode_number")
            for value in (True, "7", 7.5, [])
        ),
        *(({"results": value}, False) for value in ([], [{}], [{"id": 1, "rated": False}], None, "")),
        *(({"results": value}, True) for value in ([{"rated": {"value": 9}}], [1], ["x"], [[1]], "x", {"a": 1})),
        *(
            ({"status_code": code}, says)
            for code, says in ((3, False), (34, False), (0, False), (1, True), (12, True), (13, True))
        ),
        *(({"status_code": code}, True) for code in ("3", 3.5, True)),
        ({"success": False, "status_code": 3, "status_message": "x"}, False),
        ({"success": False, "status_message": "x"}, False),
        ({"status_code": 3, "status_message": "x"}, False),
        ({"status_message": "x"}, True),
        ({"success": True, "status_message": "x"}, True),
        ({"success": False, "status_message": 5}, True),
        ({"success": False, "other": "x"}, True),
        ({"other": None}, False),
        ({"other": 1}, True),
    ],
)
def test_what_says_something(states: Any, says: bool) -> None:
    """What account_states say of a user, or may say, and what says nothing: by themselves, deep inside, or escaped."""
    for whole in (
        {"id": 550, "account_states": states},
        {"id": 550, "season/1/account_states": states},
        {"id": 550, "x": [{"Account_States": states}]},
    ):
        body = json.dumps(whole).encode()
        assert has_account_data(body) is says
        assert has_account_data(body.replace(b"ccount_", b"ccount\\u005f")) is says
        assert has_account_data(json.dumps(whole).encode("utf-16")) is says
