"""TMDB's rules: who may ask, what is appended, which page, which error, which headers.

No sockets here: a `Request` goes in and a `Reply` comes out.
"""

import datetime as dt
import gzip
import hashlib
import re
import time
import uuid
from collections.abc import Iterable
from typing import Any

from . import shapes
from .catalog import mix
from .wire import JSON, Reply, Request, dump, error, resolved

FEED = re.compile(r"/3/(movie|tv|person)/changes")
FEED_PAGES = {"movie": 68, "tv": 28, "person": 60}
PRIVATE = re.compile(r"/4(/.*)?|/3/(account|authentication|guest_session|list)(/.*)?|.*/(account_states|rating)")
SEARCHES = re.compile(r"/3/(search|discover|find)/.*|/3/(movie|tv)/(popular|top_rated|upcoming|now_playing|.*air.*)")
LANGUAGE_FREE = frozenset(
    ["api_key", "session_id", "guest_session_id", "language", "page", "append_to_response", "callback"]
)
DONE = {
    1: "Success.",
    12: "The item/record was updated successfully.",
    13: "The item/record was deleted successfully.",
}


class Problem(Exception):
    """Raised when TMDB would answer with an error; `code` is its status code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Api:
    """Answers requests from shapes; `change` makes the answer of a path another one."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self._made: dict[tuple[Any, ...], tuple[bytes, str, float]] = {}

    def change(self, path: str) -> None:
        """Let the answer of a path differ from now on; the latest change comes first in the feed."""
        path = resolved(path.partition("?")[0])
        self.versions[path] = self.versions.pop(path, 0) + 1
        self._made.clear()

    def reset(self) -> None:
        """Forget the changes."""
        if self.versions:
            self._made.clear()
        self.versions.clear()

    def reply(self, request: Request, append: bool = True) -> Reply:
        """Return the answer to a request; with `append=False` it ignores append_to_response."""
        try:
            return self._reply(request, append)
        except Problem as problem:
            return error(problem.code)

    def _reply(self, request: Request, append: bool) -> Reply:
        arguments, path = request.arguments, request.resource
        bearer = request.header("authorization").removeprefix("Bearer").strip()
        if (arguments.get("api_key") or bearer or "invalid") == "invalid":
            raise Problem(7)
        method = "GET" if request.method == "HEAD" else request.method
        if path.startswith("/4/"):
            return self._finish(request, dump(version_four(path, arguments)), "Miss", 0)
        found = shapes.route(method, path)
        if found is None:
            known = any(shapes.route(other, path) for other in ("GET", "POST", "DELETE"))
            raise Problem(42 if known else 34)
        if method != "GET":
            return Reply(
                200,
                dump(written(found, method)),
                {"Content-Type": JSON, "Cache-Control": "public, max-age=0"},
            )
        if path.startswith("/3/authentication"):
            return self._finish(request, dump(filled(found, path)), "Miss", 0)
        relevant = sorted((k, v) for k, v in request.query if k not in ("api_key", "callback"))
        key = (path, append, *(pair for pair in relevant if pair != ("page", "1")))
        made = self._made.get(key)
        state = "Hit" if made else "Miss"
        if made is None:
            if len(self._made) > 5_000:
                self._made.clear()
            body = dump(self._answer(found, path, arguments, append))
            made = self._made[key] = (
                body,
                hashlib.md5(body, usedforsecurity=False).hexdigest(),
                time.monotonic(),
            )
        body, etag, since = made
        age = int(time.monotonic() - since)
        reply = self._finish(request, body, state, max_age(path, arguments), etag)
        if state == "Hit":
            reply.headers["Age"] = str(age)
        return reply

    def _finish(self, request: Request, body: bytes, state: str, age: int, etag: str = "") -> Reply:
        """Return a 200 with TMDB's headers, or a 304."""
        etag = etag or hashlib.md5(body, usedforsecurity=False).hexdigest()
        headers = {
            "Content-Type": JSON, "Cache-Control": f"public, max-age={age}", "ETag": f'W/"{etag}"',
            "X-Cache": f"{state} from cloudfront",
        }  # fmt: skip
        wanted = re.findall(r'"([^"]*)"|(\*)', request.header("if-none-match"))
        if any(star or tag == etag for tag, star in wanted):
            del headers["Content-Type"]
            return Reply(304, b"", headers)
        if re.search(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", request.header("accept-encoding")):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1, mtime=0)
        return Reply(200, body, headers)

    def _answer(self, found: shapes.Route, path: str, arguments: dict[str, str], append: bool) -> Any:
        """Return the answer of an operation that exists, with what is appended to it."""
        names = [name for name in arguments.get("append_to_response", "").split(",") if name]
        if len(names) > 20:
            raise Problem(27)
        answer = self._single(found, path, arguments)
        if append and shapes.children(found.operation) and isinstance(answer, dict):
            for name in names:
                inner = f"{path}/{name.strip()}"
                if name.strip() and (below := shapes.route("GET", inner)) and inner != path:
                    part = self._single(below, inner, arguments)
                    if isinstance(part, dict) and part.get("id") == answer.get("id"):
                        del part["id"]
                    answer[name.strip()] = part
        return answer

    def _single(self, found: shapes.Route, path: str, arguments: dict[str, str]) -> Any:
        """Return the answer of one operation, without anything appended."""
        for name, value in found.arguments.items():
            number = found.numbers.get(name, 1)
            if number >= 999_000_000 or (number == 0 and name.endswith("_id")):
                raise Problem(34)
            if name == "time_window" and value not in ("day", "week"):
                raise Problem(34)
        paged = isinstance(found.shape, dict) and {"page", "results"} <= set(found.shape)
        page = arguments.get("page", "1")
        if paged and not (re.fullmatch("[1-9][0-9]{0,2}", page) and int(page) <= 500):
            raise Problem(22)
        if feed := FEED.fullmatch(path):
            return self._feed(feed[1], int(page), arguments)
        language = arguments.get("language", "en").partition("-")[0].lower() or "en"
        seed, first = path, 20 * (int(page) - 1) if paged else 0
        if SEARCHES.fullmatch(path) or PRIVATE.fullmatch(path):
            seed += repr(sorted((k, v) for k, v in arguments.items() if k not in LANGUAGE_FREE))
            seed += arguments.get("session_id", "") + arguments.get("guest_session_id", "")
        answer = versioned(found, seed, language, first, self.versions.get(path, 0))
        if paged:
            pages = 3 + mix(seed, "pages") % 40
            answer |= {"page": int(page), "total_pages": pages, "total_results": 20 * pages}
            if int(page) > pages:
                answer["results"] = []
        if path.startswith("/3/find/"):
            keep_found(answer, path, arguments)
        if path.endswith("/images") and isinstance(answer, dict):
            keep_languages(answer, arguments)
        return answer

    def _feed(self, kind: str, page: int, arguments: dict[str, str]) -> dict[str, Any]:
        """Return a page of a feed of changes: what was changed here first, then made-up ids."""
        today = dt.datetime.now(dt.timezone.utc).date()
        try:
            end = dt.date.fromisoformat((arguments.get("end_date") or today.isoformat())[:10])
            start = dt.date.fromisoformat((arguments.get("start_date") or (end - dt.timedelta(1)).isoformat())[:10])
        except ValueError:
            raise Problem(5) from None
        days = (end - start).days
        if not 0 <= days <= 14:
            raise Problem(20)
        pages = FEED_PAGES[kind] * max(days, 1)
        paths = reversed(self.versions) if end >= today else ()
        own = [re.fullmatch(rf"/3/{kind}/(\d+)(/.*)?", path) for path in paths]
        changed = list(dict.fromkeys(int(match[1]) for match in own if match))
        rows = range(100 * (page - 1), min(100 * page, 100 * pages))
        ids = [changed[n] if n < len(changed) else 100_000 + mix(kind, start, end, n) % 1_300_000 for n in rows]
        results = [{"id": number, "adult": False, "softcore": False} for number in ids]
        return {"results": results, "page": page, "total_pages": pages, "total_results": 100 * pages}


def versioned(found: shapes.Route, seed: str, language: str, first: int, version: int) -> Any:
    """Return the answer as it is after so many changes.

    A change brings other ratings and another overview, where there are none other values in every field, and
    to reference data a mark in the first text.
    """
    first_version = shapes.whole(found, seed, language, first)
    if not version:
        return first_version
    answer = shapes.whole(found, seed, language, first, version)
    if answer == first_version:
        answer = shapes.whole(found, seed, language, first, version, every=True)
    if answer in (first_version, shapes.whole(found, seed, language, first, version - 1, every=True)):
        answer = marked(first_version, f" ({version})")
    return answer


def marked(value: Any, note: str) -> Any:
    """Return a value with a note at its first name."""
    if isinstance(value, list):
        return [marked(value[0], note), *value[1:]]
    if isinstance(value, dict):
        name = next(
            key for key in ("name", "english_name", "zones", "jobs", "change_keys", "genres", "results") if key in value
        )
        return value | {name: marked(value[name], note)}
    return f"{value}{note}"


def keep_found(answer: dict[str, Any], path: str, arguments: dict[str, str]) -> None:
    """Leave one result, as /find does: a person for an IMDb name, otherwise a film or a series."""
    external = path.rpartition("/")[2]
    kind = "person" if external.startswith("nm") else "tv" if mix(external) % 4 == 0 else "movie"
    kind = "tv" if arguments.get("external_source", "").startswith("tv") else kind
    for name in answer:
        if name != f"{kind}_results":
            answer[name] = []


def keep_languages(answer: dict[str, Any], arguments: dict[str, str]) -> None:
    """Leave the images of the languages asked for; all of them when none is."""
    wanted: list[str | None] = [arguments.get("language", "").partition("-")[0]]
    wanted += arguments.get("include_image_language", "").split(",")
    if not any(wanted):
        return
    if "null" in wanted:
        wanted.append(None)
    for name, images in answer.items():
        if isinstance(images, list) and name != "profiles":
            answer[name] = [image for image in images if image.get("iso_639_1") in wanted]


def max_age(path: str, arguments: Iterable[str]) -> int:
    """Return the seconds that TMDB's own cache would keep an answer."""
    if PRIVATE.fullmatch(path) or path.endswith("/latest") or path.startswith("/3/certification/"):
        return 0
    if FEED.fullmatch(path):
        return 77_000 if "end_date" in arguments else 284 + mix(path) % 297
    if path.endswith("/changes"):
        return 600
    return 292 + mix(path) % 163 if path.startswith("/3/trending/") else 3_600 + mix(path) % 24_852


def fresh_token() -> dict[str, Any]:
    """Return tokens that nobody else ever gets."""
    soon = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1)
    token = uuid.uuid4().hex + uuid.uuid4().hex[:8]
    same = dict.fromkeys(("request_token", "session_id", "guest_session_id", "access_token"), token)
    return {**same, "expires_at": f"{soon:%Y-%m-%d %H:%M:%S} UTC"}


