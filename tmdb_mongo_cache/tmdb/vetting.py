"""What may be taken from a stranger's file, whose word it is for everything.

What can be worked out is worked out anew and not believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from . import making, secrets, urls
from .calls import Call, classify
from .copies import Copy
from .entry import Entry, Hop
from .expiration import LONGEST
from .keys import keys_of_prepared, parts_of
from .policy import CLOCKS_APART
from .sharing import why_not_shared

# What no URL has as it is, and what readers of URLs leave out, cut at, or take for a slash.
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2


def why_refused(copy: Copy, hosts: frozenset[str], now: datetime) -> str:
    """Say why an entry must not be taken, but for its answer; empty when it may be.

    Args:
        copy: the entry; that its fields have the right types is known.
        hosts: what counts as TMDB besides its own hosts.
        now: the time.
    """
    entry = copy.entry
    try:
        "".join(_texts(entry)).encode()
    except UnicodeEncodeError:
        return "a character in it that cannot be encoded"
    parts = parts_of(entry.key)
    if parts is None:
        return "its key is none of TMDB's"
    if "#" not in entry.key:
        why = _why_not_at(parts.url, entry.key, hosts)
        if why:
            return why
    elif not (entry.history or entry.url):
        return "its key ends in a digest, and no url tells what was asked"
    for index, url in enumerate(_urls(entry)):
        why = _why_not_at(url, "" if index else entry.key, hosts)
        if why:
            return why
    said: list[Entry | Hop] = [entry, *entry.history]
    if any(_leads_elsewhere(part, parts.url, hosts) for part in said):
        return (
            "a Location in it leads to a host that is neither TMDB's nor one of the hosts in the settings "
            "(TMDB_CACHE_HOSTS)"
        )
    return _why_not_said(said) or _why_not_shared(entry, hosts) or _why_not_then(copy, now)


def labelled(entry: Entry, call: Call, data: Any) -> Entry:
    """Return an entry with the ``tmdb_id``, ``media_type`` and ``endpoint`` that its call and its answer give it."""
    tmdb_id, media_type, endpoint = making.labels(call, data)
    return entry._replace(tmdb_id=tmdb_id, media_type=media_type, endpoint=endpoint)


def call_of(entry: Entry, hosts: frozenset[str]) -> Call | None:
    """Return the call that an entry answers, as its key has it; ``hosts`` is what counts as TMDB besides its own."""
    parts = parts_of(entry.key)
    url = next(_urls(entry)) if parts is None or "#" in entry.key else parts.url
    return classify("GET", url, {}, hosts=hosts)


def _urls(entry: Entry) -> Iterator[str]:
    """Give the URLs that were asked for, in order; the first one is that of the key."""
    yield from (hop.url for hop in entry.history)
    if entry.url:
        yield entry.url


def _texts(entry: Entry) -> Iterator[str]:
    yield entry.key
    yield entry.url or ""
    parts: list[Entry | Hop] = [entry, *entry.history]
    for part in parts:
        yield part.reason
        yield from part.headers
        yield from part.headers.values()
    yield from (hop.url for hop in entry.history)


def _why_not_at(url: str, key: str, hosts: frozenset[str]) -> str:
    call = classify("GET", url, {}, hosts=hosts)
    if call is None:
        return "it is not TMDB's, and its host is none of the hosts in the settings (TMDB_CACHE_HOSTS)"
    if call.straight:
        return f"it must not be kept: {call.straight}"
    if secrets.strip_url(url) != url or secrets.mentions(url, ()):
        return "a credential in an url"
    return "its key is not that of its call" if key and key not in keys_of_prepared(url, hosts) else ""


def _leads_elsewhere(part: Entry | Hop, asked: str, hosts: frozenset[str]) -> bool:
    """Say whether a ``Location``, into which a reader's own credentials are put, leads to another host in any reading.

    Into no other header is anything ever put (``Content-Location``, ``Link``, ``Refresh``).
    """
    base = part.url or asked
    found = [value for name, value in part.headers.items() if name.lower() == "location"]
    return not all(_leads_home(location, base, hosts) for location in found)


def _leads_home(location: str, base: str, hosts: frozenset[str]) -> bool:
    if _NOT_IN_URL.search(location):
        return False
    try:
        parts = urlsplit(location)
        target = urls.split(urljoin(base, location))
    except ValueError:
        return False
    # "https:example.org" and "///example.org" are relative to some, and name a host to others.
    names_host = bool(parts.scheme) or location.startswith("//")
    if (names_host and not parts.netloc) or "@" in parts.netloc:
        return False
    return target is not None and urls.is_tmdb(target, hosts)


def _why_not_said(parts: list[Entry | Hop]) -> str:
    """Say what is wrong with the status lines and headers."""
    if any(_has_credential(part.headers) for part in parts):
        return "a credential or a cookie in its headers"
    names = [name for part in parts for name in part.headers]
    if not all(map(_HEADER_NAME.fullmatch, names)) or not all(secrets.are_storable(part.headers) for part in parts):
        return "headers that cannot be kept"
    if any(secrets.CONTROL.search(part.reason) or secrets.mentions(part.reason, ()) for part in parts):
        return "a reason that no answer has"
    return ""


def _why_not_shared(entry: Entry, hosts: frozenset[str]) -> str:
    """Say what is wrong with the answer, or with a redirect on the way to it, by what its headers say of caches."""
    why = next(filter(None, (why_not_shared(hop.headers, None) for hop in entry.history)), "")
    if why or not why_not_shared(entry.headers, None):
        return why
    call = call_of(entry, hosts)
    return why_not_shared(entry.headers, None if call is None else call.endpoint.template)


def _why_not_then(copy: Copy, now: datetime) -> str:
    """Say what is wrong with the times."""
    entry = copy.entry
    last = entry.timestamp + LONGEST if entry.timestamp < now + CLOCKS_APART else None
    if last is None or max(copy.fetched, copy.changed_at or copy.fetched) > now + CLOCKS_APART:
        return "it comes from the future"
    if max(entry.purge_at, entry.expires_at) > last:
        return f"it is to be kept for longer than TMDB's terms allow ({LONGEST.days} days)"
    return ""


def _has_credential(headers: Mapping[str, str]) -> bool:
    others = {name: value for name, value in headers.items() if name.lower() != "location"}
    if len(secrets.keepable_headers(others, ())) != len(others):
        return True
    locations = [value for name, value in headers.items() if name.lower() == "location"]
    try:
        return any(
            secrets.strip_location(value) != value or secrets.is_somebodys_location(value, ()) for value in locations
        )
    except ValueError:
        return True
