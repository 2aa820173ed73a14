r"""How servers read the target of a request: the steps that one or another takes, and what is private by what is left.

RFC 3986 lets a server remove dot segments and decode what needs no escape; frameworks, proxies and servers do more,
each in an order of its own: nginx decodes once, merges slashes and removes dots; Tomcat and Spring drop ``;params``
first; IIS decodes twice, takes ``\`` for ``/`` and drops dots and blanks at the end of a segment; Rails takes off a
format; PHP folds the names of params. So a target has as many readings as there are ways to take such steps, in any
order and as often as one likes (a proxy before another). `private` looks at all of them.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import product
from typing import Any
from urllib.parse import unquote, unquote_plus
from zlib import crc32

Step = Callable[[str], str]


def decode(text: str) -> str:
    """Percent-decode once: what is no UTF-8 is replaced."""
    return unquote(text)


def decode_lossy(text: str) -> str:
    """Percent-decode once: what is no UTF-8 is dropped."""
    return unquote(text, errors="ignore")


def decode_latin(text: str) -> str:
    """Percent-decode once, to Latin-1, as Java's older servers do."""
    return unquote(text, encoding="latin-1")


_OVERLONG = re.compile(r"%u([0-9a-f]{4})|%c([01])%([89ab])([0-9a-f])|%e0%8([01])%([89ab])([0-9a-f])", re.IGNORECASE)


