"""The fast way: a plain call is known by its arguments, and a hit is answered before requests prepares anything.

Preparing a request and merging the environment's settings costs more than
reading the answer from MongoDB. So a call that is a GET with nothing about it
that changes the answer is keyed straight from its arguments, and its request is
prepared when somebody reads ``response.request``. Whatever is unusual in the
least takes the way through ``Session.send``, and so does a plain call that is
no plain hit: what was looked up for it goes along.
"""

from __future__ import annotations

import logging
import netrc  # noqa: F401  requests imports it in the middle of a call, where a fork may leave it locked
from collections.abc import Mapping
from datetime import datetime, timedelta
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import requests
from requests import PreparedRequest
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from . import certificates, network, responses
from .building import builds_as_usual
from .known import LONGEST, Known, Pairs, is_in_netrc, known_call, prepare, unverified_call
from .known import forget as forget_known
from .looking import Looked, hit_status, is_fresh_hit
from .scope import Active, Pending
from .tmdb.calls import Call
from .tmdb.channels import is_verified
from .tmdb.entry import Entry
from .tmdb.expiration import DO_NOT_CACHE
from .tmdb.policy import Step

logger = logging.getLogger("tmdb_mongo_cache")

_NAMES = ("method", "url", "params", "data", "headers", "cookies", "files", "auth", "timeout", "allow_redirects")
"""The first parameters of ``Session.request``, as far as anybody gives them by position."""

# Of no consequence for an answer from the cache, whatever they are.
_INDIFFERENT = frozenset({"timeout", "allow_redirects", "cert"})
# Of none where they say nothing.
_EMPTY = frozenset({"auth", "data", "files"})
_NO_HOOKS: dict[str, list[Any]] = {"response": []}


class _Source(NamedTuple):
    """What the response to a plain hit is made of: see :class:`~.responses.Source`."""

    entry: Entry
    known: Known
    looked: Looked

    def __repr__(self) -> str:
        return f"_Source({self.known!r})"

    @property
    def url(self) -> str:
        return self.known.call.url

    @property
    def sent(self) -> Mapping[str, str | bytes]:
        return self.known.headers

    @property
    def now(self) -> datetime:
        return self.looked.now

    def make_request(self) -> PreparedRequest:
        return prepare(self.known)

    def status(self) -> str:
        return hit_status(self.looked, self.entry)


_new_tuple = tuple.__new__  # in a third of the time that the class takes


def answer(
    active: Active, session: requests.Session, args: tuple[Any, ...], options: Mapping[str, Any]
) -> tuple[responses.TMDBResponse | None, Pending | None]:
    """Answer a call of ``Session.request`` from the cache, if it is a plain hit.

    Args:
        active: the cache to use, and its settings as they are for this call.
        session: whose ``request`` was called; it takes the usual way.
        args: the arguments by position.
        options: those by name.

    Returns:
        the response to a plain hit, and what was looked up where it is none;
        neither where the call is not plain.
    """
    started = perf_counter()
    try:
        known = _known(active, session, args, options)
        if known is None:
            return None, None
        adapter = _adapter(session, known)
        usual = type(adapter) is HTTPAdapter and "send" not in adapter.__dict__ and not known.for_a_user
        if network.is_mocked() or (not usual and _is_no_usual_way(session, known.call)):
            return None, None
        looked = active.cache.flow.look_up(known.call, active.rules)
        entry = looked.entry
        reuses = active.rules.reuse_appended and not is_fresh_hit(looked)  # another answer may have a newer one
        served = looked.step is Step.SERVE and entry is not None and not entry.history and not reuses
        if not served or entry is None or not builds_as_usual(adapter):
            return None, Pending(active.cache, session, known.call, len(known.headers), looked)
        seconds = perf_counter() - started
        active.cache.flow.note_hit(looked, entry, known.call, seconds)
        source = _new_tuple(_Source, (entry, known, looked))
        return responses.from_source(entry, source, adapter, timedelta(seconds=seconds)), None
    except Exception as error:  # noqa: BLE001  the cache is never why a program fails
        # Not its text: requests puts the header or the URL into it that it does not like.
        logger.debug("a call takes the way through send: %s", type(error).__name__)
        return None, None


