"""An attack from outside on the cache's reading of URLs: spellings without number, against every router there is.

What it knows is RFC 3986, what servers and frameworks do with a target (`routers`), and what of TMDB's is private. It
knows nothing of how the package reads an URL.
"""

from __future__ import annotations

import json
import re
from itertools import cycle, product
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tmdb_mongo_cache.tmdb.call import classify

from ..routers import QUESTIONS, private, question, read, ways
from ..spellingkit import CLASSICS, PUBLIC, Sent, sent, spellings

CHUNKS, SIZE = 12, 5450
OPENAPI = Path(__file__).parents[3] / "shared" / "reference" / "tmdb-openapi.json"
# Who asks can be seen, so that appended account_states are somebody's.
CALLERS = tuple({"Authorization": f"Bearer {letter * 40}"} for letter in "ab")
TMDB = ("api.themoviedb.org", "api.tmdb.org")


def key_of(url: str, headers: dict[str, str]) -> str:
    """Return the key under which a call is looked up and stored; nothing where it is neither."""
    call = classify("GET", url, headers)
    return call.key if call is not None and not call.bypass else ""


def is_tmdb(call: Sent) -> bool:
    """Say whether a call reaches TMDB, by the connection that is made for it."""
    return call.host.lower().rstrip(".") in TMDB and call.port in (None, 80, 443)


class Kept(dict[str, list[tuple[str, Sent]]]):
    """The spellings of a chunk that are cached, by their keys; ``sent`` are all that requests sends."""

    def __init__(self, seed: int) -> None:
        self.sent: set[str] = set()
        for url, untouched in spellings(seed, SIZE):
            call = sent(url, untouched=untouched)
            if call is None:
                continue
            self.sent.add(call.url)
            asks, other = CALLERS if len(call.url) % 2 else CALLERS[::-1]
            if key := key_of(call.url, asks):
                assert key_of(call.url, other) == key
                self.setdefault(key, []).append((url, call))


@pytest.fixture(scope="module")
def kept():
    """Return the kept spellings of a chunk; each is made once."""
    made: dict[int, Kept] = {}
    return lambda chunk: made.get(chunk) or made.setdefault(chunk, Kept(chunk))


chunks = pytest.mark.parametrize("chunk", range(CHUNKS))


@chunks
def test_nothing_private_has_a_key(kept, chunk):
    """A call that any router may read as private is neither looked up nor stored, for no caller."""
    read_so = [
        (key, url, target, found)
        for key, calls in kept(chunk).items()
        for url, call in calls
        for target in call.targets
        if (found := private(target))
    ]
    assert not read_so


@chunks
def test_nothing_of_other_hosts_has_a_key(kept, chunk):
    """A call that does not reach TMDB, by the connection that requests makes, has no key of TMDB's."""
    assert [(key, url) for key, calls in kept(chunk).items() for url, call in calls if not is_tmdb(call)] == []


@chunks
def test_one_key_is_one_question(kept, chunk):
    """What shares a key is one resource and one question, to every router, and goes over one kind of channel."""
    assert [
        (key, found, sorted({url for url, _ in calls})[:6])
        for key, calls in kept(chunk).items()
        if (found := difference([call for _, call in calls]))
    ] == []


def difference(calls: list[Sent]) -> str:
    """Say in what some calls differ; nothing where they do not, whoever reads them."""
    if len({call.scheme for call in calls}) > 1:
        return "channel"
    targets = {target.partition("?")[::2] for call in calls for target in call.targets}
    paths, queries = {path for path, _ in targets}, {query for _, query in targets}
    for way in ways() if len(paths) > 1 else ():
        if len({read(path, way) for path in paths}) > 1:
            return f"path, to a router that takes the steps {[step.__name__ for step in way]}"
    for options in QUESTIONS if len(queries) > 1 else ():
        if len({question(query, **options) for query in queries}) > 1:
            return f"query, read with {options}"
    return ""


@pytest.mark.parametrize("target", CLASSICS)
def test_classics(target):
    """The tricks that are known against caches and proxies have no key, however they are sent."""
    for untouched in (False, True):
        call = sent(f"https://api.themoviedb.org{target}", untouched=untouched)
        assert any(map(private, call.targets))
        assert not key_of(call.url, CALLERS[0])


def test_the_attack_is_one(kept):
    """It sends 60,000 spellings, no two alike, most of them private to some router; of the others some are stored."""
    assert len(set().union(*(kept(chunk).sent for chunk in range(CHUNKS)))) >= 60_000
    calls = [call for url, untouched in spellings(0, 300) if (call := sent(url, untouched=untouched))]
    assert sum(any(map(private, call.targets)) for call in calls) > len(calls) / 2
    assert sum(len(kept(chunk)) for chunk in range(CHUNKS)) > 500


