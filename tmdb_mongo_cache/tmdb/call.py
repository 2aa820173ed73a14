"""A call to TMDB: its cache key or the reason to bypass the cache, and the storable form of its response."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote_plus, urljoin, urlsplit

from ..httpcache import cache_control, storable_headers
from ..httpcache.cache_control import NONE, Directives
from ..httpcache.memoize import memoize
from ..httpcache.models import Hop, Reply, header
from . import account_states, cache_key, credentials, endpoints, leak_check, privacy, redaction, urls
from .credentials import is_credential
from .endpoints import Endpoint
from .redaction import strip_location, strip_url
from .shared_cache import why_not_shared


class Request(NamedTuple):
    """What the policy needs to know of a call; ``url`` is the caller's, and in no repr."""

    url: str = ""
    path: str = ""
    kind: str = "unknown"
    appended: tuple[str, ...] = ()
    sure_parts: tuple[str, ...] = ()
    directives: Directives = NONE
    follows_redirects: bool = True
    template: str | None = None

    def __repr__(self) -> str:
        return f"Request(kind={self.kind!r}, appended={self.appended!r}, directives={self.directives!r})"


class RequestHeaders(NamedTuple):
    """A request's headers, parsed: cache directives, the reason to bypass the cache, credentials, its own Host."""

    directives: Directives
    bypass: str
    credentials: frozenset[str]
    host: str | None = None

    def __repr__(self) -> str:
        return f"RequestHeaders(directives={self.directives!r}, bypass={self.bypass!r})"


def parse_headers(headers: Mapping[str, str | bytes]) -> RequestHeaders:
    """Parse a request's headers, whose names are case-insensitive."""
    directives = cache_control.of_request(headers)
    bypass, host = privacy.read_headers(headers)
    bypass = bypass or ("the request says no-store" if directives.no_store else "")
    return RequestHeaders(directives, bypass, credentials.of_headers(headers), host)


class _Query(NamedTuple):
    """A query, parsed: the reason to bypass the cache, its part of the key, appended parts, credentials.

    ``rest`` is all of it but credentials; ``identifies_user`` is set where something in it may identify a user.
    """

    bypass: str
    key_part: str
    appended: tuple[str, ...]
    credentials: frozenset[str]
    rest: str
    identifies_user: bool

    def __repr__(self) -> str:
        return f"_Query(bypass={self.bypass!r}, key_part={self.key_part!r})"


@memoize(256)  # a loop over films sends the same params each time
def _read_query(query: str) -> _Query:
    pairs, part = urls.pairs(query), cache_key.query_part(query)
    bypass = privacy.query_bypass_reason(query, pairs) or credentials.query_bypass_reason(pairs)
    return _Query(
        # Keys are shown whole, in log lines and lists.
        bypass or (credentials.BY_NAME if redaction.mentions(part, ()) else ""),
        part,
        cache_key.appended_parts(pairs),
        credentials.of_query(pairs),
        "\n".join(text for name, value in pairs if not is_credential(name) for text in (name, value)),
        privacy.identifies_user(pairs),
    )


class Call(NamedTuple):
    """One call to TMDB.

    ``bypass`` is the reason why it is neither looked up nor stored; only where that is
    empty is there a ``key``. An unverified call to TMDB itself also has a
    ``verified_key``: that of the verified response, which may be served for it.
    ``url`` and ``credentials`` are the caller's, and in no repr.
    """

    key: str
    bypass: str
    request: Request
    endpoint: Endpoint
    hosts: frozenset[str]
    url: str
    credentials: frozenset[str]
    verified_key: str = ""

    def __repr__(self) -> str:
        return f"Call(key={self.key!r}, bypass={self.bypass!r}, endpoint={self.endpoint!r})"


