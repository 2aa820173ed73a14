"""Privacy: what is private bypasses the cache in every spelling, and what is public does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from tmdb_mongo_cache.tmdb.call import Call, classify
from tmdb_mongo_cache.tmdb.endpoints import ENDPOINTS
from tmdb_mongo_cache.tmdb.privacy import bypass_reason, host_bypass_reason, identifies_user
from tmdb_mongo_cache.tmdb.urls import split

HOST = "https://api.themoviedb.org"
fast = settings(max_examples=150, deadline=None)
PRIVATE_PATHS = [
    "/3/account",
    "/3/account/123",
    "/3/account/123/favorite/movies",
    "/3/account/123/rated/tv/episodes",
    "/3/account/123/watchlist/tv",
    "/3/account/123/lists",
    "/3/authentication",
    "/3/authentication/token/new",
    "/3/authentication/guest_session/new",
    "/3/authentication/session/new",
    "/3/guest_session/abc",
    "/3/guest_session/abc/rated/movies",
    "/3/guest_session/abc/rated/tv/episodes",
    "/3/list",
    "/3/list/7",
    "/3/list/7/item_status",
    "/3/movie/550/account_states",
    "/3/tv/1399/account_states",
    "/3/tv/1399/season/1/account_states",
    "/3/tv/1399/season/1/episode/1/account_states",
    "/4/account/abc/movie/favorites",
    "/4/auth/request_token",
    "/4/auth/access_token",
    "/4/list/7",
    "/4/list/7/clear",
    "/4/list/7/item_status",
]


def look(path: str, headers: dict[str, str | bytes] | None = None, *, method: str = "GET", body: bool = False) -> Call:
    call = classify(method, HOST + path, CaseInsensitiveDict(headers or {}), has_body=body)
    assert call is not None
    assert bool(call.bypass) != bool(call.key)
    return call


def is_private(path: str) -> bool:
    """Say whether a path is private as it stands, and as requests would send it."""
    sent = requests.Request("GET", HOST + path).prepare().url or ""
    return bool(look(path).bypass) and bool(look(sent.removeprefix(HOST)).bypass)


@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        str.title,
        lambda path: path + "/",
        lambda path: path + "//",
        lambda path: path + ".json",
        lambda path: path + "/.",
        lambda path: path + "?language=de",
        lambda path: path + "#top",
        lambda path: path.replace("/", "//"),
        lambda path: path.replace("/", "/./"),
        lambda path: path.replace("/", "/x/../"),
        lambda path: "/3/credit/x/../../.." + path,
        lambda path: "/3/credit/x%2F..%2F..%2F.." + path.replace("/", "%2F"),
        lambda path: "/3/credit/x%252F..%252F..%252F.." + path.replace("/", "%252f"),
        lambda path: path.replace("/", "/%2e/"),
        lambda path: "/" + path[1:].replace("/", "\\"),
        lambda path: "/" + path[1:].replace("/", "%5C"),
        lambda path: path + "%00",
        lambda path: path + "%20",
        lambda path: path + "%09",
        lambda path: path + ";v=1",
        lambda path: path + "%3Fx=1",
        lambda path: path.replace("a", "\N{FULLWIDTH LATIN SMALL LETTER A}"),
        lambda path: path.replace("s", "\N{LATIN SMALL LETTER LONG S}"),
        lambda path: path.replace("t", "%EF%BD%94"),
        lambda path: "/" + path[1:].replace("/", "\N{FULLWIDTH SOLIDUS}"),
        lambda path: "".join(f"%{ord(c):02x}" if c != "/" else c for c in path),
        lambda path: "".join(f"%25{ord(c):02X}" if c != "/" else c for c in path),
        lambda path: "".join(f"%2525{ord(c):02X}" if c.isalpha() else c for c in path),
    ],
)
def test_a_private_path_is_private_in_every_spelling(spell: Callable[[str], str]) -> None:
    """Case, formats, slashes, dots, backslashes, escapes and look-alikes do not make a private path public."""
    assert [path for path in PRIVATE_PATHS if not is_private(spell(path))] == []


@fast
@given(path=st.sampled_from(PRIVATE_PATHS), data=st.data())
def test_an_encoded_private_path_is_always_private(path: str, data: st.DataObject) -> None:
    """A private path is private whatever of it is escaped, however often, in whatever case, with what dots between."""
    spelt = ""
    for char in path:
        if char == "/":
            spelt += data.draw(st.sampled_from(["/", "/", "/./", "//", "/y/../", "%2F", "%2f", "/%2E/", "%252F"]))
            continue
        if data.draw(st.booleans()):
            char = char.upper()
        for _ in range(data.draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
            char = "".join(f"%{ord(c):02x}" if c == "%" or len(char) == 1 else c for c in char)
        spelt += char
    spelt += data.draw(st.sampled_from(["", "/", ".json", "?api_key=K&page=1", "/..;/", "/."]))
    assert is_private("/" + spelt.lstrip("/") if not spelt.startswith("/") else spelt)


@pytest.mark.parametrize(
    "path",
    [
        "/3/credit/x%2F..%2F..%2Faccount",
        "/3/movie%2F%2F..%2F..%2Faccount",
        "/3/movie/%2F%2e%2e/account/1",
        "/3/x//%2e%2e/list/7",
        "/3/movie/..%2Faccount",
        "/3/movie/%2e%2e/%2e%2e/4/list/7/clear",
        "/3/./account",
        "/3%2Faccount",
        "/%33/account",
        "/../3/account",
        "/3/movie/550/%61ccount_states",
        "/3/movie/550/account%5Fstates",
        "/3/movie/550/ACCOUNT_STATES",
        "/3/movie/550/account_states.json",
        "/3/movie/550;session_id=x",
        "/3/movie/550&session_id=x",
        "/3/movie/550%3Fsession_id=x",
        "/",
        "/3",
        "/3/",
        "/2/movie/1",
        "/5/movie/1",
        "/v4/list/1",
    ],
)
def test_where_the_path_is_in_doubt_it_is_private(path: str) -> None:
    """What some layer behind TMDB's edge could read as private, or what is no v3 path, is never cached."""
    assert is_private(path)