SAMPLES = {
    "language": "de-DE",
    "page": "3",
    "query": "Rear Window",
    "start_date": "2026-11-01",
    "end_date": "2026-11-03",
    "include_adult": "False",
    "append_to_response": "credits,images",
    "external_source": "imdb_id",
    "sort_by": "popularity.desc",
    "with_genres": "18|35,12",
    "include_image_language": "en,null",
}
IDS = {"external_id": "tt0137523", "time_window": "week", "credit_id": "52fe4250c3a36847f80149f3"}
WORDS = (
    *("Fight Club", "AT&T", "50% off", "What's up, Doc?", "#Alive", "C++", "Amélie", "千と千尋の神隠し", "a;b", "π"),
    *("M*A*S*H", "Face/Off", "tick, tick... BOOM!", "[REC]²", "100% Wolf", "callback", "session", "Mr. & Mrs. Smith"),
    *("$9.99", "Se7en", "x=1", "The Account", "rating", "1+1=2?", "list", "(500) Days of Summer", "WALL·E", "..", "/"),
    *("Léon: The Professional", "9½ Weeks", "{proof}", "Am I ok?", "Crazy, Stupid, Love.", "*batteries not included"),
)
EVERYDAY = (
    "/3/movie/550?append_to_response=watch%2Fproviders%2Ccredits",
    "/3/movie/550?append_to_response=watch/providers,credits",
    "/3/movie/550?api_key=k&&language=en-US",
    "/3/movie/550?language=en-US&",
    "/3//movie/550",
    "//3/movie/550",
    "/3/movie/550/",
    "/3/find/tt0137523?external_source=imdb_id",
    "/3/find/-x_Y~1?external_source=youtube_id",
    "/3/discover/movie?vote_average.gte=7.5&with_genres=18%7C35&sort_by=vote_average.desc",
    "/3/discover/movie?with_watch_providers=8%7C9&watch_region=US&primary_release_date.lte=1999-12-31",
    "/3/movie/550/images?include_image_language=en,null",
)


def everyday_calls():
    """Yield the targets of plain calls, each another question."""
    paths = json.loads(OPENAPI.read_text())["paths"] if OPENAPI.exists() else {}
    for template, operations in paths.items():
        path = re.sub("{(.*?)}", lambda found: IDS.get(found[1], "550"), template)
        if "get" not in operations or private(path):
            continue
        yield path
        for parameter in operations["get"].get("parameters", ()):
            if parameter["in"] == "query":
                yield f"{path}?{parameter['name']}={quote_plus(SAMPLES.get(parameter['name'], '7'))}"
    if not paths:
        for path in PUBLIC:
            yield from (path.format(n=550), path.format(n=550) + "?language=de-DE")
    for word in WORDS:
        yield f"/3/search/multi?query={quote_plus(word)}"
    for word in WORDS:
        yield f"/3/search/tv?query={quote(word, safe='')}"


def test_everyday_calls_have_keys():
    """The defence is not to cache nothing: plain calls of all public endpoints have keys, each its own."""
    targets = list(everyday_calls())
    keys = {target: key_of(f"https://api.themoviedb.org{target}", CALLERS[0]) for target in targets}
    assert [target for target, key in keys.items() if not key] == []
    assert len(set(keys.values())) == len(targets) > 2 * len(WORDS)


@pytest.mark.parametrize("target", EVERYDAY)
def test_everyday_spellings_have_keys(target):
    """What clients send day by day is cached, though it is not spelt in the plainest way."""
    assert sent(f"https://api.themoviedb.org{target}").targets == (target,)
    assert key_of(f"https://api.themoviedb.org{target}", CALLERS[0])


def wide(name: str) -> str:
    """Spell a name in full-width characters."""
    return "".join(quote(chr(ord(char) + 0xFEE0)) if char.isalpha() else char for char in name)


def invisible(name: str) -> str:
    """Put something into a name that is not seen."""
    return name[:3] + "%E2%80%8B" + name[3:]


SEPARATED = ("_", "-", ".", "", "%20", "+", "__", "%5F", "%5B", "%2E", "＿", "%09", "%25%35%66")
SPELT = (str, str.upper, str.title, lambda name: name.replace("s", "%73").replace("c", "%63"), wide, invisible)
AROUND = ("{}", "{}[]", "{}%5B0%5D", "{}[x]", "+{}", "%20{}", "{}%20", "{}.", "{}%00", "{}%00x", "?{}", "{}%0A", "_{}_")


@pytest.mark.parametrize("name", ["session_id", "guest_session_id", "callback", "append_to_response"])
def test_params_that_are_read_as_private(name):
    """A param that a framework may take for a session, a callback or appended account_states makes a call private."""
    value = "account_states" if name == "append_to_response" else "x"
    found = []
    before = cycle(("", "language=de&", "query=a;", "query=a%26"))
    for separator, spell, around in product(SEPARATED, SPELT, AROUND):
        query = f"{next(before)}{around.format(spell(name).replace('_', separator))}={value}"
        if (call := sent(f"https://api.themoviedb.org/3/movie/550?{query}")) and key_of(call.url, CALLERS[0]):
            found.append(query)
    assert not found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session_id", "5e551011"),
        ("x_session_id", "5e551011"),
        ("guest_session_id", "9e557"),
        ("x_guest_session_id", "9e557"),
        ("x_http_method_override", "DELETE"),
        ("x_http_method", "PUT"),
        ("x_method_override", "POST"),
        ("x_original_url", "/3/account/1"),
        ("x_rewrite_url", "/3/account/1"),
    ],
)
def test_fields_that_make_another_call_of_it(name, value):
    """A session, another method or another target in a header field, by whatever name a server reads there."""
    for separator, spell in product(("_", "-", ".", "", "__", "--"), (str, str.upper, str.title)):
        field = spell(name).replace("_", separator)
        assert not key_of("https://api.themoviedb.org/3/movie/550", {field: value}), field


@pytest.mark.parametrize(
    "fields",
    [
        {"User-Agent": "python-requests/2", "Accept": "*/*", "Accept-Encoding": "gzip, deflate", "Connection": "close"},
        {"Accept": "application/json", "Content-Type": "application/json;charset=utf-8"},
        {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-Id": "1"},
    ],
)
def test_everyday_fields(fields):
    """The fields that clients send day by day change nothing."""
    assert key_of("https://api.themoviedb.org/3/movie/550", fields)
