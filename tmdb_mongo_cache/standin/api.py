"""TMDB's rules: who is authorized, which error, which headers.

No sockets here: a `Request` goes in and a `Response` comes out.
"""

import datetime as dt
import gzip
import hashlib
import re
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from . import id_exports, responses, shapes, user_endpoints
from .catalog import mix
from .change_feed import FEED, Feed, today
from .messages import JSON, APIError, Request, Response, dump, error, resolved

MADE_LIMIT = 5_000
GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


@dataclass
class Made:
    """A generated body, and when it was made (seconds of the monotonic clock)."""

    body: bytes
    since: float = field(default_factory=time.monotonic)

    @cached_property
    def etag(self) -> str:
        """The ETag without its quotes."""
        return hashlib.md5(self.body, usedforsecurity=False).hexdigest()

    @cached_property
    def packed(self) -> bytes:
        """The body in gzip."""
        return gzip.compress(self.body, 1, mtime=0)


class Api:
    """Responds to requests from shapes; `change` changes the response of a path."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.export_rows = id_exports.ROWS
        self.states_of_nobody = user_endpoints.NOBODY[0]
        self.versions: dict[str, int] = {}
        self._made: dict[tuple[Any, ...], Made] = {}

    def change(self, path: str, day: dt.date | None = None) -> None:
        """Change the response of a path; the feed lists it as changed on that day."""
        path = resolved(path.partition("?")[0])
        self.versions[path] = self.versions.get(path, 0) + 1
        self.feed.add(path, day)
        self._made.clear()

    def reset(self) -> None:
        """Forget the changes and the ages of the responses; restore the lengths of the feed and the exports."""
        self._made.clear()
        self.versions.clear()
        self.feed.reset()
        self.export_rows = id_exports.ROWS
        self.states_of_nobody = user_endpoints.NOBODY[0]

    def response(self, request: Request, append: bool = True) -> Response:
        """Return the response to a request; with `append=False` it ignores append_to_response."""
        try:
            return self._reply(request, append)
        except APIError as problem:
            return error(problem.code)

    def _reply(self, request: Request, append: bool) -> Response:
        arguments, path = request.arguments, request.resource
        if path.startswith("/p/"):
            return id_exports.response(request.method, path.removeprefix(id_exports.PREFIX), self.export_rows)
        bearer = request.header("authorization").removeprefix("Bearer").strip()
        if (arguments.get("api_key") or bearer or "invalid") == "invalid":
            raise APIError(7)
        method = "GET" if request.method == "HEAD" else request.method
        if path.startswith("/4/"):
            return finished(request, Made(dump(user_endpoints.version_four(path, arguments))), 0)
        found = shapes.route(method, path)
        if found is None:
            known = any(shapes.route(other, path) for other in ("GET", "POST", "DELETE"))
            raise APIError(42 if known else 34)
        if method != "GET":
            headers = {"Content-Type": JSON, "Cache-Control": "public, max-age=0"}
            return Response(200, dump(user_endpoints.written(found, method)), headers)
        if path.startswith("/3/authentication"):
            return finished(request, Made(dump(user_endpoints.filled(found, path))), 0)
        relevant = sorted((k, v) for k, v in request.query if k not in ("api_key", "callback"))
        feed = FEED.fullmatch(path)
        whose = responses.Whose(user_endpoints.user_of(request), self.states_of_nobody)
        matters = "account_states" in f"{path} {arguments.get('append_to_response')}"
        state = (append, matters and whose, feed and self.feed.state(feed[1]))
        key = (path, *state, *(pair for pair in relevant if pair != ("page", "1")))
        made, hit = self._made.get(key), key in self._made
        if made is None:
            if len(self._made) >= MADE_LIMIT:
                self._made.clear()
            if feed:
                data = self.feed.content(feed[1], responses.page_of(arguments), arguments)
            else:
                data = responses.whole(found, path, arguments, self.versions, append, whose)
            made = Made(dump(data))
            self._made[key] = made
        return finished(request, made, max_age(path, arguments), hit)


def finished(request: Request, made: Made, age: int, hit: bool = False) -> Response:
    """Return a 200 with TMDB's headers, or a 304; `age` is the max-age, `hit` whether the CDN had it."""
    headers = {
        "Content-Type": JSON, "Cache-Control": f"public, max-age={age}", "ETag": f'W/"{made.etag}"',
        "X-Cache": "Hit from cloudfront" if hit else "Miss from cloudfront",
    }  # fmt: skip
    if hit:
        headers["Age"] = str(int(time.monotonic() - made.since))
    wanted = re.findall(r'"([^"]*)"|(\*)', request.header("if-none-match"))
    if any(star or tag == made.etag for tag, star in wanted):
        del headers["Content-Type"]
        return Response(304, b"", headers)
    if GZIP.search(request.header("accept-encoding")):
        return Response(200, made.packed, headers | {"Content-Encoding": "gzip"})
    return Response(200, made.body, headers)


def max_age(path: str, arguments: dict[str, str]) -> int:
    """Return the seconds that TMDB's own cache stores a response."""
    if user_endpoints.PATHS.fullmatch(path) or path.endswith("/latest") or path.startswith("/3/certification/"):
        return 0
    if FEED.fullmatch(path):
        past = arguments.get("end_date", "")[:10]
        return 77_000 if past and past < today().isoformat() else 284 + mix(path) % 297
    if path.endswith("/changes"):
        return 600
    return 292 + mix(path) % 163 if path.startswith("/3/trending/") else 3_600 + mix(path) % 24_852
