"""Entries as documents of MongoDB, and back.

A document is not trusted: any program with access to the database may have
written it. A wrong type, a missing field, an unknown schema, or a body that was
changed and could not have come from TMDB, makes it no entry.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from ..core import policy
from ..core.settings import Policy
from ..httpcache.models import Entry, Hop, Reply
from ..tmdb.call import Request
from ..tmdb.redaction import CONTROL, LARGEST_HEADERS

SCHEMA = 1

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    tzinfo=timezone.utc,
    # A date that Python cannot hold arrives as another type instead of an exception.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_CODEC_OF_ANY: Any = CODEC
CODEC_OF_HITS: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
"""For look-ups: aware times cost 12 µs of a hit, made by the codec; :func:`from_document` makes them in one."""

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)

LARGEST = 16 * 2**20 - 16 * 2**10
"""Bytes: MongoDB's limit for a document, less room for the command around it."""

UNREADABLE = (BSONError, ValueError, OverflowError, TypeError, RecursionError)
"""What reading a document from the wire may raise when its bytes are not what they should be."""


_TEXT = frozenset({str})


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """What the cache knows of one entry, without the response itself; times are in UTC.

    The fields are those of the document; ``tmdb_id`` is None for a response that
    is about no single title, person or other thing. ``size`` is that of the
    body in bytes.
    """

    key: str
    status: int
    timestamp: datetime
    expires_at: datetime
    purge_at: datetime
    tmdb_id: int | str | None
    media_type: str | None
    endpoint: str | None
    size: int | None = None


def to_bson(entry: Entry, data: Any) -> tuple[RawBSONDocument | None, bool]:
    """Encode an entry; return it and whether ``data`` is in it.

    ``data`` is left out where BSON cannot hold it (an integer over 64 bits, NUL
    in a key, a lone surrogate) or where it makes the document too large. None
    when the entry does not fit even so.
    """
    document: dict[str, Any] = {
        "_id": entry.key,
        "tmdb_id": entry.tmdb_id,
        "media_type": entry.media_type,
        "endpoint": entry.endpoint,
        "timestamp": entry.timestamp,
        "expires_at": entry.expires_at,
        "purge_at": entry.purge_at,
        "status": entry.status,
        "reason": entry.reason,
        "headers": dict(entry.headers),
        "body": entry.body,
        "checksum": checksum(entry.key, entry.status, entry.body),
        "schema": SCHEMA,
    }
    if entry.url is not None:
        document["url"] = entry.url
    if entry.history:
        document["history"] = [{**hop._asdict(), "headers": dict(hop.headers)} for hop in entry.history]
    # At the end, where an update puts it as well.
    later = {} if entry.validated_at is None else {"validated_at": entry.validated_at}
    if data is not None:
        raw = _encode({**document, "data": data, **later})
        if raw is not None:
            return raw, True
    return _encode({**document, **later}), False


def checksum(key: str, status: int, body: bytes) -> int:
    """Return the CRC-32 by which a hit sees at once that its body is as it was stored, under this key (5 µs for 24 kB).

    Where it is not, the body is judged as one of TMDB's would be: one that was
    truncated is none, one that was edited by hand may be one.
    """
    # An integer of 32 bits for BSON, which has signed ones.
    return zlib.crc32(body, zlib.crc32(f"{status} {key}".encode("utf-8", "surrogatepass"))) - 2**31


def _encode(document: dict[str, Any]) -> RawBSONDocument | None:
    try:
        encoded = bson.encode(document)
    except (BSONError, ValueError, OverflowError, TypeError, RecursionError):  # UnicodeError is a ValueError
        return None
    return RawBSONDocument(encoded, RAW) if len(encoded) <= LARGEST else None


