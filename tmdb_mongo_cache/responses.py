"""Answers as ``requests`` knows them: built from an entry, or TMDB's own with a few attributes more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

import requests
from requests import PreparedRequest
from requests.adapters import BaseAdapter
from requests.cookies import cookiejar_from_dict
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPResponse, Retry

from .raw import accepts, codings_of, make_raw
from .tmdb.entry import Entry, Hop, Reply, header
from .tmdb.header_fields import storable
from .tmdb.making import age_header

_NO_TIME = timedelta(0)
ADDED = ("from_cache", "created_at", "expires", "is_expired", "cache_key", "revalidated")


class Source(Protocol):
    """What the late attributes of an answer from the cache are made of."""

    @property
    def entry(self) -> Entry | Hop | Reply:
        """What was kept."""

    @property
    def url(self) -> str:
        """Where it came from."""

    @property
    def sent(self) -> Mapping[str, str | bytes]:
        """The headers of the request."""

    @property
    def now(self) -> datetime | None:
        """When it was looked up; None where it has no age."""

    def make_request(self) -> PreparedRequest:
        """Return the request, prepared."""

    def status(self) -> str:
        """Return what ``Cache-Status`` says of it; empty where it says nothing."""


_DICT: Any = vars(requests.Response)["__dict__"]
_set_class: Any = vars(object)["__class__"].__set__
_get_dict, _set_dict = _DICT.__get__, _DICT.__set__


class TMDBResponse(requests.Response):
    """A ``requests.Response`` that also says what the cache did, by requests-cache's names.

    ``from_cache``, ``created_at`` (when TMDB sent it), ``expires`` (until when it
    is fresh; None when it was not stored), ``is_expired``, ``cache_key`` (empty
    when it has none) and ``revalidated``. Times are aware and in UTC. Pickled, it
    becomes a plain ``requests.Response`` with the same attributes, which can be
    read where this package is not installed.

    Of an answer from the cache ``headers``, ``request``, ``url``, ``cookies``,
    ``encoding`` and ``raw`` are made when they are first asked for, one by one
    or all together (``vars()``).
    """

    from_cache: bool = False
    created_at: datetime | None = None
    expires: datetime | None = None
    cache_key: str = ""
    revalidated: bool = False

    @property
    def is_expired(self) -> bool:
        """Whether the answer is past its expiry by now."""
        return self.expires is not None and datetime.now(timezone.utc) >= self.expires

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not there: with a source, what has not been asked for yet.
        found = _get_dict(self)
        source = found.get("_source")
        if source is not None and name in _LATE:
            # Two threads may come here at once, and must get the same object.
            return found.setdefault(name, _LATE[name](self, source))
        if name in found:
            return found[name]  # another thread has just made it
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    @property
    def __dict__(self) -> dict[str, Any]:
        found: dict[str, Any] = _get_dict(self)
        if "_source" in found:
            for name in _LATE:
                getattr(self, name)
            found.setdefault("revalidated", False)
            found.pop("_source", None)
        return found

    @__dict__.setter
    def __dict__(self, value: dict[str, Any]) -> None:
        _set_dict(self, value)

    @property
    def __class__(self) -> type[TMDBResponse]:
        return type(self)

    @__class__.setter
    def __class__(self, kind: type) -> None:
        vars(self)  # another class (locust's) does not know of what is made when it is asked for
        _set_class(self, kind)

    def close(self) -> None:
        """Release the connection, as ``requests.Response.close`` does; an answer from the cache has none."""
        if "raw" in _get_dict(self) or not self._content_consumed:
            super().close()

    def __reduce__(self) -> tuple[Any, ...]:
        added = {name: getattr(self, name) for name in ADDED}
        return object.__new__, (requests.Response,), {**self.__getstate__(), **added}


def _headers(source: Source) -> Mapping[str, str]:
    """Return the headers as they are served: of what was stored, what speaks of one exchange is not."""
    headers = source.entry.headers
    return storable(headers) if isinstance(source.entry, Entry) else headers


def _late_headers(response: TMDBResponse, source: Source) -> CaseInsensitiveDict[str]:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(_headers(source))
    codings = codings_of(source.entry.headers) if "content-encoding" in headers._store else []
    if codings and not (response._content_consumed and accepts(source.sent.get("Accept-Encoding"), codings)):
        sent = response.raw.headers  # packed otherwise than it was stored
        for name in {"Content-Encoding", "Content-Length"} & {*headers}:
            headers.pop(name) if name not in sent else headers.update({name: sent[name]})
    if source.now is not None and isinstance(source.entry, Entry):
        headers["Age"] = age_header(source.entry, source.now)
    status = source.status()
    if status:
        add_status(headers, status)
    return headers


def _late_encoding(_: TMDBResponse, source: Source) -> str | None:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    content_type = header(source.entry.headers, "content-type")
    if content_type is not None:
        headers["content-type"] = content_type
    return get_encoding_from_headers(headers)


def _late_raw(response: TMDBResponse, source: Source) -> HTTPResponse:
    adapter = _get_dict(response).get("connection")
    raw = make_raw(
        source.entry._replace(headers=_headers(source)),
        source.url,
        source.sent.get("Accept-Encoding"),
        retries=Retry.from_int(getattr(adapter, "max_retries", 0)),
    )
    if response._content_consumed:
        raw.read(decode_content=False)
    return raw


_LATE: dict[str, Callable[[TMDBResponse, Source], Any]] = {
    "cookies": lambda *_: cookiejar_from_dict({}),
    "encoding": _late_encoding,
    "headers": _late_headers,
    "raw": _late_raw,
    "request": lambda _, source: source.make_request(),
    "url": lambda _, source: source.url,
}


def from_source(entry: Entry, source: Source, adapter: BaseAdapter, elapsed: timedelta) -> TMDBResponse:
    """Build the response that an entry is, without redirects, to a caller whose request need not be prepared.

    Args:
        entry: the entry.
        source: what the rest is made of when it is asked for.
        adapter: what would have sent it.
        elapsed: what the call took.
    """
    response = built(entry, source, adapter)
    response.elapsed = elapsed
    response.from_cache = True
    response.created_at, response.expires, response.cache_key = entry.timestamp, entry.expires_at, entry.key
    return response


def built(part: Entry | Hop | Reply, source: Source, adapter: BaseAdapter) -> TMDBResponse:
    """Do what ``requests.adapters.HTTPAdapter.build_response`` does, but for what can wait.

    Args:
        part: what has the status and the body.
        source: what the rest is made of when it is asked for.
        adapter: what would have sent the request.
    """
    # Not by requests' __init__, which makes headers and a cookie jar.
    response = TMDBResponse.__new__(TMDBResponse)
    _set_dict(
        response,
        {
            "_content": part.body,
            "_content_consumed": True,
            "_next": None,
            "_source": source,
            "status_code": part.status,
            "reason": part.reason,
            "history": [],
            "elapsed": _NO_TIME,
            "connection": adapter,
        },
    )
    return response


def annotate(
    response: requests.Response, status: str, *, now: datetime, key: str = "", expires: datetime | None = None
) -> requests.Response:
    """Add what the cache has to say to TMDB's own response, in place."""
    add_status(response.headers, status)
    if type(response) is requests.Response:
        response.__class__ = TMDBResponse
    elif hasattr(type(response), "from_cache"):
        # requests-cache's, at the end of a redirect of one of its sessions: it says all that by itself.
        return response
    # Somebody else's class of response (a mock's, an adapter's) keeps it; the attributes go on the instance.
    extra: Any = response
    extra.from_cache, extra.created_at, extra.expires = False, now, expires
    extra.cache_key, extra.revalidated = key, False
    if not isinstance(response, TMDBResponse):
        extra.is_expired = False
    return response


def header_items(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return names and values, as ``items()`` does; of requests' own mapping without a Python call for each."""
    return tuple(headers._store.values() if type(headers) is CaseInsensitiveDict else headers.items())


def add_status(headers: CaseInsensitiveDict[str], status: str) -> None:
    """Add what this cache did to the Cache-Status header."""
    # RFC 9211 section 2: each cache adds its member at the end.
    before = headers.get("Cache-Status")
    headers["Cache-Status"] = f"{before}, {status}" if before else status


def text(url: str | bytes | None) -> str:
    """Return an URL as text."""
    return url.decode("utf-8") if isinstance(url, bytes) else url or ""
