"""The endpoints that belong to a user: tokens, sessions, lists, ratings and the whole of v4."""

import datetime as dt
import re
import uuid
from typing import Any

from . import shapes
from .catalog import mix
from .messages import Request, error_body

PATHS = re.compile(r"/4(/.*)?|/3/(account|authentication|guest_session|list)(/.*)?|.*/(account_states|rating)")
DONE = {
    1: "Success.",
    12: "The item/record was updated successfully.",
    13: "The item/record was deleted successfully.",
}


NOBODY = ("error", "false", "missing")
"""What appended account_states may be with an api_key alone; which of these TMDB gives is unknown."""


def user_of(request: Request) -> str:
    """Return what tells whose a request is: a session or a token; empty for an api_key alone."""
    arguments = request.arguments
    token = request.header("authorization").removeprefix("Bearer").strip()
    return arguments.get("session_id") or arguments.get("guest_session_id") or token


def states_of_nobody(found: shapes.Route, path: str, form: str) -> Any:
    """Return the account_states that are appended where nobody is logged in, as an error or as nothing but False."""
    return error_body(3) if form == "error" else _denied(shapes.whole(found, path, "en"))


def _denied(value: Any) -> Any:
    """Return account_states with nothing in them but ids and False."""
    if isinstance(value, list):
        return [_denied(item) for item in value]
    if not isinstance(value, dict):
        return value
    said = {"favorite", "rated", "watchlist"}
    return {name: False if name in said else _denied(item) for name, item in value.items()}


def fresh_token() -> dict[str, Any]:
    """Return tokens that nobody else ever gets."""
    soon = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1)
    token = uuid.uuid4().hex + uuid.uuid4().hex[:8]
    same = dict.fromkeys(("request_token", "session_id", "guest_session_id", "access_token"), token)
    return {**same, "expires_at": f"{soon:%Y-%m-%d %H:%M:%S} UTC"}


def filled(found: shapes.Route, path: str) -> Any:
    """Return a response of the operation with new tokens in it."""
    data = shapes.whole(found, path, "en")
    return data | {key: value for key, value in fresh_token().items() if key in data}


def written(found: shapes.Route, method: str) -> dict[str, Any]:
    """Return the response to a POST or DELETE: it succeeded."""
    data = filled(found, found.operation)
    removes = method == "DELETE" or found.operation.endswith("/remove_item")
    code = 13 if removes else 12 if re.search(r"/(add_item|clear)$", found.operation) else 1
    if "status_code" in data:
        data |= {"status_code": code, "status_message": DONE[code]}
    return {"success": True, **{key: value for key, value in data.items() if key != "success"}}


def version_four(path: str, arguments: dict[str, str]) -> dict[str, Any]:
    """Return a private response that fits any path of the v4 API."""
    tokens = fresh_token()
    data: dict[str, Any] = {"success": True, "status_code": 1, "status_message": DONE[1]}
    if path.startswith("/4/auth/"):
        names = ("request_token", "access_token")
        return data | {name: tokens[name] for name in names} | {"account_id": tokens["session_id"][:24]}
    page = arguments.get("page", "1")
    return data | {
        "id": mix(path),
        "page": int(page) if re.fullmatch("[0-9]{1,3}", page) else 1,
        "results": [],
        "total_pages": 1,
        "total_results": 0,
    }