def from_document(document: Any, key: str) -> Entry | None:
    """Return the entry a document holds; None when it holds none that can be served."""
    # The type first, and no calls for what is not there: every hit passes here.
    if (type(document) is not dict and not isinstance(document, Mapping)) or document.get("_id") != key:
        return None
    get = document.get
    status, reason, headers, body = get("status"), get("reason"), get("headers"), get("body")
    timestamp, expires_at, purge_at = _time(get("timestamp")), _time(get("expires_at")), _time(get("purge_at"))
    validated_at = get("validated_at")
    if (
        get("schema") != SCHEMA
        or isinstance(get("schema"), bool)
        or not _is_status(status)
        or type(reason) is not str
        or type(body) is not bytes  # a Binary is of another subtype
        or not _are_headers(headers)
        or timestamp is None
        or expires_at is None
        or purge_at is None
        or (validated_at is not None and _time(validated_at) is None)
        or (get("checksum") != checksum(key, status, body) and not _is_response(status, body))
    ):
        return None
    history, url = get("history"), get("url")
    hops = () if history is None else _hops(history)
    if hops is None or (hops and not _is_url(url)):
        return None
    tmdb_id, media_type, endpoint = _labels(document)
    return Entry(
        key=key,
        status=status,
        reason=reason,
        headers=headers,
        body=body,
        timestamp=timestamp,
        expires_at=expires_at,
        purge_at=purge_at,
        tmdb_id=tmdb_id,
        media_type=media_type,
        endpoint=endpoint,
        validated_at=None if validated_at is None else _time(validated_at),
        url=url if _is_url(url) else None,
        history=hops,
    )


def info_of(raw: RawBSONDocument) -> EntryInfo | None:
    """Return what a document says of its entry; None when it is not one of this schema, or cannot be read."""
    try:
        document: Mapping[str, Any] = bson.decode(raw.raw, _CODEC_OF_ANY)
    except UNREADABLE:
        return None
    key, status = document.get("_id"), document.get("status")
    timestamp, expires_at, purge_at = (_time(document.get(name)) for name in ("timestamp", "expires_at", "purge_at"))
    if document.get("schema") != SCHEMA or not isinstance(key, str) or not _is_status(status):
        return None
    if timestamp is None or expires_at is None or purge_at is None:
        return None
    size = document.get("size")  # worked out by MongoDB
    counted = int(size) if isinstance(size, int) and not isinstance(size, bool) else None
    return EntryInfo(key, status, timestamp, expires_at, purge_at, *_labels(document), counted)


def readable(found: Iterable[RawBSONDocument]) -> Iterator[Mapping[str, Any]]:
    """Decode documents one by one: one that cannot be read hides no other."""
    for raw in found:
        with suppress(*UNREADABLE):
            yield bson.decode(raw.raw, _CODEC_OF_ANY)


def _labels(document: Mapping[str, Any]) -> tuple[int | str | None, str | None, str | None]:
    get = document.get
    tmdb_id, media_type, endpoint = get("tmdb_id"), get("media_type"), get("endpoint")
    # Exactly: BSON has kinds of strings (code) and of integers of its own.
    return (
        int(tmdb_id) if type(tmdb_id) is int or type(tmdb_id) is Int64 else tmdb_id if type(tmdb_id) is str else None,
        media_type if type(media_type) is str else None,
        endpoint if type(endpoint) is str else None,
    )


def _hops(value: Any) -> tuple[Hop, ...] | None:
    if not isinstance(value, list):
        return None
    hops = []
    for item in value:
        if not isinstance(item, Mapping):
            return None
        url, status, reason, headers, body = (item.get(k) for k in ("url", "status", "reason", "headers", "body"))
        if not (_is_url(url) and isinstance(status, int) and type(reason) is str):
            return None
        if not (_are_headers(headers) and type(body) is bytes):
            return None
        hops.append(Hop(url, status, reason, headers, body))
    return tuple(hops)


def _is_status(value: Any) -> TypeGuard[int]:
    # Only these are ever stored.
    return isinstance(value, int) and value in (200, 404)


def _is_response(status: int, body: bytes) -> bool:
    """Say whether a body could be stored, had it just come from TMDB."""
    reply = Reply(status=status, body=body)
    found = policy.judge(reply, Request(), None, Policy(), False, datetime.now(timezone.utc))
    return found.verdict is policy.Verdict.STORE


def _is_url(value: Any) -> TypeGuard[str]:
    try:
        parts = urlsplit(value) if type(value) is str else None
        return parts is not None and parts.hostname is not None and parts.port != 0  # .port raises for nonsense
    except ValueError:
        return False


def _time(value: Any) -> datetime | None:
    """Return a time, aware; None for what is none."""
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)


def _are_headers(value: Any) -> TypeGuard[Mapping[str, str]]:
    try:
        texts = "".join(value) + "".join(value.values())
    except (AttributeError, TypeError):  # no mapping, or something in it is no text
        return False
    if not {*map(type, value), *map(type, value.values())} <= _TEXT:
        return False
    # All printable, as nearly always, is seen faster.
    return len(texts) <= LARGEST_HEADERS and (texts.isprintable() or not CONTROL.search(texts))
