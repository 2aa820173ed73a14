"""A call to TMDB as the cache sees it, and the form in which its answer may be kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote_plus, urljoin, urlsplit

from . import credentials, directives, endpoints, folding, gate, header_fields, keys, privacy, secrets, states, urls
from .directives import Directives
from .endpoints import Endpoint
from .entry import Hop, Reply, header
from .policy import Ask
from .secrets import strip_location, strip_url
from .sharing import why_not_shared


class Said(NamedTuple):
    """What a request's headers say: to the cache, against it, and what must not be written anywhere."""

    directives: Directives
    straight: str
    credentials: frozenset[str]
    host: str | None = None

    def __repr__(self) -> str:
        return f"Said(directives={self.directives!r}, straight={self.straight!r})"


def said_by(headers: Mapping[str, str | bytes]) -> Said:
    """Read a request's headers, their names looked up without regard to case."""
    asked = directives.of_request(headers)
    straight, host = privacy.read_headers(headers)
    straight = straight or ("the caller asks for no-store" if asked.no_store else "")
    return Said(asked, straight, credentials.of_headers(headers), host)


class _Query(NamedTuple):
    """What a query says: against the cache, to the key, what is appended, what must not be written anywhere.

    ``rest`` is what is left of it without that; ``names_a_user`` where something in it may say who asks.
    """

    straight: str
    key_part: str
    appended: tuple[str, ...]
    credentials: frozenset[str]
    rest: str
    names_a_user: bool

    def __repr__(self) -> str:
        return f"_Query(straight={self.straight!r}, key_part={self.key_part!r})"


_LONGEST_KNOWN = 2048
"""Characters of a query that is not read anew each time: so many take some MB at most."""


def _read_query(query: str) -> _Query:
    return _read_known(query) if len(query) <= _LONGEST_KNOWN else _read(query)


def _read(query: str) -> _Query:
    pairs, part = urls.pairs(query), keys.query_part(query)
    straight = privacy.why_straight_by_query(query, pairs) or credentials.why_straight_by_query(pairs)
    return _Query(
        # What a key says in a line of a log or of a list must be all of it.
        straight or (credentials.BY_NAME if secrets.mentions(part, ()) else ""),
        part,
        keys.appended_parts(pairs),
        credentials.of_query(pairs),
        "\n".join(text for name, value in pairs if not secrets.is_credential(name) for text in (name, value)),
        privacy.names_a_user(pairs),
    )


_read_known = lru_cache(maxsize=256)(_read)  # a loop over films asks for each with the same params


def forget_queries() -> None:
    """Drop what is known of queries, and with it their credentials."""
    _read_known.cache_clear()
    folding.forget_names()
    gate.forget_calls()


class Call(NamedTuple):
    """One call to TMDB.

    ``straight`` says why it is neither looked up nor stored; empty when it may
    be, and only then there is a ``key``. A call to TMDB itself by a channel that
    is not verified has a ``verified_key``, too: that of the verified answer, which
    may serve it. ``url`` and ``credentials`` are the caller's, and appear in no
    repr.
    """

    key: str
    straight: str
    ask: Ask
    endpoint: Endpoint
    hosts: frozenset[str]
    url: str
    credentials: frozenset[str]
    verified_key: str = ""

    def __repr__(self) -> str:
        return f"Call(key={self.key!r}, straight={self.straight!r}, endpoint={self.endpoint!r})"


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
    """Look at a request; None when it does not go to TMDB.

    Args:
        method: as it will be sent.
        url: the prepared URL.
        headers: the request's headers, their names looked up without regard to case.
        has_body: whether anything is sent along.
        follows_redirects: whether the caller wants redirects followed.
        hosts: what counts as TMDB besides its own hosts.
        verified: whether the caller verifies the certificate of a server that has one.
    """
    target = urls.split(url)
    if target is None or url is None or not urls.is_tmdb(target, hosts):
        return None
    said = said_by(headers)
    return call_of(
        method,
        url,
        target,
        headers,
        said,
        has_body=has_body,
        follows_redirects=follows_redirects,
        hosts=hosts,
        verified=verified,
    )


def call_of(
    method: str | None,
    url: str,
    target: urls.Target,
    headers: Mapping[str, str | bytes],
    said: Said,
    *,
    has_body: bool = False,
    follows_redirects: bool = True,
    hosts: frozenset[str] = frozenset(),
    verified: bool = True,
) -> Call:
    """Look at a request to TMDB whose parts are known; the arguments are those of :func:`classify`.

    ``said`` is what :func:`said_by` makes of the headers.
    """
    path, straight = target.path, urls.why_straight(url)
    if straight:  # unread: it may be of any length
        endpoint = endpoints.find(path)
        return Call("", straight, Ask(directives=said.directives), endpoint, hosts, url, said.credentials)
    query = _read_query(target.query)
    straight = privacy.why_straight(method, path, has_body) or query.straight or said.straight
    if not straight and said.host is not None:
        straight = privacy.why_straight_by_host(said.host, target)
    if not straight and any(map(states.is_part, query.appended)):
        straight = privacy.why_states_straight(query.names_a_user or privacy.names_a_user(headers.items()))
    endpoint = endpoints.find(path)
    own = said.credentials | query.credentials | credentials.of_url(url)
    found = gate.why_straight(path, query.rest, own)
    if found:
        straight, endpoint = straight or found, endpoint._replace(tmdb_id=None)
    if straight:
        return Call("", straight, Ask(directives=said.directives), endpoint, hosts, url, own)
    parts = query.appended
    sure = _sure_parts(parts, endpoint)
    ask = Ask(url, endpoint.kind, parts, sure, said.directives, follows_redirects, endpoint.template)
    start = keys.start_of(target, verified=verified)
    key = keys.make_key(start, path, query.key_part)
    by_verified = urls.is_own(target) and start != keys.START
    verified_key = keys.make_key(keys.START, path, query.key_part) if by_verified else ""
    return Call(key, "", ask, endpoint, hosts, url, own, verified_key)


