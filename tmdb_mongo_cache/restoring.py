"""After a copy of the caller's request was sent: responses and errors point at the caller's own again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from requests import PreparedRequest, Response


def give_back(response: Any, request: PreparedRequest, outgoing: PreparedRequest, added: Mapping[str, str]) -> None:
    """Make a response, with its redirects, point at the caller's request, without what was added to it.

    Args:
        response: what came; it may be odd, as an adapter of the program's own has made it.
        request: the caller's.
        outgoing: the copy that was sent.
        added: the headers that were added to the copy.
    """
    _take_over(request, outgoing, added)
    history = response.history
    for one in [*(history if isinstance(history, list | tuple) else ()), response]:
        if getattr(one, "request", None) is outgoing:
            one.request = request
        for sent in (getattr(one, "request", None), getattr(one, "_next", None)):
            if isinstance(sent, PreparedRequest) and sent is not request:
                _restore(sent, request, added)


def give_back_error(
    error: BaseException, request: PreparedRequest, outgoing: PreparedRequest, added: Mapping[str, str]
) -> None:
    """Do the same with an error of requests; the arguments are those of :func:`give_back`."""
    _take_over(request, outgoing, added)
    if not isinstance(error, requests.RequestException):
        return
    if isinstance(error.response, Response):
        give_back(error.response, request, outgoing, added)
    if error.request is outgoing:
        error.request = request
    elif isinstance(error.request, PreparedRequest) and error.request is not request:
        _restore(error.request, request, added)


def _restore(sent: PreparedRequest, request: PreparedRequest, added: Mapping[str, str]) -> None:
    sent.hooks = request.hooks
    for name in added:
        sent.headers.pop(name, None)


def _take_over(request: PreparedRequest, outgoing: PreparedRequest, added: Mapping[str, str]) -> None:
    """Show in the caller's request what was done to the copy while it was sent (an adapter that signs it)."""
    ours = {name.lower() for name in added}
    sent = {name: value for name, value in outgoing.headers.items() if name.lower() not in ours}
    if request.headers is not None and sent != dict(request.headers):
        for name in [name for name in request.headers if name not in outgoing.headers]:
            del request.headers[name]
        request.headers.update(sent)
    before = vars(request)
    for name, value in vars(outgoing).items():
        if name not in ("headers", "hooks") and (name not in before or before[name] is not value):
            setattr(request, name, value)
