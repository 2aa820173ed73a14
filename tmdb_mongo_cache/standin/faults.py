"""The ways in which the stand-in can fail, by name."""

import gzip
from dataclasses import dataclass

from .messages import MESSAGES, Response, error

STATUS_CODES = {str(status): code for code, (status, _) in MESSAGES.items() if status >= 400} | {
    "400": 22,
    "401": 7,
}
BROKEN = {
    "refuse": "nothing listens on the port",
    "reset": "the connection is reset after the request",
    "timeout": "no response comes while the fault lasts",
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
    """An active fault, for `times` more calls (None: until it is healed), for paths that contain `path`."""

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

    def apply(self, response: Response) -> Response:
        """Return the response with this fault."""
        headers = {name: value for name, value in response.headers.items() if name != "Content-Encoding"}
        match self.name:
            case "success-false":
                return Response(200, error(21).body, headers)
            case "not-json":
                return Response(200, b"<html><body><h1>Please try again later</h1></body></html>", headers)
            case "empty":
                return Response(200, b"", headers)
            case "truncated":
                cut = {"Content-Length": str(len(response.body))}
                return Response(response.status, response.body[: len(response.body) // 2], response.headers | cut)
            case "gzip-unlabelled":
                packed = "Content-Encoding" in response.headers
                return Response(response.status, response.body if packed else gzip.compress(response.body, 1), headers)
        failed = error(STATUS_CODES[self.name], int(self.name))
        if self.retry_after is not None:
            failed.headers["Retry-After"] = str(self.retry_after)
        return failed