def _code_point(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    high, middle, low = (int(part, 16) for part in found.groups()[1:] if part is not None)
    return chr(high << 6 | (middle & 3) << 4 | low)


def decode_overlong(text: str) -> str:
    """Decode ``%u002f`` and the over-long UTF-8 of an ASCII character, as IIS and old decoders do."""
    return _OVERLONG.sub(_code_point, text)


def decode_segments(text: str) -> str:
    """Decode each segment by itself: an escaped slash separates nothing (Express, Spring)."""
    return "/".join(unquote(segment).replace("/", "%2F") for segment in text.split("/"))


_UNRESERVED = re.compile(r"%(2d|2e|3[0-9]|4[1-9a-f]|5[0-9a]|5f|6[1-9a-f]|7[0-9a]|7e)", re.IGNORECASE)


def decode_unreserved(text: str) -> str:
    """Decode what needs no escape (RFC 3986 section 6.2.2.2)."""
    return _UNRESERVED.sub(lambda found: chr(int(found[1], 16)), text)


def remove_dots(path: str) -> str:
    """Remove dot segments (RFC 3986 section 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    *segments, last = path.split("/")[1:]
    for segment in [*segments, last]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, ""] if last in (".", "..") and kept else kept)


def merge_slashes(path: str) -> str:
    """Take several slashes for one (nginx, Werkzeug, Rails)."""
    return re.sub("//+", "/", path)


def drop_authority(path: str) -> str:
    """Take what is behind two slashes for a host (``urlsplit`` on a target)."""
    return re.sub("^//[^/]*", "", path)


def backslashes(path: str) -> str:
    """Take a backslash for a slash (IIS, browsers)."""
    return path.replace("\\", "/")


def drop_params(path: str) -> str:
    """Drop the ``;params`` of each segment (Tomcat, Jetty, Spring)."""
    return re.sub(";[^/]*", "", path)


def trim(path: str) -> str:
    """Drop dots and blanks around each segment, as file systems and IIS do."""
    return "/".join(
        stripped if (stripped := segment.strip()) in (".", "..") else stripped.rstrip(". \t")
        for segment in path.split("/")
    )


def plus(path: str) -> str:
    """Take a plus for a blank, as where a path is decoded like a form."""
    return path.replace("+", " ")


def drop_format(path: str) -> str:
    """Take off a format at the end (Rails, Spring)."""
    return re.sub(r"\.[A-Za-z0-9]{1,5}(?=/?$)", "", path)


def cut(path: str) -> str:
    """End at a NUL, at a decoded fragment or query: who passes on the decoded path makes a new target of it."""
    return re.split("[\0#?]", path, maxsplit=1)[0]


@lru_cache(4096)
def fold(text: str) -> str:
    """Compare without case, width or what cannot be printed."""
    return "".join(filter(str.isprintable, unicodedata.normalize("NFKC", text).casefold()))


DECODING: tuple[Step, ...] = (
    *(decode, decode_lossy, decode_latin, decode_overlong),
    *(decode_segments, decode_unreserved, plus),
)
SPLITTING: tuple[Step, ...] = (
    *(remove_dots, merge_slashes, drop_authority, backslashes),
    *(drop_params, trim, drop_format, cut),
)

# What such servers are known to do, for those who read a failure; `ways` has them all, and more.
ROUTERS: dict[str, tuple[Step, ...]] = {
    "as it stands": (),
    "RFC 3986, dots": (remove_dots,),
    "RFC 3986, normalised": (decode_unreserved, remove_dots),
    "Django, Flask behind WSGI": (decode,),
    "Werkzeug": (decode, merge_slashes),
    "Express": (decode_segments,),
    "nginx": (decode, merge_slashes, remove_dots),
    "nginx before WSGI": (decode, merge_slashes, remove_dots, decode),
    "CloudFront before WSGI": (remove_dots, decode),
    "Rails": (merge_slashes, decode, drop_format),
    "Tomcat": (drop_params, decode, backslashes, merge_slashes, remove_dots),
    "Spring": (decode, drop_params, remove_dots, drop_format),
    "IIS": (decode, decode_overlong, backslashes, trim, remove_dots, str.lower),
    "IIS, double escaping": (decode, decode, backslashes, trim, remove_dots, str.lower),
    "decoded until nothing changes": (decode, decode, decode, decode, remove_dots, fold),
}


def ways() -> Iterator[tuple[Step, ...]]:
    """Yield the routers: those that are known, and all that take up to three steps."""
    yield from ROUTERS.values()
    for length in range(1, 4):
        yield from product((fold, *DECODING, *SPLITTING), repeat=length)


def read(path: str, way: Iterable[Step]) -> str:
    """Read a path as one router does."""
    for step in way:
        path = step(path)
    return path


def reachable(texts: Iterable[str], steps: Iterable[Step]) -> Iterator[str]:
    """Yield what is left after any of these steps, in any order and as often as one likes."""
    steps = tuple(steps)
    todo = list(dict.fromkeys(texts))
    seen = set(todo)
    while todo:
        text = todo.pop()
        yield text
        for step in steps:
            if (left := step(text)) not in seen:
                seen.add(left)
                todo.append(left)


# tmdb.md, "Private: never look up, never store".
PRIVATE_PLACES = ("account", "authentication", "guest_session", "list")
PRIVATE_ENDS = ("account_states", "rating")
PRIVATE_PARAMS = ("sessionid", "guestsessionid", "callback")


def _private_path(path: str) -> bool:
    before, *segments = path.rstrip("/").split("/")
    if before or not segments:
        return False
    if segments[0] == "4" or segments[-1] in PRIVATE_ENDS:
        return True
    return segments[0] == "3" and len(segments) > 1 and segments[1] in PRIVATE_PLACES


def letters(text: str) -> str:
    """Compare names as frameworks do that take ``_ - . [ ]`` and blanks for one another, or drop them."""
    return re.sub(r"[\s_.?\[\]-]", "", fold(text))


@lru_cache(8192)
def _names(name: str) -> frozenset[str]:
    """Return what a name may be taken for: with or without an index, and what is behind a NUL."""
    return frozenset(letters(part) for part in (name, name.partition("[")[0], name.partition("\0")[0]))


def _private_param(name: str, value: str) -> bool:
    names = _names(name)
    if not names.isdisjoint(PRIVATE_PARAMS):
        return True
    return "appendtoresponse" in names and any(
        letters(part) == "accountstates" for part in re.split(r"[\s,;|+/\0]", fold(value))
    )


def _private_query(query: str) -> bool:
    for separator in ("&", "[&;]"):
        for pair in re.split(separator, query):
            name, _, value = pair.partition("=")
            if any(_private_param(name, once) for name, once in _decoded(name, value)):
                return True
    return False


def _decoded(name: str, value: str) -> Iterator[tuple[str, str]]:
    for _ in range(4):
        yield name, value
        before = name, value
        name, value = unquote_plus(name), unquote_plus(value)
        if before == (name, value):
            return


@lru_cache(8192)
def private_path(path: str) -> str | None:
    """Return a reading of a path by which it is private; None where there is none."""
    for text in reachable([path], [*DECODING, *SPLITTING]):
        folded = fold(text)
        for read_so in reachable([folded], SPLITTING) if folded != text else [folded]:
            if _private_path(read_so):
                return read_so
    return None


@lru_cache(8192)
def private_query(query: str) -> str | None:
    """Return a reading of a query by which it is private; None where there is none."""
    for text in reachable([query], (decode, decode_lossy, decode_latin, decode_overlong)):
        if _private_query(text):
            return text
    return None


def private(target: str) -> str | None:
    """Return a reading by which a target is private; None where it is public for every router."""
    path, _, query = target.partition("?")
    if found := private_path(path):
        return found
    if "%" in path:
        # Who decodes before splitting finds a query in the path.
        for text in reachable([path], (decode,)):
            if "?" in text and (found := private_query(text.partition("?")[2] + "&" + query)):
                return f"?{found}"
    return (found := private_query(query)) and f"?{found}"


# What docs/design.md says is one question, however it is spelt.
CREDENTIALS = frozenset(
    ("apikey", "sessionid", "guestsessionid", "requesttoken", "accesstoken", "username", "password")
)


def question(query: str, *, separator: str = "&", last: bool = True, twice: bool = False, folded: bool = False) -> Any:
    """Return what a router makes of a query: values by name, without what design.md says makes no difference."""
    values: dict[str, str] = {}
    if twice:
        query = unquote(query)
    for pair in re.split(separator, query):
        name, _, value = pair.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        if not pair or letters(name) in CREDENTIALS:
            continue
        if folded:
            name = letters(name)
        if last or name not in values:
            values[name] = value
    if values.get("page") == "1":
        del values["page"]
    if "append_to_response" in values:
        values["append_to_response"] = ",".join(sorted(set(values["append_to_response"].split(","))))
    return frozenset(values.items())


QUESTIONS: tuple[dict[str, Any], ...] = tuple(
    {"separator": separator, "last": last, "twice": twice, "folded": folded}
    for separator, last, twice, folded in product(("&", "[&;]"), (True, False), (True, False), (True, False))
)


@lru_cache(8192)
def resource(target: str) -> tuple[Any, ...]:
    """Return what a target is to each known router: alike for targets that are the same to all of them."""
    path, _, query = target.partition("?")
    return (
        tuple(read(path, way) for way in ROUTERS.values()),
        tuple(question(query, **options) for options in QUESTIONS),
    )


# What TMDB's responses are recognized by. Private ones have it,
# too: nothing but the request is to keep them from being stored.
MEMBERS: dict[str, Any] = {
    **{"page": 1, "total_pages": 1, "total_results": 0, "season_number": 1},
    **{name: [] for name in ("results", "movie_results", "cast", "crew")},
    "images": {},
}


def answer(target: str, caller: str) -> bytes:
    """Return the response to a target: the caller's own, where any router reads it as private."""
    number = next((int(found) for found in re.findall(r"/(?:tt)?(\d+)", target[2:])), 1)
    if private(target):
        return json.dumps({"id": number, "username": caller, **MEMBERS}).encode()
    asked = crc32(repr(resource(target)).encode())
    appended = dict(question(target.partition("?")[2])).get("append_to_response", "")
    return json.dumps({"id": number, "asked": asked, **MEMBERS, **{part: {} for part in appended.split(",")}}).encode()


class Upstream(socketserver.ThreadingTCPServer):
    """TMDB as any router would make it: it tells each caller, by ``X-Caller``, what is his."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.host}"
        self.redirects: dict[str, str] = {}
        self.target = ""  # of the last call, as it was on the wire

    def __enter__(self) -> Upstream:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.StreamRequestHandler):
    """One connection, kept alive."""

    disable_nagle_algorithm = True
    server: Upstream

    def handle(self) -> None:
        while line := self.rfile.readline():
            fields = {}
            while (field := self.rfile.readline().decode().strip()) != "":
                name, _, value = field.partition(":")
                fields[name.lower()] = value.strip()
            target = self.server.target = line.split(b" ")[1].decode()
            status, body = "200 OK", answer(target, fields.get("x-caller", ""))
            if location := self.server.redirects.get(target):
                status, body = f"302 Found\r\nLocation: {location}", b"{}"
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json;charset=utf-8\r\n"
            self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