def classify(
    method: str | None,
    url: str | None,
    headers: Mapping[str, str | bytes],
    *,
    has_body: bool = False,
    follows_redirects: bool = True,
    hosts: frozenset[str] = frozenset(),
    verified: bool = True,
) -> Call | None:
    """Classify a request; None where it does not go to TMDB.

    Args:
        method: as it will be sent.
        url: the prepared URL.
        headers: the request's headers, whose names are case-insensitive.
        has_body: whether it has a body.
        follows_redirects: whether the caller follows redirects.
        hosts: hosts that count as TMDB besides its own.
        verified: whether the caller verifies certificates.
    """
    target = urls.split(url)
    if target is None or url is None or not urls.is_tmdb(target, hosts):
        return None
    parsed = parse_headers(headers)
    return classify_parsed(
        method,
        url,
        target,
        headers,
        parsed,
        has_body=has_body,
        follows_redirects=follows_redirects,
        hosts=hosts,
        verified=verified,
    )


def classify_parsed(
    method: str | None,
    url: str,
    target: urls.Target,
    headers: Mapping[str, str | bytes],
    parsed: RequestHeaders,
    *,
    has_body: bool = False,
    follows_redirects: bool = True,
    hosts: frozenset[str] = frozenset(),
    verified: bool = True,
) -> Call:
    """Classify a request to TMDB whose URL is split and whose headers are read; see :func:`classify`.

    ``parsed`` is the result of :func:`parse_headers`.
    """
    path, bypass = target.path, urls.bypass_reason(url)
    if bypass:  # not read: it may be of any length
        endpoint = endpoints.find(path)
        return Call("", bypass, Request(directives=parsed.directives), endpoint, hosts, url, parsed.credentials)
    query = _read_query(target.query)
    bypass = privacy.bypass_reason(method, path, has_body) or query.bypass or parsed.bypass
    if not bypass and parsed.host is not None:
        bypass = privacy.host_bypass_reason(parsed.host, target)
    if not bypass and any(map(account_states.is_part, query.appended)):
        bypass = privacy.account_states_bypass_reason(query.identifies_user or privacy.identifies_user(headers.items()))
    endpoint = endpoints.find(path)
    own = parsed.credentials | query.credentials | credentials.of_url(url)
    found = leak_check.bypass_reason(path, query.rest, own)
    if found:
        bypass, endpoint = bypass or found, endpoint._replace(tmdb_id=None)
    if bypass:
        return Call("", bypass, Request(directives=parsed.directives), endpoint, hosts, url, own)
    parts = query.appended
    sure = _sure_parts(parts, endpoint)
    request = Request(url, path, endpoint.kind, parts, sure, parsed.directives, follows_redirects, endpoint.template)
    start = cache_key.start_of(target, verified=verified)
    key = cache_key.make_key(start, path, query.key_part)
    by_verified = urls.is_own(target) and start != cache_key.START
    verified_key = cache_key.make_key(cache_key.START, path, query.key_part) if by_verified else ""
    return Call(key, "", request, endpoint, hosts, url, own, verified_key)


def may_identify_user(url: str | bytes | None, headers: Mapping[str, str | bytes]) -> bool:
    """Return whether a request, as it was sent, may identify a user: a redirect may have added cookies."""
    target = urls.split(url)
    return privacy.identifies_user(headers.items()) or (
        target is not None and _read_query(target.query).identifies_user
    )


def credentials_of(url: str | bytes | None, headers: Mapping[str, str | bytes]) -> frozenset[str]:
    """Return the credentials of a request as it was sent: an adapter may add some, a redirect a cookie."""
    target = urls.split(url)
    if target is None:
        return frozenset()
    text = url.decode("latin-1") if isinstance(url, bytes) else url or ""
    return credentials.of_headers(headers) | _read_query(target.query).credentials | credentials.of_url(text)


def _sure_parts(parts: tuple[str, ...], endpoint: Endpoint) -> tuple[str, ...]:
    """Return the appended parts that the response must have."""
    if endpoint.template is None:
        return account_states.without(parts)
    return tuple(part for part in parts if part in endpoints.APPENDABLE.get(endpoint.template, ()))


