"""The file format of exports: one JSON object a line, readable, and restored byte for byte.

The first line describes the file: ``{"tmdb-mongo-cache": 1, …}``, with the version
of the format. The fields of all others are those of the document, times in ISO 8601
and UTC. ``body`` is text where it is UTF-8 without control characters, otherwise
there is ``body_base64``. ``data``, ``checksum`` and ``schema`` are derived again when
a line is read.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..httpcache import json_body
from ..httpcache.expiration import LONGEST
from ..httpcache.models import Entry, Hop

if TYPE_CHECKING:
    from ..mongo.bulk import Copy

FORMAT = "tmdb-mongo-cache"
VERSION = 1

LONGEST_LINE = 50 * 2**20
"""Bytes: documents have at most 16 MiB, and a character takes at most three times its bytes here."""

_LONGEST_SKELETON = 2**20
"""Bytes of a line outside its strings: parsed lists, objects and numbers take up to 25 times as many."""

_COPIED = ("tmdb_id", "media_type", "endpoint", "timestamp", "expires_at", "purge_at", "validated_at")
_TIMES = ("timestamp", "expires_at", "purge_at", "validated_at", "changed_at")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3})?Z")
_NEEDED = ("_id", "timestamp", "expires_at", "purge_at", "status", "reason", "headers")
_UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# Line ends to some programs and to str.splitlines(); in JSON they are only in strings.
_ENDS = ("\x85", "\u2028", "\u2029")


def header_line(**what: str | None) -> bytes:
    """Return the first line of a file, without what is None."""
    return _line({FORMAT: VERSION, **{name: value for name, value in what.items() if value is not None}})


def version_of(line: bytes) -> int | None:
    """Return the format version in a first line; None where it is not one."""
    found = json_body.parse_if_whole(line)
    version = found.get(FORMAT) if isinstance(found, dict) and "_id" not in found else None
    return version if isinstance(version, int) and not isinstance(version, bool) and version > 0 else None


def to_line(copy: Copy) -> bytes:
    """Return the line of an entry."""
    entry = copy.entry
    fields: dict[str, Any] = {
        "_id": entry.key,
        **{name: getattr(entry, name) for name in _COPIED},
        "changed_at": copy.changed_at,
        "status": entry.status,
        "reason": entry.reason,
        "headers": dict(entry.headers),
        "url": entry.url,
        "history": [
            {"url": hop.url, "status": hop.status, "reason": hop.reason, "headers": dict(hop.headers), **_body(hop)}
            for hop in entry.history
        ]
        or None,
        **_body(entry),
    }
    for name in _TIMES:
        if fields[name] is not None:
            moment: datetime = fields[name].astimezone(timezone.utc)
            fields[name] = moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return _line({name: value for name, value in fields.items() if value is not None})


def _line(fields: Mapping[str, Any]) -> bytes:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    if not text.isascii():
        for end in _ENDS:
            text = text.replace(end, f"\\u{ord(end):04x}")
    return text.encode() + b"\n"


def _body(part: Entry | Hop) -> dict[str, str]:
    try:
        text = part.body.decode()
    except UnicodeDecodeError:
        text = "\0"
    return {"body_base64": base64.b64encode(part.body).decode()} if _UNREADABLE.search(text) else {"body": text}


def from_line(line: bytes) -> dict[str, Any]:
    """Return the document of a line, without ``data``, ``checksum`` and ``schema``.

    Raises:
        ValueError: the line is invalid; the message says why.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError(f"longer than any entry can be ({LONGEST_LINE // 2**20} MiB)")
    if len(line) > _LONGEST_SKELETON and json_body.has_more_than(line, _LONGEST_SKELETON):
        raise ValueError("more lists, objects and numbers than any entry has")
    try:
        # JSON without a NUL is UTF-8: all other encodings that Python detects contain some.
        found = json_body.parse(b"" if b"\0" in line else line)
    except RecursionError:
        raise ValueError("JSON that nests too deeply to be read") from None
    except ValueError:
        raise ValueError("not JSON" if line.endswith(b"\n") else "not JSON: the file is cut off here") from None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    for name in _NEEDED:
        if found.get(name) is None:
            raise ValueError(f"{name} is missing")
    for name in _TIMES:
        if found.get(name) is not None:
            found[name] = _moment(found[name], name)
    hops = found.get("history")
    for part in [found, *(hops if isinstance(hops, list) else ())]:
        if isinstance(part, dict):
            part["body"] = _bytes(part.get("body"), part.pop("body_base64", None))
    return found


def _moment(text: object, name: str) -> datetime:
    try:
        if isinstance(text, str) and _TIME.fullmatch(text):
            return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
    except ValueError:
        pass
    raise ValueError(f"{name} is not a time like 2026-11-22T12:00:00.000Z")


def _bytes(text: object, coded: object) -> bytes:
    try:
        if isinstance(text, str) and coded is None:
            return text.encode()
        if isinstance(coded, str) and text is None:
            return base64.b64decode(coded, validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise ValueError("its body cannot be read") from None
    raise ValueError("it needs a body, or a body_base64")


def is_past(entry: Entry, now: datetime) -> bool:
    """Return whether an entry is past its retention."""
    return entry.purge_at <= now or entry.timestamp <= now - LONGEST


def recorded(entry: Entry) -> Entry:
    """Return an entry for a recording: fresh for as long as TMDB's terms allow."""
    last = entry.timestamp + LONGEST
    return entry._replace(expires_at=last, purge_at=last)