def may_be_for_a_user(url: str | bytes | None, headers: Mapping[str, str | bytes]) -> bool:
    """Say whether a request, as it was sent, may say who asks (a redirect sends cookies that were not there)."""
    target = urls.split(url)
    return privacy.names_a_user(headers.items()) or (target is not None and _read_query(target.query).names_a_user)


def credentials_of(url: str | bytes | None, headers: Mapping[str, str | bytes]) -> frozenset[str]:
    """Return the credentials in a request as it was sent: an adapter may add its own, a redirect a cookie."""
    target = urls.split(url)
    if target is None:
        return frozenset()
    text = url.decode("latin-1") if isinstance(url, bytes) else url or ""
    return credentials.of_headers(headers) | _read_query(target.query).credentials | credentials.of_url(text)


def _sure_parts(parts: tuple[str, ...], endpoint: Endpoint) -> tuple[str, ...]:
    """Return those of the appended parts that an answer cannot do without."""
    if endpoint.template is None:
        return states.without(parts)
    return tuple(part for part in parts if part in endpoints.APPENDABLE.get(endpoint.template, ()))


# Where all who read a Location see the same: an URL with a host, a path from the root, a name or a query.
_PLACE = re.compile(r"(?i)(?:(?:https?:)?//[^/?#\s]+(?=[/?#]|$)|/(?!/)|[a-z0-9._~-]+(?=[/?#]|$)|\?)")


def fill_url(stripped: str, url: str, hosts: frozenset[str] = frozenset()) -> str:
    """Put this caller's credentials into an URL that was stripped of another's; what it has none for goes.

    Whoever wrote the URL, they go to TMDB alone, and by no worse a channel than the caller's own.

    Args:
        stripped: where a redirect leads.
        url: as the caller sent it.
        hosts: what counts as TMDB besides its own hosts.
    """
    place, mark, fragment = stripped.partition("#")
    place, question, query = place.partition("?")
    if not any(secrets.is_credential(item.partition("=")[0]) for item in query.split("&")):
        return stripped
    if not _is_for_credentials(stripped, url, hosts):
        return stripped
    own = {name: value for name, value in urls.pairs(urlsplit(url).query) if secrets.is_credential(name)}
    filled = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if not value and secrets.is_credential(name):
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


def kept_form(call: Call, reply: Reply) -> Reply:
    """Return the reply as it may be kept: without credentials, cookies, and what speaks of this exchange alone.

    ``keepable`` is False in the result when it must not be kept at all: it
    repeats a credential, has headers that no document gives back, or came through
    a redirect by way of a private call or another host.
    """
    own = call.credentials | reply.credentials
    if not secrets.are_storable(reply.headers):
        return reply._replace(keepable=False)
    kept = reply._replace(headers=secrets.keepable_headers(header_fields.storable(reply.headers), own), native=None)
    if not reply.history:
        return _passed(kept._replace(url=None), own)
    steps = [hop.url for hop in reply.history] + [reply.url or ""]
    for step in steps:
        reached = classify("GET", step, {}, hosts=call.hosts)
        # What is appended on the way was not asked for, and so not who asks.
        if reached is None or reached.straight or any(map(states.is_part, reached.ask.appended)):
            return reply._replace(keepable=False)
    if not keys.keys_of_prepared(steps[-1], call.hosts).isdisjoint((call.key, call.verified_key)):
        # From http to https, or to the other host: the same call, and the next caller is there already.
        return _passed(kept._replace(url=None, history=()), own)
    if any(secrets.is_somebodys_location(header(hop.headers, "location") or "", own) for hop in reply.history):
        return reply._replace(keepable=False)
    hops = tuple(_kept_hop(hop, own) for hop in reply.history)
    if any(why_not_shared(hop.headers, None) for hop in hops):
        return reply._replace(keepable=False)
    return _passed(kept._replace(url=strip_url(steps[-1]), history=hops), own)


def _passed(kept: Reply, own: frozenset[str]) -> Reply:
    return kept if gate.passes(kept, own) else kept._replace(keepable=False)


def _kept_hop(hop: Hop, own: frozenset[str]) -> Hop:
    came = {name: strip_location(value) if name.lower() == "location" else value for name, value in hop.headers.items()}
    keepable = secrets.keepable_headers(header_fields.storable(came), own)
    headers = {name: value for name, value in came.items() if name in keepable or name.lower() == "location"}
    return Hop(strip_url(hop.url), hop.status, hop.reason, headers, hop.body)