# A Location that every client resolves alike: an URL with a host, a path from the root, a name or a query.
_PLACE = re.compile(r"(?i)(?:(?:https?:)?//[^/?#\s]+(?=[/?#]|$)|/(?!/)|[a-z0-9._~-]+(?=[/?#]|$)|\?)")


def restore_credentials(stripped: str, url: str, hosts: frozenset[str] = frozenset()) -> str:
    """Add the caller's credentials to a redacted URL; params that the caller has no value for are removed.

    They are sent to TMDB only, whoever wrote the URL, and not by http after https.

    Args:
        stripped: the redacted Location of a redirect.
        url: as the caller sent it.
        hosts: hosts that count as TMDB besides its own.
    """
    place, mark, fragment = stripped.partition("#")
    place, question, query = place.partition("?")
    if not any(is_credential(item.partition("=")[0]) for item in query.split("&")):
        return stripped
    if not _is_for_credentials(stripped, url, hosts):
        return stripped
    own = {name: value for name, value in urls.pairs(urlsplit(url).query) if is_credential(name)}
    filled = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if not value and is_credential(name):
            if name not in own:
                continue
            item = f"{name}={quote_plus(own[name], errors='surrogateescape')}"
        filled.append(item)
    return place + (question if filled else "") + "&".join(filled) + mark + fragment


def _is_for_credentials(place: str, url: str, hosts: frozenset[str]) -> bool:
    if not (place.isprintable() and _PLACE.match(place)) or "\\" in place:
        return False
    reached = urljoin(url, place)
    target = urls.split(reached)
    worse = url.startswith("https:") and not reached.startswith("https:")
    return target is not None and not worse and "@" not in urlsplit(reached).netloc and urls.is_tmdb(target, hosts)


def storable_form(call: Call, reply: Reply) -> Reply:
    """Return the form in which a reply is stored: without credentials, cookies and headers about one exchange.

    ``storable`` is False in the result where it must not be stored: it repeats a
    credential, has headers that do not survive in a document, or came through a
    redirect by way of a private call or another host.
    """
    own = call.credentials | reply.credentials
    if not redaction.are_storable(reply.headers):
        return reply._replace(storable=False)
    stored = reply._replace(
        headers=redaction.redacted_headers(storable_headers.storable(reply.headers), own), native=None
    )
    if not reply.history:
        return _passed(stored._replace(url=None), own)
    steps = [hop.url for hop in reply.history] + [reply.url or ""]
    for step in steps:
        reached = classify("GET", step, {}, hosts=call.hosts)
        # account_states that a redirect appends were not checked for a user in the request.
        if reached is None or reached.bypass or any(map(account_states.is_part, reached.request.appended)):
            return reply._replace(storable=False)
    if not cache_key.keys_of_prepared(steps[-1], call.hosts).isdisjoint((call.key, call.verified_key)):
        # From http to https, or to the other host: the same call. The next caller needs no redirect.
        return _passed(stored._replace(url=None, history=()), own)
    if any(redaction.is_personal_location(header(hop.headers, "location") or "", own) for hop in reply.history):
        return reply._replace(storable=False)
    hops = tuple(_stored_hop(hop, own) for hop in reply.history)
    if any(why_not_shared(hop.headers, None) for hop in hops):
        return reply._replace(storable=False)
    return _passed(stored._replace(url=strip_url(steps[-1]), history=hops), own)


def _passed(stored: Reply, own: frozenset[str]) -> Reply:
    return stored if leak_check.passes(stored, own) else stored._replace(storable=False)


def _stored_hop(hop: Hop, own: frozenset[str]) -> Hop:
    came = {name: strip_location(value) if name.lower() == "location" else value for name, value in hop.headers.items()}
    storable = redaction.redacted_headers(storable_headers.storable(came), own)
    headers = {name: value for name, value in came.items() if name in storable or name.lower() == "location"}
    return Hop(strip_url(hop.url), hop.status, hop.reason, headers, hop.body)
