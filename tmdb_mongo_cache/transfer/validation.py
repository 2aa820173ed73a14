"""Which entries of a foreign file may be imported.

Nothing in it is trusted: whatever can be derived is derived again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ..core import entries
from ..core.policy import CLOCKS_APART
from ..httpcache.expiration import LONGEST
from ..httpcache.models import Entry, Hop
from ..tmdb import redaction, urls
from ..tmdb.cache_key import keys_of_prepared, parts_of
from ..tmdb.call import Call, classify
from ..tmdb.shared_cache import why_not_shared

if TYPE_CHECKING:
    from ..mongo.bulk import Copy

# Characters that no URL contains, and that parsers of URLs drop, cut at, or take for a slash.
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2


def why_refused(copy: Copy, hosts: frozenset[str], now: datetime) -> str:
    """Return why an entry must not be imported, its body apart; empty where it may be.

    Args:
        copy: the entry, its fields of the right types.
        hosts: hosts that count as TMDB besides its own.
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
        why = _invalid_url(parts.url, entry.key, hosts)
        if why:
            return why
    elif not (entry.history or entry.url):
        return "its key ends in a digest, and no url tells the request"
    for index, url in enumerate(_urls(entry)):
        why = _invalid_url(url, "" if index else entry.key, hosts)
        if why:
            return why
    parts_of_entry: list[Entry | Hop] = [entry, *entry.history]
    if any(_leads_elsewhere(part, parts.url, hosts) for part in parts_of_entry):
        return (
            "a Location in it leads to a host that is neither TMDB's nor one of the hosts in the settings "
            "(TMDB_CACHE_HOSTS)"
        )
    return _invalid_headers(parts_of_entry) or _why_not_shared(entry, hosts) or _invalid_times(copy, now)


def labelled(entry: Entry, call: Call, data: Any) -> Entry:
    """Return an entry with the ``tmdb_id``, ``media_type`` and ``endpoint`` of its call and its response."""
    tmdb_id, media_type, endpoint = entries.labels(call, data)
    return entry._replace(tmdb_id=tmdb_id, media_type=media_type, endpoint=endpoint)


def call_of(entry: Entry, hosts: frozenset[str]) -> Call | None:
    """Return the call of an entry, from its key; ``hosts`` count as TMDB besides its own."""
    parts = parts_of(entry.key)
    url = next(_urls(entry)) if parts is None or "#" in entry.key else parts.url
    return classify("GET", url, {}, hosts=hosts)


def _urls(entry: Entry) -> Iterator[str]:
    """Yield the requested URLs, in order; the first one is that of the key."""
    yield from (hop.url for hop in entry.history)
    if entry.url:
        yield entry.url


def _texts(entry: Entry) -> Iterator[str]:
    yield from (entry.key, *_urls(entry))
    parts: list[Entry | Hop] = [entry, *entry.history]
    for part in parts:
        yield part.reason
        yield from part.headers
        yield from part.headers.values()


def _invalid_url(url: str, key: str, hosts: frozenset[str]) -> str:
    call = classify("GET", url, {}, hosts=hosts)
    if call is None:
        return "it is not TMDB's, and its host is none of the hosts in the settings (TMDB_CACHE_HOSTS)"
    if call.bypass:
        return f"it must not be stored: {call.bypass}"
    if redaction.strip_url(url) != url or redaction.mentions(url, ()):
        return "a credential in an url"
    return "its key is not that of its call" if key and key not in keys_of_prepared(url, hosts) else ""


def _leads_elsewhere(part: Entry | Hop, url: str, hosts: frozenset[str]) -> bool:
    """Return whether a ``Location`` leads to another host, by any parser.

    A reader's own credentials are added to it, and to no other header (``Content-Location``, ``Link``, ``Refresh``).
    """
    base = part.url or url
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
    # "https:example.org" and "///example.org" are relative to some parsers, and name a host to others.
    names_host = bool(parts.scheme) or location.startswith("//")
    if (names_host and not parts.netloc) or "@" in parts.netloc:
        return False
    return target is not None and urls.is_tmdb(target, hosts)


def _invalid_headers(parts: list[Entry | Hop]) -> str:
    """Return why status lines and headers are invalid."""
    if any(_has_credential(part.headers) for part in parts):
        return "a credential or a cookie in its headers"
    names = [name for part in parts for name in part.headers]
    if not all(map(_HEADER_NAME.fullmatch, names)) or not all(redaction.are_storable(part.headers) for part in parts):
        return "headers that cannot be stored"
    if any(redaction.CONTROL.search(part.reason) or redaction.mentions(part.reason, ()) for part in parts):
        return "an invalid reason"
    return ""


def _why_not_shared(entry: Entry, hosts: frozenset[str]) -> str:
    """Return why the response, or a redirect, must not be shared, by its cache headers."""
    why = next(filter(None, (why_not_shared(hop.headers, None) for hop in entry.history)), "")
    if why or not why_not_shared(entry.headers, None):
        return why
    call = call_of(entry, hosts)
    return why_not_shared(entry.headers, None if call is None else call.endpoint.template)


def _invalid_times(copy: Copy, now: datetime) -> str:
    """Return why the times are invalid."""
    entry = copy.entry
    last = entry.timestamp + LONGEST if entry.timestamp < now + CLOCKS_APART else None
    if last is None or max(copy.fetched, copy.changed_at or copy.fetched) > now + CLOCKS_APART:
        return "it comes from the future"
    if max(entry.purge_at, entry.expires_at) > last:
        return f"it would be stored for longer than TMDB's terms allow ({LONGEST.days} days)"
    return ""


def _has_credential(headers: Mapping[str, str]) -> bool:
    others = {name: value for name, value in headers.items() if name.lower() != "location"}
    if len(redaction.redacted_headers(others, ())) != len(others):
        return True
    locations = [value for name, value in headers.items() if name.lower() == "location"]
    try:
        return any(
            redaction.strip_location(value) != value or redaction.is_personal_location(value, ()) for value in locations
        )
    except ValueError:
        return True
