"""Spellings of an URL: what two servers may read as two calls is neither looked up nor stored, nor shares a key."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import permutations, product
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tmdb_mongo_cache.tmdb.cache_key import appended_parts, key_of_prepared, parts_of, query_part
from tmdb_mongo_cache.tmdb.call import Call, classify, credentials_of, may_identify_user
from tmdb_mongo_cache.tmdb.normalization import decoded, folded, names, plain
from tmdb_mongo_cache.tmdb.urls import LONGEST_URL, pairs

from ..keykit import fast, prepared_url

HOST = "https://api.themoviedb.org"


def look(target: str) -> Call:
    """Classify what is sent for a target, prepared or put there by hand."""
    found = classify("GET", HOST + target, {"Authorization": "Bearer abc"})
    assert found is not None
    return found


def both(target: str) -> list[Call]:
    """Classify a target as it stands, and as requests sends it."""
    return [look(target), look((prepared_url(HOST + target) or "").removeprefix(HOST))]


UNNEEDED = [f"%{number:02X}" for number in range(128) if chr(number) not in ' "<>[]^`{|}']
DOTS = ["/.", "/..", "/. /", "/+./", "/%20..", "/..%20/"]
NOT_PRINTED = ["\t", "\n", "\x7f", "\u00a0", "\u200b", "\u2028", "\ufeff", "\u00ad", "\ufe0f", "\u3164", "\ue000"]
ALIKE = ["\uff41", "\u017f", "\u212a", "\u0131", "\u0130", "\u2024", "\uff0f", "\u00df", "\ufb01", "\u2100"]
NO_TEXT = ["%FF", "%C0%AF", "%E2%80", "%ED%A0%80", "%A0"]


@pytest.mark.parametrize("where", ["/3/movie/550{}", "/3/movie/{}550", "/3/{}/movie/550", "/3/movie/550/{}/credits"])
def test_what_no_path_needs(where: str) -> None:
    """A path with an escape that is not needed, with what is not printed, is no text or looks like ASCII: never."""
    odd = [
        *UNNEEDED,
        *(quote(letter) for letter in NOT_PRINTED + ALIKE),
        *NO_TEXT,
        *NOT_PRINTED,
        *ALIKE,
        "\\",
        ";",
        ";a=b",
    ]
    assert [one for one in odd if not look(where.format(one)).bypass] == []
    assert [one for one in UNNEEDED if not look(where.format(one.lower())).bypass] == []


@pytest.mark.parametrize("dots", DOTS)
def test_dots_on_the_wire(dots: str) -> None:
    """A dot segment that is sent, with blanks about it too, is in no path that is cached."""
    for path in (f"/3/movie/550{dots}", f"/3/tv{dots}/account/1", f"/3{dots}/movie/550"):
        assert look(path).bypass
    for path in ("/3/tv/%2e%2e/account/1", "/3/movie/%2E/550", "/3/tv/..%2f..%2faccount", "/3/x%2F../account/1"):
        assert all(call.bypass for call in both(path))


SLASHES = ["/", "//", "///"]
PRIVATE = [("account", "1"), ("list", "7"), ("movie", "550", "rating"), ("tv", "1", "account_states")]


def test_empty_segments() -> None:
    """A path with empty segments is private where it is without them, and else cached, as it is spelt."""
    for first, second, third in product(SLASHES, repeat=3):
        for private in PRIVATE:
            path = f"{first}3{second}{private[0]}{third}{third.join(private[1:])}"
            assert all(call.bypass for call in both(path)), path
        path = f"{first}3{second}movie{third}550"
        if first == "/" or "//" not in path[len(first) :]:
            for call in both(path):
                parts = parts_of(call.key)
                assert parts is not None, path
                assert parts.path == path
                assert (call.endpoint.media_type, call.endpoint.tmdb_id) == ("movie", 550)
    for path in ("//3/3/account/1", "//3/4/list/1", "///3/3/list/1", "//api.themoviedb.org/3/account/1", "//4/list/1"):
        assert all(call.bypass for call in both(path)), path


SPELT: list[Callable[[str], str]] = [
    str.upper,
    str.title,
    lambda word: f"{word}.json",
    lambda word: f"{word}.",
    lambda word: f"{word}%20",
    lambda word: f"+{word}",
    lambda word: f"{word}:1",
    lambda word: f"{word},x",
    lambda word: f"({word})",
    lambda word: word.replace("_", "-"),
    lambda word: f"{word}%22",
    lambda word: f"%5B{word}%5D",
]


@pytest.mark.parametrize("private", PRIVATE)
def test_words_of_a_private_path(private: tuple[str, ...]) -> None:
    """A word that makes a path private does so in any case, with a format, blanks or punctuation about it."""
    word = private[-1] if len(private) > 2 else private[0]
    for spell in SPELT:
        path = "/3/" + "/".join(spell(one) if one == word else one for one in private)
        assert all(call.bypass for call in both(path)), path


HALVES = st.text(st.sampled_from("\ud800\udfff\udc80\udcff%41?&=é"), min_size=1, max_size=6)


@fast
@given(HALVES.filter(lambda text: not text.isprintable()), st.sampled_from(["/3/{}", "/3/movie/550?{}", "/3/x?a={}"]))
def test_half_of_a_pair(text: str, where: str) -> None:
    """urllib3 sends what no encoding has, from an URL put there by hand: such a call is not cached, and is no error."""
    target = where.format(text)
    assert look(target).bypass
    assert (key_of_prepared(HOST + target) or "").isascii()
    assert not may_identify_user(HOST + target, {})
    assert credentials_of(HOST + target, {}) == frozenset()


@fast
@given(st.text(st.sampled_from("/.%23aAcou nt5;\\+é\u200b\t"), max_size=14))
def test_what_is_cached_is_read_in_one_way(target: str) -> None:
    """A path that is cached has no dots, is the same decoded once or twice, and has the key of what is sent."""
    call = look(f"/3/{target}")
    if call.bypass:
        return
    found = parts_of(call.key)
    assert found is not None
    assert decoded(found.path) == requests.utils.unquote(found.path)
    assert not {".", ".."} & {segment.strip(" +") for segment in decoded(found.path).split("/")}
    assert key_of_prepared(prepared_url(HOST + found.path)) == call.key


BLANKS = ["", " ", "_", "-", ".", "[]", "\t", "\u200b", "__"]
SESSIONS = ["session{}id", "{}session_id", "session_id{}", "guest{}session{}id", "SESSION{}ID", "\uff53ession{}id"]
CALLBACKS = ["callback{}", "{}callback", "call{}back", "JSON{}P", "callback[{}]"]


@pytest.mark.parametrize("name", [*SESSIONS, *CALLBACKS, "_method{}", "x{}http{}method{}override"])
def test_names_that_some_server_takes_for_one(name: str) -> None:
    """A session, a callback or another method bypasses the cache by every spelling of its name, and empty."""
    for blank, value in product(BLANKS, ("=x", "=", "")):
        if not value and not blank.isprintable():
            continue
        spelt = name.replace("{}", blank)
        for escaped in (
            quote(spelt, safe="[]"),
            quote(quote(spelt)),
            spelt.replace("s", "%u0073"),
            f"a=b%26{quote(spelt)}",
        ):
            query = f"language=de&{escaped}{value if '%26' not in escaped else quote(value or '=')}"
            assert look(f"/3/movie/550?{query}").bypass, query


UP = ["../../account/1", "..%2F..%2Faccount", "%252e%252e/x", "x/./y", "..\\x", "credits;a", "credits?x"]
PRIVATE_PARTS = ["rating", " Rating", "season/1/rating", "/account/1", "3/list/7", "guest-session", "r%61ting"]


@pytest.mark.parametrize("name", ["append_to_response", "Append.To.Response", "ap_pend%5Fto_response%5B%5D"])
def test_what_is_appended_is_a_path(name: str) -> None:
    """A part that could lead up, or is private by itself, is not cached, whatever stands beside it; others are."""
    for part in (*UP, *PRIVATE_PARTS):
        for value in (part, f"credits,{part}", f"{part},credits"):
            assert all(call.bypass for call in both(f"/3/tv/1?{name}={value}"))
    for value in ("season/1,season/2/credits", "lists,content_ratings", "videos, images", "credits,", "videos|images"):
        assert not look(f"/3/tv/1?{name}={quote(value)}").bypass
    assert not look("/3/tv/1?query=../../account/rating").bypass


@pytest.mark.parametrize("query", ["q=%FF", "callba%C1%A3k=x", "a=b%26c%C0%BDd", "append_to_response=%E4", "q=%25FF"])
def test_no_text(query: str) -> None:
    """Bytes that are no UTF-8, which decoders drop or take for others, are in no query that is cached."""
    assert look(f"/3/search/movie?{query}").bypass


@pytest.mark.parametrize("value", ["k;language=de", "k&language=de", "k\nlanguage=de", "k?a=b", "k%3Blanguage=de"])
def test_what_is_left_out_hides_nothing(value: str) -> None:
    """A credential is left out of the key where nothing else can be in it."""
    assert look(f"/3/movie/550?api_key={quote(value)}").bypass
    assert not look("/3/movie/550?api_key=0123456789abcdef").bypass


TWINS = ["language=", "language", "language=de", "Language=de", "page=1", "page=2", "Page=1", "a.b=1", "a_b=2", ""]


def test_one_key_is_one_question() -> None:
    """Params in another order share a key where no server takes two of them for one, and those that say more do not."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for one in permutations(TWINS, 3):
        said = [item for item in one if item]
        if [item for item in said if folded(item.split("=")[0]) == "page"] == ["page=1"]:
            said.remove("page=1")
        by_name = sorted(said, key=lambda item: folded(item.split("=")[0]))  # stable
        found.setdefault(query_part("&".join(filter(None, one))), set()).add(tuple(by_name))
    assert all(len(questions) == 1 for questions in found.values())


