"""``response.raw`` of a cached response: a urllib3 response over the stored body, encoded as the caller accepts it."""

from __future__ import annotations

import gzip
import http.client
import zlib
from collections.abc import Callable, Mapping
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPResponse, Retry
from urllib3._collections import HTTPHeaderDict  # urllib3 1.26 has it nowhere else
from urllib3.connection import HTTPConnection, HTTPSConnection

from ...httpcache.models import Entry, Hop, Reply, header

_MOST_CODINGS = 5  # urllib3 decodes no more
_LEVELS = (1, 6, 9)  # what servers use
_LARGE = 100_000  # above this size good compression takes too long
_GZIP_HEADER, _FLAGS, _COMMENT = 10, 3, 0x10  # RFC 1952 section 2.3


def codings_of(headers: Mapping[str, str]) -> list[str]:
    """Return the content codings that urllib3 has decoded; a body with an unknown one is stored encoded."""
    named = [name.strip().lower().removeprefix("x-") for name in (header(headers, "content-encoding") or "").split(",")]
    return named if len(named) <= _MOST_CODINGS and all(name in _ENCODERS for name in named) else []


def accepts(accept: str | bytes | None, codings: list[str]) -> bool:
    """Return whether an Accept-Encoding (RFC 9110 section 12.5.3) allows codings; without one it is "identity"."""
    text, found = accept.decode("latin-1") if isinstance(accept, bytes) else accept or "", {}
    for item in text.lower().split(","):
        name, _, weight = item.partition(";")
        found[name.strip().removeprefix("x-")] = weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.")
    return all(found.get(coding, found.get("*", False)) for coding in codings)


def make_raw(
    part: Entry | Hop | Reply,
    url: str,
    accept: str | bytes | None,
    headers: HTTPHeaderDict | None = None,
    *,
    retries: Retry | None = None,
) -> HTTPResponse:
    """Create the urllib3 response: the stored body with its original content coding, if the caller accepts that.

    Its internals are those of a live response, but without a connection.

    Args:
        part: has the body, the headers and the status.
        url: the requested URL.
        accept: the caller's Accept-Encoding.
        headers: as they were received, if ``part`` has them joined.
        retries: the retries of the caller's adapter; none were made.
    """
    sent = HTTPHeaderDict(headers if headers is not None else part.headers)
    codings = codings_of(part.headers)
    body = part.body
    length = sent.get("Content-Length", "")
    if codings:
        encoded = _encode(body, codings, int(length) if length.isdecimal() else 0) if accepts(accept, codings) else None
        if encoded is None:
            sent.discard("Content-Encoding")
        body = body if encoded is None else encoded
    if length:
        sent["Content-Length"] = str(len(body))
    chunked = "chunked" in sent.get("Transfer-Encoding", "").lower()
    if chunked and body:
        body = b"%x\r\n%s\r\n" % (len(body), body)
    origin: Any = http.client.HTTPResponse(_BodySocket(body + b"0\r\n\r\n" if chunked else body), method="GET")  # type: ignore[arg-type]
    origin.status = origin.code = part.status
    origin.reason, origin.version, origin.will_close = part.reason, 11, False
    origin.chunked, origin.chunk_left, origin.length = chunked, None, None if chunked else len(body)
    origin.headers = origin.msg = http.client.HTTPMessage()
    for name, value in sent.iteritems():
        origin.headers.add_header(name, value)
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    raw = HTTPResponse(
        body=origin,
        headers=sent,
        status=part.status,
        version=11,
        reason=part.reason,
        preload_content=False,
        decode_content=False,
        original_response=origin,
        pool=_NoPool(),  # type: ignore[arg-type]
        connection=kind(parts.hostname or "", parts.port),
        retries=retries,
        request_method="GET",
        request_url=target if hasattr(HTTPResponse, "url") else None,  # urllib3 1.26 is not told
    )
    if hasattr(raw, "version_string"):  # not in all versions of urllib3
        raw.version_string = "HTTP/1.1"
    return raw


class _BodySocket:
    """A socket that yields the bytes of one body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def makefile(self, _: str) -> BytesIO:
        """Return a file over them."""
        return BytesIO(self._body)


class _NoPool:
    """A connection pool, to which the unconnected connection is returned."""

    def _put_conn(self, connection: HTTPConnection) -> None:
        connection.close()


def _encode(body: bytes, codings: list[str], length: int) -> bytes | None:
    """Encode a body; None if a library for it is not installed."""
    encoded: bytes | None = body
    for coding in codings:
        encoded = None if encoded is None else _ENCODERS[coding](encoded, length)
    return encoded


def _gzip(body: bytes, length: int) -> bytes:
    """Compress a body, to the original Content-Length if possible (a gzip comment fills it up)."""
    encoded = b""
    for level in _LEVELS if len(body) < _LARGE else _LEVELS[:1]:
        encoded = gzip.compress(body, level, mtime=0)
        if not length or len(encoded) <= length:
            break  # the same length: most likely the same bytes
    missing = length - len(encoded)
    if not 0 < missing < _LARGE:
        return encoded
    start = bytearray(encoded[:_GZIP_HEADER])
    start[_FLAGS] |= _COMMENT
    return bytes(start) + b" " * (missing - 1) + b"\0" + encoded[_GZIP_HEADER:]


def _compressor(*modules: str, **options: int) -> Callable[[bytes, int], bytes | None]:
    """Return a function that compresses with the first of these modules that is installed, like urllib3's decoder."""

    def encode(body: bytes, _: int) -> bytes | None:
        for name in modules:
            try:
                compress: Callable[..., bytes] = import_module(name).compress
            except (ImportError, AttributeError):
                continue
            return compress(body, **options)
        return None

    return encode


_ENCODERS: dict[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": _gzip,
    "deflate": lambda body, _: zlib.compress(body),
    "br": _compressor("brotlicffi", "brotli", quality=4),  # the default, the best, takes a hundred times as long
    "zstd": _compressor("compression.zstd", "backports.zstd", "zstandard"),
}