def filled(found: shapes.Route, path: str) -> Any:
    """Return an answer of the operation with new tokens in it."""
    answer = shapes.whole(found, path, "en")
    return answer | {key: value for key, value in fresh_token().items() if key in answer}


def written(found: shapes.Route, method: str) -> dict[str, Any]:
    """Return the answer to a POST or DELETE: it succeeded."""
    answer = filled(found, found.operation)
    removes = method == "DELETE" or found.operation.endswith("/remove_item")
    code = 13 if removes else 12 if re.search(r"/(add_item|clear)$", found.operation) else 1
    if "status_code" in answer:
        answer |= {"status_code": code, "status_message": DONE[code]}
    return {"success": True, **{key: value for key, value in answer.items() if key != "success"}}


def version_four(path: str, arguments: dict[str, str]) -> dict[str, Any]:
    """Return a private answer that fits any path of the v4 API."""
    tokens = fresh_token()
    answer: dict[str, Any] = {"success": True, "status_code": 1, "status_message": DONE[1]}
    if path.startswith("/4/auth/"):
        names = ("request_token", "access_token")
        return answer | {name: tokens[name] for name in names} | {"account_id": tokens["session_id"][:24]}
    page = arguments.get("page", "1")
    return answer | {
        "id": mix(path),
        "page": int(page) if re.fullmatch("[0-9]{1,3}", page) else 1,
        "results": [],
        "total_pages": 1,
        "total_results": 0,
    }
