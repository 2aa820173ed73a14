"""TMDB's rules: who may ask, which error, which headers.

No sockets here: a `Request` goes in and a `Reply` comes out.
"""

import datetime as dt
import gzip
import hashlib
import re
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from . import answers, exports, private, shapes
from .catalog import mix
from .feed import FEED, Feed, today
from .wire import JSON, Problem, Reply, Request, dump, error, resolved

KEPT = 5_000
GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


@dataclass
class Made:
    """A body that was made, and when (seconds of the monotonic clock)."""

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
    """Answers requests from shapes; `change` makes the answer of a path another one."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.export_rows = exports.ROWS
        self.states_of_nobody = private.NOBODY[0]
        self.versions: dict[str, int] = {}
        self._made: dict[tuple[Any, ...], Made] = {}

    def change(self, path: str, day: dt.date | None = None) -> None:
        """Let the answer of a path differ from now on; the feed says that it was changed on that day."""
        path = resolved(path.partition("?")[0])
        self.versions[path] = self.versions.get(path, 0) + 1
        self.feed.add(path, day)
        self._made.clear()

    def reset(self) -> None:
        """Forget the changes and how old the answers are; let the feed and the exports be as long as at the start."""
        self._made.clear()
        self.versions.clear()
        self.feed.reset()
        self.export_rows = exports.ROWS
        self.states_of_nobody = private.NOBODY[0]

    def reply(self, request: Request, append: bool = True) -> Reply:
        """Return the answer to a request; with `append=False` it ignores append_to_response."""
        try:
            return self._reply(request, append)
        except Problem as problem:
            return error(problem.code)

    def _reply(self, request: Request, append: bool) -> Reply:
        arguments, path = request.arguments, request.resource
        if path.startswith("/p/"):
            return exports.reply(request.method, path.removeprefix(exports.PREFIX), self.export_rows)
        bearer = request.header("authorization").removeprefix("Bearer").strip()
        if (arguments.get("api_key") or bearer or "invalid") == "invalid":
            raise Problem(7)
        method = "GET" if request.method == "HEAD" else request.method
        if path.startswith("/4/"):
            return finished(request, Made(dump(private.version_four(path, arguments))), 0)
        found = shapes.route(method, path)
        if found is None:
            known = any(shapes.route(other, path) for other in ("GET", "POST", "DELETE"))
            raise Problem(42 if known else 34)
        if method != "GET":
            headers = {"Content-Type": JSON, "Cache-Control": "public, max-age=0"}
            return Reply(200, dump(private.written(found, method)), headers)
        if path.startswith("/3/authentication"):
            return finished(request, Made(dump(private.filled(found, path))), 0)
        relevant = sorted((k, v) for k, v in request.query if k not in ("api_key", "callback"))
        feed = FEED.fullmatch(path)
        whose = answers.Whose(private.user_of(request), self.states_of_nobody)
        matters = "account_states" in f"{path} {arguments.get('append_to_response')}"
        state = (append, matters and whose, feed and self.feed.state(feed[1]))
        key = (path, *state, *(pair for pair in relevant if pair != ("page", "1")))
        made, hit = self._made.get(key), key in self._made
        if made is None:
            if len(self._made) >= KEPT:
                self._made.clear()
            if feed:
                answer = self.feed.answer(feed[1], answers.page_of(arguments), arguments)
            else:
                answer = answers.whole(found, path, arguments, self.versions, append, whose)
            made = Made(dump(answer))
            self._made[key] = made
        return finished(request, made, max_age(path, arguments), hit)


def finished(request: Request, made: Made, age: int, hit: bool = False) -> Reply:
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
        return Reply(304, b"", headers)
    if GZIP.search(request.header("accept-encoding")):
        return Reply(200, made.packed, headers | {"Content-Encoding": "gzip"})
    return Reply(200, made.body, headers)


def max_age(path: str, arguments: dict[str, str]) -> int:
    """Return the seconds that TMDB's own cache would keep an answer."""
    if private.PATHS.fullmatch(path) or path.endswith("/latest") or path.startswith("/3/certification/"):
        return 0
    if FEED.fullmatch(path):
        past = arguments.get("end_date", "")[:10]
        return 77_000 if past and past < today().isoformat() else 284 + mix(path) % 297
    if path.endswith("/changes"):
        return 600
    return 292 + mix(path) % 163 if path.startswith("/3/trending/") else 3_600 + mix(path) % 24_852
