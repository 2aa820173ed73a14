"""A call that may have a credential in the wrong place bypasses the cache; what programs send is cached as ever."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tmdb_mongo_cache.tmdb import credentials
from tmdb_mongo_cache.tmdb.call import classify
from tmdb_mongo_cache.tmdb.credentials import CREDENTIAL_PARAMS
from tmdb_mongo_cache.tmdb.params import DOCUMENTED

from ..secretkit import HEX, JWT, KINDS, PASSWORD, TEXTS, partly, percent

HOME = "https://api.themoviedb.org"
OPENAPI = Path(__file__).parents[3] / "shared" / "reference" / "tmdb-openapi.json"
TOKEN = "Zk3-9vQ_x7LmN2pR8sT4uWyB"
BASIC = "Basic " + b64encode(f"u:{PASSWORD}".encode()).decode()


def bypass_reason(path: str, query: str = "", headers: dict[str, str] | None = None) -> str:
    """Say why a call bypasses the cache; empty where it is cached."""
    call = classify("GET", f"{HOME}{path}?{query}" if query else HOME + path, headers or {})
    assert call is not None
    assert bool(call.key) != bool(call.bypass)
    return call.bypass


@pytest.mark.skipif(not OPENAPI.exists(), reason="the OpenAPI description is not beside the checkout")
def test_the_documented_params_are_tmdbs() -> None:
    """The list of harmless params is what TMDB's description has, but for credentials."""
    paths = json.loads(OPENAPI.read_text("utf-8"))["paths"]
    described = {
        param["name"]
        for methods in paths.values()
        for operation in methods.values()
        for param in operation.get("parameters", ())
        if param["in"] == "query"
    }
    assert described - DOCUMENTED <= CREDENTIAL_PARAMS
    assert described - CREDENTIAL_PARAMS == DOCUMENTED