@pytest.mark.parametrize(
    "query",
    [
        "session_id=abc",
        "session_id=",
        "session_id",
        "guest_session_id=abc",
        "SESSION_ID=abc",
        "Session_Id=abc",
        "session%5Fid=abc",
        "session%5fid=abc",
        "%73ession_id=abc",
        "session%255Fid=abc",
        "+session_id=abc",
        "session_id+=abc",
        "%20session_id=abc",
        "session_id[]=abc",
        "api_key=K&&session_id=abc",
        "language=de&amp;session_id=abc",
        "language=de;session_id=abc",
        "language=de?session_id=abc",
        "language=de&session_id=abc&session_id=",
        "\N{FULLWIDTH LATIN SMALL LETTER S}ession_id=abc",
        "callback=f",
        "callback=",
        "CALLBACK=f",
        "call%62ack=f",
        "callback%3Df",
        "language=de&callback=f",
        "callback[]=f",
        "append_to_response=account_states&access_token=abc",
        "append_to_response=credits,account_states,images&access_token=abc",
        "append_to_response=credits,%20account_states&access_token=abc",
        "append_to_response=credits%2Caccount_states&access_token=abc",
        "append_to_response=credits&append_to_response[]=account_states",
        "append_to_response=credits%252Caccount_states",
        "append_to_response=account%5Fstates&access_token=abc",
        "append_to_response=account%255Fstates",
        "append_to_response=Account_States",
        "append_to_response=%61ccount_states&access_token=abc",
        "append_to_response=season/1/account_states&access_token=abc",
        "append_to_response=credits&append_to_response=account_states&access_token=abc",
        "append_to_response[]=account_states",
        "Append_To_Response=account_states",
        "append%5Fto%5Fresponse=account_states&access_token=abc",
        "append_to_response=\N{FULLWIDTH LATIN SMALL LETTER A}ccount_states",
        "append_to_response=account\N{FULLWIDTH LOW LINE}states",
    ],
)
@pytest.mark.parametrize("path", ["/3/movie/550", "/3/movie/550.json", "/3/discover/movie", "/3/nothing"])
def test_a_query_that_makes_an_answer_private_does_so_in_every_spelling(path: str, query: str) -> None:
    """A session, a JSONP callback, a user's or an oddly spelt account_states make any path private in any spelling."""
    assert is_private(f"{path}?{query}")


