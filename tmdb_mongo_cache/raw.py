"""The ``raw`` of an answer from the cache: a urllib3 response over the stored body, packed as the caller accepts it."""

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

from .tmdb.entry import Entry, Hop, Reply, header

_MOST_CODINGS = 5  # urllib3 undoes no more
_LEVELS = (1, 6, 9)  # what servers use
_LARGE = 100_000  # a body of so many bytes takes longer to compress well than its length is worth
_GZIP_HEADER, _FLAGS, _COMMENT = 10, 3, 0x10  # RFC 1952 section 2.3


def codings_of(headers: Mapping[str, str]) -> list[str]:
    """Return the codings of an answer that urllib3 has undone; what it does not know stays as it came."""
    named = [name.strip().lower().removeprefix("x-") for name in (header(headers, "content-encoding") or "").split(",")]
    return named if len(named) <= _MOST_CODINGS and all(name in _PACK for name in named) else []


def accepts(accept: str | bytes | None, codings: list[str]) -> bool:
    """Say whether an Accept-Encoding (RFC 9110 section 12.5.3) names codings; without one "identity" is sent."""
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
    """Make the urllib3 response: the stored body in the encoding that its headers name, if the caller accepts it.

    Below it is what is below a live one, but that nothing is connected.

    Args:
        part: what has the body, its headers and its status.
        url: what was asked for.
        accept: the caller's Accept-Encoding.
        headers: as they came, where ``part`` has them joined.
        retries: what the caller's adapter would have retried; nothing was.
    """
    sent = HTTPHeaderDict(headers if headers is not None else part.headers)
    codings = codings_of(part.headers)
    body = part.body
    length = sent.get("Content-Length", "")
    if codings:
        packed = _packed(body, codings, int(length) if length.isdecimal() else 0) if accepts(accept, codings) else None
        if packed is None:
            sent.discard("Content-Encoding")
        body = body if packed is None else packed
    if length:
        sent["Content-Length"] = str(len(body))
    chunked = "chunked" in sent.get("Transfer-Encoding", "").lower()
    if chunked and body:
        body = b"%x\r\n%s\r\n" % (len(body), body)
    origin: Any = http.client.HTTPResponse(_Nowhere(body + b"0\r\n\r\n" if chunked else body), method="GET")  # type: ignore[arg-type]
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
        pool=_Nobody(),  # type: ignore[arg-type]
        connection=kind(parts.hostname or "", parts.port),
        retries=retries,
        request_method="GET",
        request_url=target if hasattr(HTTPResponse, "url") else None,  # urllib3 1.26 is not told
    )
    if hasattr(raw, "version_string"):  # not in all versions of urllib3
        raw.version_string = "HTTP/1.1"
    return raw


class _Nowhere:
    """A socket that has the bytes of one body to give."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def makefile(self, _: str) -> BytesIO:
        """Return what reads them."""
        return BytesIO(self._body)


class _Nobody:
    """What takes a connection back that was never made."""

    def _put_conn(self, connection: HTTPConnection) -> None:
        connection.close()


def _packed(body: bytes, codings: list[str], length: int) -> bytes | None:
    """Encode a body; None where what does it is not there."""
    packed: bytes | None = body
    for coding in codings:
        packed = None if packed is None else _PACK[coding](packed, length)
    return packed


def _gzipped(body: bytes, length: int) -> bytes:
    """Compress a body, to the length that Content-Length names where that can be had (a comment fills it up)."""
    packed = b""
    for level in _LEVELS if len(body) < _LARGE else _LEVELS[:1]:
        packed = gzip.compress(body, level, mtime=0)
        if not length or len(packed) <= length:
            break  # as long: very likely just what came
    missing = length - len(packed)
    if not 0 < missing < _LARGE:
        return packed
    start = bytearray(packed[:_GZIP_HEADER])
    start[_FLAGS] |= _COMMENT
    return bytes(start) + b" " * (missing - 1) + b"\0" + packed[_GZIP_HEADER:]


def _packed_by(*modules: str, **options: int) -> Callable[[bytes, int], bytes | None]:
    """Return what compresses with the first of these modules that there is: urllib3 unpacks with the same."""

    def pack(body: bytes, _: int) -> bytes | None:
        for name in modules:
            try:
                compress: Callable[..., bytes] = import_module(name).compress
            except (ImportError, AttributeError):
                continue
            return compress(body, **options)
        return None

    return pack


_PACK: dict[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": _gzipped,
    "deflate": lambda body, _: zlib.compress(body),
    "br": _packed_by("brotlicffi", "brotli", quality=4),  # the best, its default, takes a hundred times as long
    "zstd": _packed_by("compression.zstd", "backports.zstd", "zstandard"),
}