NAMES = [
    *(
        "apikey",
        "api-key",
        "API.KEY",
        "ApiKey",
        "api_key[]",
        "X-Api-Key",
        "x_api_key",
        "tmdb_api_key",
        "apiKeyV3",
        "key",
    ),
    *("Key", "subscription-key", "token", "TOKEN", "access-token", "accessToken", "auth_token", "id_token", "auth"),
    *(
        "authorization",
        "bearer",
        "secret",
        "client_secret",
        "clientSecret",
        "password2",
        "passwd",
        "pwd",
        "pass",
        "sig",
    ),
    *("signature", "hmac", "jwt", "credential", "session", "sid", "user", "ａｐｉｋｅｙ", "api%5Fkey", "api key"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_credential_by_its_name(name: str) -> None:
    """A param with the name of a credential that is none of TMDB's makes a call go straight, whatever its value."""
    assert credentials.looks_like_credential_name(name)
    for value in (HEX, "abc", "x y", ""):
        assert bypass_reason("/3/movie/550", urlencode({name: value}))
        assert bypass_reason("/3/movie/550", urlencode({"language": "de", "api_key": HEX[::-1], name: value}))


@pytest.mark.parametrize("name", [*sorted(DOCUMENTED), "foo", "_", "cache_buster", "with_text_query", "ids"])
def test_no_credential_by_its_name(name: str) -> None:
    """TMDB's own params, and names that say nothing, are none."""
    assert not credentials.looks_like_credential_name(name)
    assert not bypass_reason("/3/movie/550", urlencode({name: "7", "api_key": HEX}))


HARMLESS = [
    *("/3/find/tt0137523", "/3/find/Q190050", "/3/credit/52fe4250c3a36847f80149f3"),
    *("/3/review/5488c29bc3a3686f4a00004a", "/3/tv/episode_group/5acf93e60e0a26346d0000ce", "/3/movie/550-fight-club"),
    "/3/movie/343611-jack-reacher-never-go-back-extended-edition-2016",
]
QUERIES = [
    {"query": "basic instinct"},
    {"query": "Bearer of the curse of the long forgotten kingdom"},
    {"query": "Key & Peele token secret password"},
    {"query": "Night of the Day of the Dawn of the Son of the Bride of the Return of the Revenge"},
    {"query": "1" * 600},
    {"query": "Supercalifragilisticexpialidocious"},
    {"query": "Eyjafjallajökull.the.volcano.that.stopped.the.world.2013.1080p"},
    {"with_keywords": "|".join(map(str, range(9700, 9760)))},
    {"append_to_response": "credits,images,videos,release_dates,watch/providers,recommendations,external_ids"},
    {"primary_release_date.gte": "2026-01-01", "primary_release_date.lte": "2026-12-31T23:59:59.999999Z"},
    {"timezone": "America/Argentina/Buenos_Aires", "include_image_language": "en,de,fr,null"},
    {"_": "1795780000000", "cache": "no", "utm_source": "newsletter"},
]


@pytest.mark.parametrize("path", HARMLESS)
def test_ids_are_no_credentials(path: str) -> None:
    """The ids of TMDB and others, and names of films, may stand in a path."""
    assert not bypass_reason(path)


@pytest.mark.parametrize("params", QUERIES, ids=str)
def test_what_people_ask_for_is_no_credential(params: dict[str, str]) -> None:
    """What people type into a search, and programs into other params, is cached."""
    assert not bypass_reason("/3/search/movie", urlencode({**params, "api_key": HEX}))


SPELT = {"as it is": str, "large": str.upper, "percent": percent, "percent, partly": partly,
         "percent, twice": lambda value: percent(value).replace("%", "%25"),
         "full-width": lambda value: quote("".join(chr(ord(letter) + 0xFEE0) for letter in value))}  # fmt: skip
PLACES = {
    "a value": "/3/movie/550?x={}",
    "a search": "/3/search/movie?query={}",
    "in a search": "/3/search/movie?query=The+Matrix+{}+1999",
    "a language": "/3/movie/550?language={}&page=2",
    "a name": "/3/movie/550?{}",
    "a name with a value": "/3/movie/550?{}=1",
    "behind much else": "/3/movie/550?a=" + "q" * 600 + "&z={}",
    "a segment": "/3/review/{}",
    "the last segment": "/3/movie/550/{}",
    "in a segment": "/3/movie/550-{}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("spelling", SPELT)
@pytest.mark.parametrize("value", [HEX, HEX * 2, JWT], ids=["hex", "digest", "jwt"])
def test_a_credential_by_its_value(value: str, spelling: str, place: str) -> None:
    """32 hexadecimal digits, or a JWT, make a call go straight wherever they stand, and however they are spelt."""
    if spelling == "large" and value == JWT:
        return  # no JWT any more
    path, _, query = PLACES[place].replace("{}", SPELT[spelling](value)).partition("?")
    for more in ("", "&api_key=" + HEX[::-1]):
        assert "credential" in bypass_reason(path, query + more) or "characters in the path" in bypass_reason(
            path, query + more
        )


@pytest.mark.parametrize(
    "value", [TOKEN, BASIC, BASIC.replace("Basic ", "basic+"), "Bearer " + TOKEN, HEX[:8] + "-4a1b-8c2d-" + HEX]
)
def test_a_token_in_a_param_that_nobody_knows(value: str) -> None:
    """A long word of letters and digits may be a token, where it is in no param of TMDB's."""
    assert bypass_reason("/3/movie/550", urlencode({"ref": value}))
    assert bypass_reason("/3/movie/550", f"ref={percent(percent(value))}")
    assert bypass_reason("/3/movie/550", urlencode({value: "1"}))


CARRIED = {
    "a param": lambda value: (f"api_key={quote(value, '')}&", {}),
    "a login": lambda value: (f"password={quote(value, '')}&", {}),
    "Bearer": lambda value: ("", {"Authorization": f"Bearer {value}"}),
    "a lone word": lambda value: ("", {"authorization": value}),
    "Basic, the password": lambda value: ("", {"Authorization": "Basic " + b64encode(f"u:{value}".encode()).decode()}),
    "Basic, the user": lambda value: (
        "",
        {"Proxy-Authorization": "basic " + b64encode(f"{value}:p".encode()).decode()},
    ),
    "a cookie": lambda value: ("", {"Cookie": f"a=b; sid={value}"}),
    "X-Api-Key": lambda value: ("", {"X-Api-Key": value}),
    "X_AUTH_TOKEN": lambda value: ("", {"X_AUTH_TOKEN": f"Token {value}"}),
    "an URL": lambda value: ("", {"Referer": f"https://example.org/?apikey={value}"}),
}


@pytest.mark.parametrize("spelling", [name for name in TEXTS if name not in ("backslash x", "JSON in JSON")])
@pytest.mark.parametrize("kind", ["hex", "jwt", "password"])
def test_what_a_call_carries_elsewhere(kind: str, spelling: str) -> None:
    """What the same call carries as a credential is one in every other place, in any spelling; else nothing is."""
    value = KINDS[kind]
    spelt = quote(TEXTS[spelling](value), "")
    for carried, carrying in CARRIED.items():
        before, headers = carrying(value)
        assert not bypass_reason("/3/search/movie", before + "query=fight+club", headers), carried
        assert bypass_reason("/3/search/movie", f"{before}query=x{spelt}y", headers), carried
        assert bypass_reason("/3/search/movie", f"{before}{spelt}=y", headers), carried
        if "%25" not in spelt and kind != "jwt":
            assert bypass_reason(f"/3/keyword/{spelt}", before.rstrip("&"), headers), carried


def test_the_user_of_an_url() -> None:
    """User and password of an URL are credentials, escaped or not."""
    call = classify("GET", f"https://some%62ody:{percent(PASSWORD)}@api.themoviedb.org/3/movie/550", {})
    assert call is not None
    assert {"somebody", PASSWORD} <= call.credentials
    assert classify("GET", f"https://u:{PASSWORD}@api.themoviedb.org/3/search/movie?query={PASSWORD}", {}).bypass  # type: ignore[union-attr]


def test_a_straight_call_tells_nothing() -> None:
    """A call that bypasses the cache for a credential has no key, and no id that might be one."""
    call = classify("GET", f"{HOME}/3/credit/52fe4250c3a36847f80149f3?api_key=52fe4250c3a36847f80149f3", {})
    assert call is not None
    assert (call.key, call.endpoint.tmdb_id) == ("", None)
    assert "52fe" not in repr(call)


def test_more_cookies_than_anybody_has() -> None:
    """A call with a hundred cookies bypasses the cache: each would be looked for in all of its response."""
    for number, is_cached in ((20, True), (100, False)):
        cookies = "; ".join(f"c{place}=value-{place:03}" for place in range(number))
        assert bool(bypass_reason("/3/movie/550", "", {"Cookie": cookies})) != is_cached
