"""The caller's original request: a copy is sent, and the original restored in responses and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from requests import PreparedRequest, Response
from requests.structures import CaseInsensitiveDict


def copy_request(request: PreparedRequest) -> PreparedRequest:
    """Copy a request as its ``copy()`` does, but not the cookie jar, which requests copies before it changes it."""
    if type(request) is not PreparedRequest:
        return request.copy()
    copied = PreparedRequest()
    vars(copied).update(vars(request))
    copied.headers = CaseInsensitiveDict() if request.headers is None else request.headers.copy()
    return copied


def restore_in_response(
    response: Any, request: PreparedRequest, outgoing: PreparedRequest, added: Mapping[str, str]
) -> None:
    """Restore the caller's request in a response and its redirects, without the headers that we added.

    Args:
        response: the response, of any class if an adapter of the program created it.
        request: the caller's.
        outgoing: the copy that was sent.
        added: the headers that were added to the copy.
    """
    _copy_changes(request, outgoing, added)
    history = response.history
    for step in [*(history if isinstance(history, list | tuple) else ()), response]:
        if getattr(step, "request", None) is outgoing:
            step.request = request
        for sent in (getattr(step, "request", None), getattr(step, "_next", None)):
            if isinstance(sent, PreparedRequest) and sent is not request:
                _restore(sent, request, added)


def restore_in_error(
    error: BaseException, request: PreparedRequest, outgoing: PreparedRequest, added: Mapping[str, str]
) -> None:
    """Do the same in an error of requests; the arguments are those of :func:`restore_in_response`."""
    _copy_changes(request, outgoing, added)
    if not isinstance(error, requests.RequestException):
        return
    if isinstance(error.response, Response):
        restore_in_response(error.response, request, outgoing, added)
    if error.request is outgoing:
        error.request = request
    elif isinstance(error.request, PreparedRequest) and error.request is not request:
        _restore(error.request, request, added)


def _restore(sent: PreparedRequest, request: PreparedRequest, added: Mapping[str, str]) -> None:
    sent.hooks = request.hooks
    for name in added:
        sent.headers.pop(name, None)


def _copy_changes(request: PreparedRequest, outgoing: PreparedRequest, added: Mapping[str, str]) -> None:
    """Apply to the caller's request what was changed in the copy while it was sent (by an adapter that signs it)."""
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