@fast
@given(st.lists(st.sampled_from(["a", "b", " a", "a ", "", "c/d"]), min_size=1, max_size=4), st.randoms())
def test_what_is_appended(parts: list[str], dice: object) -> None:
    """The set of parts, split at the comma alone, makes the key; with an empty one the text does."""
    text = ",".join(parts)
    other = ",".join(sorted(parts, key=lambda _: dice.random()) + parts[:1])  # type: ignore[attr-defined]
    one, two = (query_part(f"append_to_response={quote(value)}") for value in (text, other))
    assert (one == two) is ("" not in parts or text == other)
    assert one != query_part(f"append_to_response={quote(text.replace(' ', ''))}") or " " not in text
    assert set(appended_parts(pairs(f"append_to_response={quote(text)}"))) == {part.strip() for part in parts} - {""}


@pytest.mark.parametrize(
    "name",
    [
        "Session_Id",
        "session.id",
        "X Session Id",
        "X_HTTP_Method_Override",
        "x.http.method",
        "If_None_Match",
        "X-Original-URL",
    ],
)
def test_names_of_headers(name: str) -> None:
    """A header that makes a call private, or another one, does so by its folded name."""
    call = classify("GET", f"{HOST}/3/movie/550", {name: "x"})
    assert call is not None
    assert call.bypass


