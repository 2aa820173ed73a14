"""What programs send and TMDB answers every day is cached, whatever is looked for in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tmdb_mongo_cache
from tmdb_mongo_cache.tmdb import credentials, public_values, redaction
from tmdb_mongo_cache.tmdb.call import classify
from tmdb_mongo_cache.tmdb.redaction import redact
from tmdb_mongo_cache.transfer import validation

SHARED = Path(__file__).parents[3] / "shared"
OPENAPI, RECORDINGS = SHARED / "reference" / "tmdb-openapi.json", SHARED / "recordings" / "exchanges.jsonl"
HEX = "9c3f0e7a1b5d48268f6e4c2a0d7b9e13"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI1YTFiMmMzZDRlNWY2MDcxODI5M2E0YjUifQ.c2lnbmF0dXJlLXNlY3JldA"
PRIVATE = ("/account", "/authentication", "/guest_session", "/list/", "/rating")
needs_shared = pytest.mark.skipif(not OPENAPI.exists(), reason="the OpenAPI description is not beside the checkout")


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in json.loads(OPENAPI.read_text("utf-8"))["paths"].items():
        if "get" in methods and not any(part in path for part in PRIVATE):
            yield path, methods["get"]


def _values(param: dict[str, Any]) -> list[str]:
    schema = param.get("schema", {})
    found = [schema.get("default"), schema.get("example"), *schema.get("enum", ())]
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in found if value is not None]


@needs_shared
def test_what_tmdb_describes() -> None:
    """Every public endpoint is cached, with each value that the description gives for a param, and both keys."""
    for template, operation in _operations():
        path, params = template, operation.get("parameters", ())
        query = {param["name"]: [*_values(param), "7"] for param in params if param["in"] == "query"}
        for param in params:
            if param["in"] == "path":
                path = path.replace(f"{{{param['name']}}}", [*_values(param), "550"][0])
        asked = [(name, value) for name in query for value in query[name] if not credentials.is_credential(name)]
        for name, value in [("page", "2"), *asked]:
            url = f"https://api.themoviedb.org{path}?{urlencode({'api_key': HEX, name: value})}"
            call = classify("GET", url, {"Authorization": f"Bearer {JWT}"})
            assert call is not None
            assert call.key, (url, call.bypass)


@needs_shared
def test_what_was_recorded() -> None:
    """Every exchange that somebody has recorded with TMDB is cached, but for a list, whatever page it was."""
    for line in RECORDINGS.read_text("utf-8").splitlines():
        said = json.loads(line)
        query = urlencode([("api_key", HEX), *((name, value or "") for name, value in said["query"])])
        call = classify("GET", f"https://api.themoviedb.org{said['path']}?{query}", {})
        assert call is not None
        assert bool(call.key) == (said["method"] == "GET" and not said["path"].startswith("/3/list/"))


@needs_shared
def test_the_words_are_tmdbs() -> None:
    """The words are the names of members in the examples of TMDB's description."""
    found: set[str] = set()
    for _, operation in _operations():
        for value in _examples(operation["responses"]):
            found |= _members(value)
    assert {name for name in found if len(name) > 5 and name.islower()} == public_values.MEMBERS


def _examples(about: Any) -> Iterator[Any]:
    if isinstance(about, list | dict):
        for name, value in about.items() if isinstance(about, dict) else enumerate(about):
            if name == "examples" and isinstance(value, dict):
                for example in value.values():
                    yield json.loads(example["value"])
            else:
                yield from _examples(value)


def _members(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_members, value))
    return set(value).union(*map(_members, value.values())) if isinstance(value, dict) else set()


PARTS = st.sampled_from(
    [
        *(
            "token",
            "Secret",
            "password",
            "username",
            "session_id",
            "api key",
            "apikey",
            "key",
            "sig",
            "Basic",
            "Bearer",
        ),
        *(":", "=", " ", " ", '"', "; ", "?", "&", "/", "-", "#", "%3d", "x", "Instinct", "1999", "eyJ0", "abcdefgh1"),
    ]
)


@given(st.lists(PARTS, max_size=8).map("".join), st.sampled_from(["query", "with_keywords", "foo"]), st.booleans())
def test_a_key_is_told_whole(text: str, name: str, is_long: bool) -> None:
    """What has a key goes through the log, ``ls``, exports and imports with all of it; whatever would not has none."""
    more = f"&z={'q' * 600}" if is_long else ""
    url = f"https://api.themoviedb.org/3/search/movie?{name}={quote_plus(text)}{more}"
    call = classify("GET", url, {})
    assert call is not None
    if call.key:
        assert redact(call.key) == call.key
        assert validation._invalid_url(url, call.key, frozenset()) == ""