def _known(
    active: Active, session: requests.Session, args: tuple[Any, ...], options: Mapping[str, Any]
) -> Known | None:
    if len(args) > len(_NAMES):
        return None  # more than anybody gives by position
    method = url = params = headers = None
    if len(args) == 2:
        method, url = args
    elif args:
        given = dict(zip(_NAMES, args, strict=False))
        if not given.keys().isdisjoint(options):
            return None
        options = {**given, **options}
    stream, verify = session.stream, None
    for name, value in options.items():
        if name == "params":
            params = value
        elif name == "url" and url is None:
            url = value
        elif name == "method" and method is None:
            method = value
        elif name == "headers":
            headers = value
        elif name in _INDIFFERENT:
            pass
        elif name in _EMPTY:
            if value:
                return None
        elif name == "stream":
            stream = stream if value is None else value
        elif name == "verify":
            verify = value
        elif name == "json":
            if value is not None:
                return None
        elif name in ("cookies", "hooks"):
            if value is not None and (type(value) is not dict or value):
                return None
        elif name == "proxies":
            if value is not None and (type(value) is not dict or any(type(one) is not str for one in value.values())):
                return None
        else:
            return None
    if type(method) is not str or type(url) is not str or method.upper() != "GET":
        return None
    if stream or session.auth or session.hooks != _NO_HOOKS:
        return None
    # Without its length, which a jar counts cookie by cookie, where it is as it was made.
    if type(session.cookies) is not RequestsCookieJar or (session.cookies._cookies and session.cookies):  # type: ignore[attr-defined]
        return None
    if len(url) > LONGEST:
        return None
    if session.trust_env and is_in_netrc(url.split("/", 3)[2], int(monotonic() / 5)):
        return None
    if active.rules.call_expire_after == DO_NOT_CACHE:
        return None
    if session.params:
        if type(session.params) is not dict or not (params is None or type(params) is dict):
            return None
        params = {**session.params, **(params or {})}
    query = _pairs(params) if params else ()
    own, more = _items(session.headers), _items(headers) if headers is not None else ()
    if query is None or own is None or more is None:
        return None
    if verify is None and session.verify is True:
        return known_call(url, query, own, more, active.cache.hosts)
    verified = bool(certificates.merged_verify(session, verify))
    return (known_call if verified else unverified_call)(url, query, own, more, active.cache.hosts)


def _adapter(session: requests.Session, known: Known) -> BaseAdapter:
    """Return what ``session.get_adapter`` returns, in a fourth of the time where nothing else is mounted."""
    mounted = session.adapters
    usual = len(mounted) == 2 and "https://" in mounted and "http://" in mounted
    return mounted[known.mount] if usual else session.get_adapter(known.call.url)


def _is_no_usual_way(session: requests.Session, call: Call) -> bool:
    """Say whether an adapter answers by itself, or sees to it that nothing is verified."""
    if network.why_not_asked(session, call.url, call.hosts, call.ask.appended):
        return True
    return is_verified(call.key) and not certificates.is_to_be_verified(session, call.url, True)


def _pairs(params: Any) -> Pairs | None:
    """Return params as the texts that requests makes of them; None for what is better left to requests."""
    if type(params) is not dict:
        return None
    found = []
    for name, value in params.items():
        kind = type(value)
        if kind is str:
            found.append((name, value))
        elif kind is int or kind is bool or kind is float:
            found.append((name, str(value)))
        elif value is not None:
            return None
        if type(name) is not str:
            return None
    return tuple(found)


def _items(headers: Any) -> Pairs | None:
    """Return headers as names and values; None where they are not what one expects."""
    return responses.header_items(headers) if type(headers) in (CaseInsensitiveDict, dict) else None


def forget() -> None:
    """Drop what is known of calls, and with it their credentials."""
    forget_known()