@fast
@given(name=st.sampled_from(["session_id", "guest_session_id", "callback"]), data=st.data())
def test_an_encoded_private_param_is_always_private(name: str, data: st.DataObject) -> None:
    """A session or a callback is found whatever letters of its name are escaped or in capitals."""
    spelt = "".join(
        data.draw(st.sampled_from([char, char.upper(), f"%{ord(char):02x}", f"%25{ord(char):02X}"])) for char in name
    )
    assert is_private(f"/3/movie/550?language=de&{spelt}=x&page=2")


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "session_id=abc"},
        {"cookie": "a=b; guest_session_id=abc"},
        {"Cookie": b"SESSION_ID=abc"},
        {"session_id": "abc"},
        {"X-Session-Id": "abc"},
        {"Guest-Session-ID": "abc"},
        {"Referer": "https://x/?session_id=abc"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Range": "bytes=0-9"},
        {"If-None-Match": '"x"'},
        {"If-Modified-Since": "Sun, 22 Nov 2026 00:00:00 GMT"},
    ],
)
def test_headers_that_change_the_answer_make_it_private(headers: dict[str, str | bytes]) -> None:
    """A session in a header, another method, a range or a condition of the caller's own is never cached."""
    assert look("/3/movie/550", headers).bypass


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "get", "", None])
def test_only_get_is_cached(method: str | None) -> None:
    """Anything but GET bypasses the cache."""
    assert look("/3/movie/550", method=method).bypass  # type: ignore[arg-type]


def test_a_get_with_a_body_is_not_cached() -> None:
    """A GET with a body bypasses the cache, for a session may be in it."""
    assert look("/3/movie/550", body=True).bypass


@pytest.mark.parametrize("value", ["no-store", "No-Store", "max-age=0, no-store", b"no-store"])
def test_a_caller_that_says_no_store_goes_straight_through(value: str | bytes) -> None:
    """A request with Cache-Control: no-store is neither looked up nor stored."""
    assert look("/3/movie/550", {"cache-control": value}).bypass


PUBLIC = [template for templates in ENDPOINTS.values() for template in templates]


@pytest.mark.parametrize("template", PUBLIC)
def test_every_public_v3_path_is_cached(template: str) -> None:
    """A public path, with a number, a title behind it, another database's id, or a slash at its end, is cached."""
    for value in ("550", "550-fight-club", "tt0137523", "52fe4250c3a36847f80149f3", "550-am%C3%A9lie", "550-ä"):
        path = re.sub(r"\{[^}]*\}", value, template)
        for spelt in (path, path + "/", f"{path}?api_key=K&language=de&append_to_response=credits%2Cimages"):
            assert look(spelt).bypass == ""


@pytest.mark.parametrize(
    "path",
    [
        "/3/movie/550/lists",
        "/3/genre/movie/list",
        "/3/certification/tv/list",
        "/3/search/movie?query=the+list",
        "/3/search/movie?query=account",
        "/3/search/multi?query=callback",
        "/3/search/person?query=" + quote("R2-D2 & 100% = ?;#/\\"),
        "/3/search/movie?query=password",
        "/3/discover/movie?certification.lte=G&vote_average.gte=7&with_genres=18|35",
        "/3/movie/550?request_token=abc",
        "/3/movie/550?api_key=K&access_token=abc",
    ],
)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer abc"}, {"Cookie": "a=b"}, {"Accept-Encoding": "gzip"}]
)
def test_what_only_looks_private_is_cached(path: str, headers: dict[str, str | bytes]) -> None:
    """A search for a word, the lists of a film, a list of genres and a Bearer token do not make a call private."""
    assert look(path, headers).bypass == ""


def test_a_private_call_shows_no_credential() -> None:
    """The repr of a private call has neither its session nor its account id."""
    call = look("/3/account/acc0unt1d/lists?session_id=5ess10n1d", {"Authorization": "Bearer t0ken"})
    assert not re.search("acc0unt1d|5ess10n1d|t0ken", repr(call) + call.bypass)


USERS = """
account_id x-auth bearer client-cert client_cert clientcert cookie credential dpop email e-mail identity jwt login
member passwd profile secret session signature token user username from pass pin pwd sid uid x-pass Fullwidth-ｕｓｅｒ
us.er %75ser
"""
NOBODY = "api_key language user-agent useragent page sidx aside compass spin upwd query region %61pi_key"


@pytest.mark.parametrize("name", USERS.split())
def test_names_that_identify_a_user(name: str) -> None:
    """A param or a header of such a name may identify a user, in any spelling."""
    for spelt in (name, name.upper(), f" {name} "):
        assert identifies_user([("language", "de"), (spelt, "x")]), spelt