@pytest.mark.parametrize(
    "text", ["it is 'Basic Instinct'", "basic training.", f"GET a/3/x#{HEX}{HEX}", f'W/"{HEX}"', f'"{HEX}"']
)
def test_what_is_no_credential(text: str) -> None:
    """Words, digests of keys and ETags stay in texts for people."""
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f'"{HEX}" is bad',
        f'bad value "{HEX}"',
        f"https://x.org/#{HEX}",
        f"#{HEX}{HEX}0",
        "Basic dTpw",
        "Basic dXNlcjpwYXNz",
        "basic a1",
    ],
)
def test_what_is_one(text: str) -> None:
    """In quotes, behind "#", and where it is short, it is one."""
    assert HEX not in redact(text)
    assert redact(text) != text


class _Unwritable:
    def __str__(self) -> str:
        raise RuntimeError(HEX)


@pytest.mark.parametrize(
    "args",
    [("%s", _Unwritable()), ("%d %s", "x"), (_Unwritable(),), ({"api_key": HEX},)],
    ids=["an argument", "too few", "the line", "a mapping"],
)
def test_a_line_that_cannot_be_written(args: tuple[Any, ...], caplog: pytest.LogCaptureFixture) -> None:
    """An object in a line that cannot be written is no error, neither in the program nor in logging."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("tmdb_mongo_cache").warning(*args)
    assert HEX not in caplog.text
    assert [record.levelname for record in caplog.records if record.name == "tmdb_mongo_cache"] == ["WARNING"]


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "ApiKey", "Negotiate", "OAuth", "Hawk"])
def test_a_scheme_is_no_credential(scheme: str) -> None:
    """What says of which kind a credential is, is none: "to negotiate" is a word in a response."""
    assert credentials.of_headers({"Authorization": f"{scheme} {HEX}"}) == {HEX}


def test_there_is_one_logger() -> None:
    """Every module logs to the logger that has the filter: a logger's filters see nothing of its children's records."""
    sources = [path.read_text("utf-8") for path in Path(tmdb_mongo_cache.__file__).parent.rglob("*.py")]
    names = {name for source in sources for name in re.findall(r"getLogger\(([^)]*)\)", source)}
    assert names - {""} == {'"tmdb_mongo_cache"'}


def test_what_browsers_are_told_is_kept() -> None:
    """Headers of CORS are no credentials, whatever their names are."""
    said = {"Access-Control-Allow-Credentials": "true", "access-control-allow-headers": "Authorization, X-Api-Key"}
    assert redaction.redacted_headers(said, ()) == said
    assert redaction.redacted_headers({**said, "X-Session-Id": "1"}, ()) == said


@pytest.mark.parametrize("name", ["X-Forward-To", "X-Anything"])
def test_a_token_in_a_header_nobody_knows(name: str) -> None:
    """What follows "Bearer" is a credential in any header, however short; with it in its URL a call is not cached."""
    headers = {name: "bearer hunter2-Pass"}
    assert credentials.of_headers(headers) == {"hunter2-Pass"}
    call = classify("GET", "https://api.themoviedb.org/3/search/movie?query=x+HUNTER2%252dpass", headers)
    assert call is not None
    assert not call.key


def _wide(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) for letter in text)


def _percent(text: str, times: int) -> str:
    for _ in range(times):
        text = "".join(f"%{byte:02x}" for byte in text.encode())
    return text


@pytest.mark.parametrize("spelt", [_wide, lambda text: _percent(_wide(text), 2), lambda text: _percent(text, 7)])
def test_what_is_carried_elsewhere(spelt: Callable[[str], str]) -> None:
    """A password of the call's is found in its query in full width, too, and escaped more often than anybody does."""
    url = f"https://api.themoviedb.org/3/search/movie?query={quote_plus(spelt('hunter2'))}"
    call = classify("GET", url, {"Authorization": "Basic dXNlcjpodW50ZXIy"})
    assert call is not None
    assert not call.key


@pytest.mark.parametrize(
    "query", ["100%", "50% off &amp; more", "C:\\temp", "AC/DC", "＆", "ＡＫＩＲＡ", "İstanbul", "%25"]
)
def test_escapes_that_people_type(query: str) -> None:
    """What looks like the beginning of an escape is cached."""
    call = classify("GET", f"https://api.themoviedb.org/3/search/movie?query={quote_plus(query)}", {})
    assert call is not None
    assert call.key
