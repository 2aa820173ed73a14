"""The ways in which the stand-in can fail, by name."""

import gzip
from dataclasses import dataclass

from .wire import MESSAGES, Reply, error

STATUS_CODES = {str(status): code for code, (status, _) in MESSAGES.items() if status >= 400} | {
    "400": 22,
    "401": 7,
}
BROKEN = {
    "refuse": "nothing listens on the port",
    "reset": "the connection is reset after the request",
    "timeout": "no answer comes while the fault lasts",
    "truncated": "the connection ends in the middle of the body",
    "not-json": "an HTML page that claims to be JSON",
    "gzip-unlabelled": "a gzip body without Content-Encoding",
    "success-false": "HTTP 200 with an error body",
    "no-append": "append_to_response is ignored",
    "empty": "HTTP 200 with an empty body",
}
NAMES = (*sorted(STATUS_CODES), *BROKEN)


@dataclass
class Fault:
    """A fault in force, for `times` calls more (None: until it is healed), for paths that contain `path`."""

    name: str
    times: int | None = None
    path: str | None = None
    retry_after: int | None = None

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"no fault is called {self.name!r}; there are {', '.join(NAMES)}")
        if self.name == "refuse" and (self.times is not None or self.path is not None):
            raise ValueError("a refused connection shows neither its path nor its number: leave out times and path")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times is {self.times}, it must be at least 1")

    def spoil(self, reply: Reply) -> Reply:
        """Return the reply as this fault makes it."""
        headers = {name: value for name, value in reply.headers.items() if name != "Content-Encoding"}
        match self.name:
            case "success-false":
                return Reply(200, error(21).body, headers)
            case "not-json":
                return Reply(200, b"<html><body><h1>Please try again later</h1></body></html>", headers)
            case "empty":
                return Reply(200, b"", headers)
            case "truncated":
                cut = {"Content-Length": str(len(reply.body))}
                return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers | cut)
            case "gzip-unlabelled":
                packed = "Content-Encoding" in reply.headers
                return Reply(reply.status, reply.body if packed else gzip.compress(reply.body, 1), headers)
        spoilt = error(STATUS_CODES[self.name], int(self.name))
        if self.retry_after is not None:
            spoilt.headers["Retry-After"] = str(self.retry_after)
        return spoilt
