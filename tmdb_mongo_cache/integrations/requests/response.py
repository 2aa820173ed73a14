"""``TMDBResponse``: a ``requests.Response`` with the attributes of requests-cache; most are created when read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import requests
from requests import PreparedRequest
from requests.adapters import BaseAdapter
from requests.cookies import cookiejar_from_dict
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPResponse, Retry

from ...core.entries import age_header
from ...httpcache.models import Entry, Hop, Reply, header
from ...httpcache.result import Result
from ...httpcache.storable_headers import storable
from .known_calls import Known, prepare
from .raw_response import accepts, codings_of, make_raw

ADDED = ("from_cache", "created_at", "expires", "is_expired", "cache_key", "revalidated")


class Source(NamedTuple):
    """What the lazy attributes of a cached response are created from.

    ``request`` is the caller's, or the plain call of which it is prepared when it is read. ``result`` is
    None for a redirect.
    """

    entry: Entry | Hop | Reply
    request: PreparedRequest | Known
    result: Result | None = None

    def __repr__(self) -> str:
        return "Source(…)"  # the request carries the caller's credentials

    @property
    def url(self) -> str:
        """The URL of the request."""
        return text(self.request.url)

    @property
    def accept(self) -> str | bytes | None:
        """The ``Accept-Encoding`` of the request."""
        headers = self.request.headers
        return headers.get("Accept-Encoding") if headers else None

    def make_request(self) -> PreparedRequest:
        """Return the prepared request."""
        return self.request if isinstance(self.request, PreparedRequest) else prepare(self.request)


_DICT: Any = vars(requests.Response)["__dict__"]
_set_class: Any = vars(object)["__class__"].__set__
_get_dict, _set_dict = _DICT.__get__, _DICT.__set__


class TMDBResponse(requests.Response):
    """A ``requests.Response`` with additional attributes, named as in requests-cache.

    ``from_cache``, ``created_at`` (when TMDB sent it), ``expires`` (until when it
    is fresh; None if it was not stored), ``is_expired``, ``cache_key`` (empty
    if it has none) and ``revalidated``. Times are aware and in UTC. It is pickled
    as a plain ``requests.Response`` with the same attributes, which can be
    unpickled without this package.

    ``headers``, ``request``, ``url``, ``cookies``, ``encoding`` and ``raw`` of a
    cached response are created when they are first read, one by one or all
    together (``vars()``).
    """

    from_cache: bool = False
    created_at: datetime | None = None
    expires: datetime | None = None
    cache_key: str = ""
    revalidated: bool = False

    @property
    def is_expired(self) -> bool:
        """Whether the response is past its expiration."""
        return self.expires is not None and datetime.now(timezone.utc) >= self.expires

    def __getattr__(self, name: str) -> Any:
        # Only called for missing attributes: with a source, lazy ones that have not been read yet.
        found = _get_dict(self)
        source = found.get("_source")
        if source is not None and name in _LAZY:
            # Concurrent threads must get the same object.
            return found.setdefault(name, _LAZY[name](self, source))
        if name in found:
            return found[name]  # another thread has just created it
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    @property
    def __dict__(self) -> dict[str, Any]:
        found: dict[str, Any] = _get_dict(self)
        if "_source" in found:
            for name in _LAZY:
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
        vars(self)  # another class (locust's) has no lazy attributes
        _set_class(self, kind)

    def close(self) -> None:
        """Release the connection, as ``requests.Response.close`` does; a cached response has none."""
        if "raw" in _get_dict(self) or not self._content_consumed:
            super().close()

    def __reduce__(self) -> tuple[Any, ...]:
        added = {name: getattr(self, name) for name in ADDED}
        return object.__new__, (requests.Response,), {**self.__getstate__(), **added}


def _headers(source: Source) -> Mapping[str, str]:
    """Return the headers to serve; of a stored response without those of a single exchange."""
    headers = source.entry.headers
    return storable(headers) if isinstance(source.entry, Entry) else headers


def _lazy_headers(response: TMDBResponse, source: Source) -> CaseInsensitiveDict[str]:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(_headers(source))
    codings = codings_of(source.entry.headers) if "content-encoding" in headers._store else []
    if codings and not (response._content_consumed and accepts(source.accept, codings)):
        sent = response.raw.headers  # encoded differently than it was stored
        for name in {"Content-Encoding", "Content-Length"} & {*headers}:
            headers.pop(name) if name not in sent else headers.update({name: sent[name]})
    if source.result is not None:
        if isinstance(source.entry, Entry):
            headers["Age"] = age_header(source.entry, source.result.now)
        add_status(headers, source.result.cache_status())
    return headers


def _lazy_encoding(_: TMDBResponse, source: Source) -> str | None:
    content_type = header(source.entry.headers, "content-type")
    return get_encoding_from_headers(CaseInsensitiveDict({"content-type": content_type} if content_type else {}))


def _lazy_raw(response: TMDBResponse, source: Source) -> HTTPResponse:
    adapter = _get_dict(response).get("connection")
    raw = make_raw(
        source.entry._replace(headers=_headers(source)),
        source.url,
        source.accept,
        retries=Retry.from_int(getattr(adapter, "max_retries", 0)),
    )
    if response._content_consumed:
        raw.read(decode_content=False)
    return raw


_LAZY: dict[str, Callable[[TMDBResponse, Source], Any]] = {
    "cookies": lambda *_: cookiejar_from_dict({}),
    "encoding": _lazy_encoding,
    "headers": _lazy_headers,
    "raw": _lazy_raw,
    "request": lambda _, source: source.make_request(),
    "url": lambda _, source: source.url,
}


def build(source: Source, adapter: BaseAdapter, elapsed: timedelta) -> TMDBResponse:
    """Build a response as ``requests.adapters.HTTPAdapter.build_response`` does, but with lazy attributes.

    Args:
        source: what is served, and what lazy attributes are created from.
        adapter: the adapter that would have sent the request.
        elapsed: the duration of the call.
    """
    part = source.entry
    # Without requests' __init__, which creates headers and a cookie jar.
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
            "elapsed": elapsed,
            "connection": adapter,
        },
    )
    if isinstance(part, Entry):
        response.from_cache = True
        response.created_at, response.expires, response.cache_key = part.timestamp, part.expires_at, part.key
    return response


def annotate(
    response: requests.Response, status: str, *, now: datetime, key: str = "", expires: datetime | None = None
) -> requests.Response:
    """Add the attributes and ``Cache-Status`` to TMDB's own response, in place."""
    add_status(response.headers, status)
    if type(response) is requests.Response:
        response.__class__ = TMDBResponse
    elif hasattr(type(response), "from_cache"):
        # requests-cache's, at the end of a redirect of one of its sessions: it has the attributes.
        return response
    # The class of other libraries (of a mock, of an adapter) is kept; the attributes are set on the instance.
    extra: Any = response
    extra.from_cache, extra.created_at, extra.expires = False, now, expires
    extra.cache_key, extra.revalidated = key, False
    if not isinstance(response, TMDBResponse):
        extra.is_expired = False
    return response


def add_status(headers: CaseInsensitiveDict[str], status: str) -> None:
    """Append our member to the Cache-Status header."""
    # RFC 9211 section 2: each cache appends its member.
    before = headers.get("Cache-Status")
    headers["Cache-Status"] = f"{before}, {status}" if before else status


def text(url: str | bytes | None) -> str:
    """Return a URL as text."""
    return url.decode("utf-8") if isinstance(url, bytes) else url or ""
