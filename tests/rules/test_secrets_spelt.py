"""A value is found in a text in whatever spelling, and in time that grows with the text."""

from __future__ import annotations

import json
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache.tmdb import credentials, redaction, secret_search
from tmdb_mongo_cache.tmdb.secret_search import contains, decoded, needles_of

from ..secretkit import BODIES, KINDS, TEXTS

SPELT = [
    pytest.param(spell(value), value, id=f"{kind}, {name}")
    for kind, value in KINDS.items()
    for name, spell in BODIES.items()
]


@pytest.mark.parametrize(("body", "value"), SPELT)
def test_a_value_is_found_in_whatever_spelling(body: bytes, value: str) -> None:
    """A credential is found in a body in any case, escaped for URLs, JSON or HTML, twice, in Base64, in UTF-16."""
    assert contains(body, needles_of([value]))
    assert contains(body, needles_of(["another-value", value]))
    assert not contains(body, needles_of(["another-value"]))


@settings(max_examples=120, deadline=None)
@given(
    value=st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cc", "Cs"]), min_size=6, max_size=20),
    before=st.text(st.characters(codec="utf-8"), max_size=4),
    spellings=st.lists(st.sampled_from(["percent", "JSON, numbers", "HTML, numbers", "as it is"]), max_size=2),
)
def test_a_value_is_found_behind_two_escapes(value: str, before: str, spellings: list[str]) -> None:
    """Whatever the value is, and though a second layer escapes what a first has escaped."""
    text = value
    for name in spellings:
        text = TEXTS[name](text)
    assert contains(f"{before} {text}", needles_of([value]))


@pytest.mark.parametrize("value", KINDS.values(), ids=KINDS)
def test_nothing_is_found_where_nothing_is(value: str) -> None:
    """A response of TMDB's, escapes of other characters and all, has no credential in it; short values are words."""
    film = {
        "id": 550,
        "title": "«Féder» \\ & Söhne",
        "overview": 'A "club"\n100 %, 50%25',
        "poster_path": "/8nyt/5k.jpg",
    }
    for body in (json.dumps(film).encode(), json.dumps(film, ensure_ascii=False).encode(), b"", b"\0\0"):
        assert not contains(body, needles_of([value]))
    assert not contains(value, needles_of([]))
    assert not contains(value, needles_of([value[:5]]))


def test_no_value_is_shown() -> None:
    """What is looked for is in no repr."""
    assert KINDS["hex"] not in repr(needles_of(KINDS.values()))


@pytest.mark.parametrize(
    ("text", "plain"),
    [("ＡＰＩ＿ＫＥＹ", "api_key"), ("%2541b%26%2343;", "ab+"), ("\\u0041", "a"), ("Ünï", "ünï"), ("a%zz", "a%zz")],
)
def test_decoded(text: str, plain: str) -> None:
    """A text is read in small letters, without escapes, in usual letters."""
    assert decoded(text) == plain


PIECES = [
    *(
        "a.",
        "a",
        "e",
        "0",
        "é",
        "ſ",
        "_",
        "-",
        "=",
        " ",
        "\0",
        "%25",
        "\\",
        "\\u0041",
        "&",
        "&#",
        "&amp;",
        "://",
        "@",
        "eyJ",
    ),
    *("api_key", "api_key ", "bearer ", "basic ", "token", "session", "?key", "sig\n", "key:"),
]
TAKE_A_TEXT = {
    "redact": redaction.redact,
    "mentions": lambda text: redaction.mentions(text, ["0123456789abcdef"]),
    "contains": lambda text: contains(text, needles_of(["0123456789abcdef"])),
    "contains, odd": lambda text: contains(text, needles_of(['ä"/ 56789abcdef'])),
    "needles_of": lambda text: needles_of([text]),
    "decoded": secret_search.decoded,
    "looks_like_credential": credentials.looks_like_credential,
    "looks_like_credential_name": credentials.looks_like_credential_name,
    "query_bypass_reason": lambda text: credentials.query_bypass_reason([("x", text), (text, "")]),
    "of_headers": lambda text: credentials.of_headers({"X-Y": text, "Cookie": text, "Authorization": text}),
    "strip_location": redaction.strip_location,
}


@pytest.mark.parametrize("name", TAKE_A_TEXT)
def test_time_grows_with_the_text(name: str) -> None:
    """Eight times the text takes some eight times the time, whatever it is made of; sixty-four if it were quadratic."""
    take: Any = TAKE_A_TEXT[name]
    for piece in PIECES:
        text = piece * (2000 // len(piece))

        def seconds(text: str) -> float:
            began = thread_time()
            take(text)
            return thread_time() - began

        once = min(seconds(text) for _ in range(3))
        if once > 30e-6:
            assert min(seconds(text * 8) for _ in range(2)) < 30 * once, piece


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        *(
            ("abc/def12", "x abc\\/def12 y", True),
            ("abc/def12", "x abc%2Fdef12 y", True),
            ("abc/def12", "abc def12", False),
        ),
        *(("abcdef12", "ab\\u0063def12", True), ("abcdef12", "ab\\x63def12", True), ("abcdef12", "ab%63def12", True)),
        *(("abcdef12", "ab%u0063def12", True), ("abcdef12", "ab&#99;def12", True), ("abcdef12", "ab&#x63;def12", True)),
        *(
            ("abcdef12", "a\0b\0c\0d\0e\0f\0001\0002", True),
            ("abcdef12", "%2561bcdef12", True),
            ("abcdef12", "abc def12", False),
        ),
        *(("abcdef12", "\\n" * 30 + "ab\\u0063def12", True), ("abcdef12", "%ff" * 30 + "ab%63def12", True)),
        *(('a"bcdef', 'a\\"bcdef', True), ("a'bcdef", "a\\'bcdef", True), ("a&bcdef", "a&amp;bcdef", True)),
        *(
            ("abcde", "abcde", False),
            ("abcdef", "abcdef", True),
            ("a bcdef", "a+bcdef", True),
            ("a%20bcdef", "a bcdef", True),
        ),
        *(
            ("abcdef", "YWJjZGVm", True),
            ("abcdef12", "YWJjZGVmMTI=", True),
            ("abcdef12", "eGFiY2RlZjEy", True),
            ("abcdef12", "eHhhYmNkZWYxMg==", True),
        ),
        *(("äbcdef", "ÄBCDEF", True), ("äbcdef", "%C3%A4bcdef", True), ("abc def", "abc&nbsp;def", False)),
    ],
)
def test_spellings(value: str, text: str, found: bool) -> None:
    """A value is found in these spellings, in a text and in a body, in any case where it is one of ASCII."""
    what = needles_of([value])
    assert contains(text, what) is found
    assert contains(text.encode(), what) is found
    assert contains(f"{'x' * 50} {text} {'y' * 50}", what) is found


@pytest.mark.parametrize(
    ("text", "low"),
    [
        ("A\0b", "ab"),
        ("Ａb", "ab"),
        ("%41b", "ab"),
        ("a&amp;B", "a&b"),
        ("\\u0041b", "ab"),
        ("%2541", "a"),
        ("aB", "ab"),
    ],
)
def test_decoded_texts(text: str, low: str) -> None:
    """A text in small letters, without escapes, NULs and letters of full width."""
    assert decoded(text) == low