@pytest.mark.parametrize("part", ["/3/movie/550?query={}", "/3/movie/{}"])
def test_a_long_url(part: str) -> None:
    """An URL of more than 8 kB as it is sent bypasses the cache, its query unread."""
    room = LONGEST_URL - len(HOST + part.format(""))
    for letters, fits in (("x" * room, True), ("x" * (room + 1), False), ("ä" * (room // 6 + 1), False)):
        assert bool(look(part.format(letters)).bypass) is not fits
        assert fits or look(part.format(letters)).bypass == "its URL is longer than 8192 bytes"


ROWS = [
    "&callback ",
    "&callback[",
    "a\u0315\u0300\u0323\u0321",
    "eyj-",
    "token ",
    "%25",
    ";a",
    "/..",
    "%u0041",
    "\uff41",
    ",",
    "=",
    ". ",
]
READERS: dict[str, Callable[[str], object]] = {
    "folded": folded,
    "plain": plain,
    "decoded": decoded,
    "names": lambda text: list(names(text)),
    "key": lambda text: query_part(f"append_to_response={text}&{text}"),
    "headers": lambda text: may_identify_user(f"{HOST}/3/movie/550", {"X": text}),
    "query": lambda text: classify("GET", f"{HOST}/3/movie/550?query={quote(text)}"[:LONGEST_URL], {text[:2000]: text}),
    "path": lambda text: classify("GET", f"{HOST}/3/movie/{text}"[: LONGEST_URL // 6], {}),
}


@pytest.mark.parametrize("reader", READERS)
def test_growth(reader: str) -> None:
    """What reads a caller's texts takes four times as long for texts of four times the length, and not sixteen."""

    def seconds(text: str) -> float:
        times = []
        for _ in range(3):
            began = time.process_time()
            READERS[reader](text)
            times.append(time.process_time() - began)
        return min(times)

    for row in ROWS:
        short, long = (row * (size // len(row)) for size in (4000, 16000))
        assert seconds(long) < 9 * seconds(short) + 0.002, row