@pytest.mark.parametrize("name", NOBODY.split())
def test_names_that_identify_nobody(name: str) -> None:
    """No other does, nor does a program's key."""
    assert not identifies_user([(name, "x"), (name.upper(), b"x")])


@pytest.mark.parametrize(
    "value",
    [
        *("Bearer x", "basic:x", "Digest x", "token x", "a bearer x", "eyJhbGciOiJI.x", "x eyJ0.x", "session_id=x"),
        *("guest_session_id", "request_token", "access_token", "PASSWORD", "user%6eame", "ｂｅａｒｅｒ x"),
    ],
)
def test_values_that_identify_a_user(value: str) -> None:
    """A token does, and the name of a user's credential."""
    assert identifies_user([("query", value)])
    assert identifies_user([("query", value.encode())]) or not value.isascii()


@pytest.mark.parametrize("value", ["bearer", "basically x", "tokens", "xeyJ0.x", "api_key", "sessions", "pass", ""])
def test_values_that_identify_nobody(value: str) -> None:
    """Other words do not."""
    assert not identifies_user([("query", value)])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        *(
            (f"/3/{root}", f"everything under /3/{root}")
            for root in ("account", "authentication", "guest_session", "list")
        ),
        *(
            (f"/3/{root}/1", f"/3/{root.split('.')[0].split(':')[0]} is")
            for root in ("account", "list", "account.json", "list:x")
        ),
        ("/3/guest-session/1/rated/movies", "/3/guest_session is"),
        ("/3/GuestSession/1", "/3/guest_session is"),
        *(
            (f"/3/{path}/rating", "ratings are private")
            for path in ("movie/1", "tv/1/season/1/episode/1", "x/rating.json")
        ),
        *(
            (f"/3/movie/1/{part}", "account_states are private")
            for part in ("account_states", "account-states", "xAccountStates")
        ),
        *(
            (path, "not a v3 path")
            for path in ("/3", "/3/", "/", "", "/2/movie/1", "/movie/1", "3/movie/1", "//4/movie/1", "//x/3/movie")
        ),
        ("/4/list/1", "a v4 path"),
        ("/3/movie/1/api_key=x", "a credential in the path"),
        ("/3/movie/1&api%5fkey%3dx", "a credential in the path"),
        *(
            (path, "could mean another path")
            for path in (
                *(
                    "/3/movie/../list",
                    "/3/./movie",
                    "/3/movie;x/1",
                    "/3/%2e/x",
                    "/3/movie/%ff",
                    "/3/%6dovie/1",
                    "/3/x%2fy",
                ),
                *("//3/4/movie", "/3/mov\u200bie/1", "/3/%20.", "/3/ｍovie/1"),
            )
        ),
    ],
)
def test_private_paths(path: str, reason: str) -> None:
    """The reason for which a path is never cached."""
    assert reason in bypass_reason("GET", path, has_body=False)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/3/movie/550",
            "/3/movie/550/",
            "/3//movie//550",
            "//3/movie/550",
            "/3/lists",
            "/3/movie/1/lists",
            "/3/x/list",
        ),
        *(
            "/3/accounts",
            "/3/movie/1/ratings",
            "/3/search/tv%20x",
            "/3/movie/550-fight_club",
            "/3/movie/x.json",
            "/3/ä",
        ),
        *("/3/movie/account", "/3/certification/movie/list"),
    ],
)
def test_public_paths(path: str) -> None:
    """Others are."""
    assert bypass_reason("GET", path, has_body=False) == ""
    assert bypass_reason("POST", path, has_body=False) == "not a GET"
    assert bypass_reason("GET", path, has_body=True) == "a GET with a body"


@pytest.mark.parametrize(
    ("said", "url", "own"),
    [
        ("api.themoviedb.org", "https://api.themoviedb.org/3/x", True),
        ("x", "https://api.themoviedb.org/3/x", False),
        *((f"api.tmdb.org:{port}", "https://api.tmdb.org/3/x", port == 443) for port in (443, 80)),
        *(("api.tmdb.org", f"http://api.tmdb.org:{port}/3/x", port == 80) for port in (443, 80)),
        ("api.tmdb.org:443", "http://api.tmdb.org:443/3/x", True),
        ("", "https://api.tmdb.org/3/x", False),
    ],
)
def test_hosts(said: str, url: str, own: bool) -> None:
    """A Host header of the caller's own changes nothing where it is the URL's host."""
    target = split(url)
    assert target is not None
    assert (host_bypass_reason(said, target) == "") is own
