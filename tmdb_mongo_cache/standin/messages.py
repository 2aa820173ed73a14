"""What goes between the server and the rules: requests, responses and TMDB's error bodies."""

import json
import posixpath
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

JSON = "application/json;charset=utf-8"
MESSAGES = {
    3: (401, "Authentication failed: You do not have permissions to access the service."),
    5: (422, "Invalid parameters: Your request parameters are incorrect."),
    7: (401, "Invalid API key: You must be granted a valid key."),
    8: (403, "Duplicate entry: The data you tried to submit already exists."),
    9: (503, "Service offline: This service is temporarily offline, try again later."),
    11: (500, "Internal error: Something went wrong, contact TMDB."),
    19: (406, "Invalid accept header."),
    20: (422, "Invalid date range: Should be a range no longer than 14 days."),
    21: (200, "Entry not found: The item you are trying to edit cannot be found."),
    22: (400, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."),
    24: (504, "Your request to the backend server timed out. Try again."),
    25: (429, "Your request count (#) is over the allowed limit of (40)."),
    27: (400, "Too many append to response objects: The maximum number of remote calls is 20."),
    34: (404, "The resource you requested could not be found."),
    42: (405, "This request method is not supported for this resource."),
    43: (502, "Couldn't connect to the backend server."),
}


@dataclass
class Request:
    """A request as it arrived; `path` is raw and without the query."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def resource(self) -> str:
        """The path as TMDB's edge reads it: decoded once, with `..` resolved."""
        return resolved(self.path)

    @property
    def arguments(self) -> dict[str, str]:
        """The query; of a name that comes twice, the last value."""
        return dict(self.query)

    def header(self, name: str) -> str:
        """Return a header's value, "" when it is missing."""
        return next((value for key, value in self.headers.items() if key.lower() == name), "")


@dataclass
class Response:
    """A response, ready to be sent except for Content-Length and Date."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def resolved(path: str) -> str:
    """Return a path percent-decoded once, without `..`, doubled or trailing slashes."""
    return posixpath.normpath("/" + unquote(path).lstrip("/"))


def dump(value: Any) -> bytes:
    """Return compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def error_body(code: int) -> dict[str, Any]:
    """Return what TMDB says for one of its status codes."""
    return {"success": False, "status_code": code, "status_message": MESSAGES[code][1]}


def error(code: int, status: int | None = None) -> Response:
    """Return the response for one of TMDB's status codes; it has neither Cache-Control nor ETag."""
    body = dump(error_body(code))
    response = Response(status or MESSAGES[code][0], body, {"Content-Type": JSON, "X-Cache": "Error from cloudfront"})
    if response.status == 401:
        response.headers["Cache-Control"] = "public, max-age=300"
    return response


class APIError(Exception):
    """Raised when TMDB would respond with an error; `code` is its status code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
