"""A call to TMDB as the cache sees it, and the form in which its answer may be kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote_plus, urlsplit

from . import directives, endpoints, folding, header_fields, keys, privacy, secrets, states, urls
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
    return Said(asked, straight, secrets.credentials((), headers), host)


class _Query(NamedTuple):
    """What a query says: against the cache, to the key, what is appended, what must not be written anywhere.

    ``names_a_user`` where something in it may say who asks.
    """

    straight: str
    key_part: str
    appended: tuple[str, ...]
    credentials: frozenset[str]
    names_a_user: bool

    def __repr__(self) -> str:
        return f"_Query(straight={self.straight!r}, key_part={self.key_part!r})"


_LONGEST_KNOWN = 2048
"""Characters of a query that is not read anew each time: so many take some MB at most."""


def _read_query(query: str) -> _Query:
    return _read_known(query) if len(query) <= _LONGEST_KNOWN else _read(query)


def _read(query: str) -> _Query:
    pairs = urls.pairs(query)
    return _Query(
        privacy.why_straight_by_query(query, pairs),
        keys.query_part(query),
        keys.appended_parts(pairs),
        secrets.credentials(pairs, {}),
        privacy.names_a_user(pairs),
    )


_read_known = lru_cache(maxsize=256)(_read)  # a loop over films asks for each with the same params


def forget_queries() -> None:
    """Drop what is known of queries, and with it their credentials."""
    _read_known.cache_clear()
    folding.forget_names()


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
    own = said.credentials | query.credentials
    start = keys.start_of(target, verified=verified)
    key = "" if straight else keys.make_key(start, path, query.key_part)
    if any(secret in key for secret in own):
        straight = "a credential where none belongs"
    if straight:
        return Call("", straight, Ask(directives=said.directives), endpoint, hosts, url, own)
    parts = query.appended
    sure = _sure_parts(parts, endpoint)
    ask = Ask(url, endpoint.kind, parts, sure, said.directives, follows_redirects, endpoint.template)
    by_verified = urls.is_own(target) and start != keys.START
    verified_key = keys.make_key(keys.START, path, query.key_part) if by_verified else ""
    return Call(key, "", ask, endpoint, hosts, url, own, verified_key)


def may_be_for_a_user(url: str | bytes | None, headers: Mapping[str, str | bytes]) -> bool:
    """Say whether a request, as it was sent, may say who asks (a redirect sends cookies that were not there)."""
    target = urls.split(url)
    return privacy.names_a_user(headers.items()) or (
        target is not None and privacy.names_a_user(urls.pairs(target.query))
    )


def _sure_parts(parts: tuple[str, ...], endpoint: Endpoint) -> tuple[str, ...]:
    """Return those of the appended parts that an answer cannot do without."""
    if endpoint.template is None:
        return states.without(parts)
    return tuple(part for part in parts if part in endpoints.APPENDABLE.get(endpoint.template, ()))


def fill_url(stripped: str, url: str) -> str:
    """Put this caller's credentials into an URL that was stripped of another's; what it has none for goes."""
    own = {name: value for name, value in urls.pairs(urlsplit(url).query) if secrets.is_credential(name)}
    place, mark, fragment = stripped.partition("#")
    place, question, query = place.partition("?")
    filled = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if not value and secrets.is_credential(name):
            if name not in own:
                continue
            item = f"{name}={quote_plus(own[name], errors='surrogateescape')}"
        filled.append(item)
    return place + (question if filled else "") + "&".join(filled) + mark + fragment


def kept_form(call: Call, reply: Reply) -> Reply:
    """Return the reply as it may be kept: without credentials, cookies, and what speaks of this exchange alone.

    ``keepable`` is False in the result when it must not be kept at all: it
    repeats a credential, has headers that no document gives back, or came through
    a redirect by way of a private call or another host.
    """
    own = call.credentials
    if secrets.body_mentions(reply.body, own):
        return reply._replace(keepable=False)
    if not secrets.are_storable(reply.headers):
        return reply._replace(keepable=False)
    kept = reply._replace(headers=secrets.keepable_headers(header_fields.storable(reply.headers), own), native=None)
    if not reply.history:
        return kept._replace(url=None)
    steps = [hop.url for hop in reply.history] + [reply.url or ""]
    for step in steps:
        reached = classify("GET", step, {}, hosts=call.hosts)
        # What is appended on the way was not asked for, and so not who asks.
        if reached is None or reached.straight or any(map(states.is_part, reached.ask.appended)):
            return reply._replace(keepable=False)
    last = {keys.key_of_prepared(steps[-1], call.hosts, verified=verified) for verified in (True, False)}
    if not last.isdisjoint((call.key, call.verified_key)):
        # From http to https, or to the other host: the same call, and the next caller is there already.
        return kept._replace(url=None, history=())
    if any(secrets.is_somebodys_location(header(hop.headers, "location") or "", own) for hop in reply.history):
        return reply._replace(keepable=False)
    hops = tuple(_kept_hop(hop, own) for hop in reply.history)
    if any(why_not_shared(hop.headers, None) for hop in hops):
        return reply._replace(keepable=False)
    if any(secrets.body_mentions(hop.body, own) for hop in hops):
        return reply._replace(keepable=False)
    return kept._replace(url=strip_url(steps[-1]), history=hops)


def _kept_hop(hop: Hop, own: frozenset[str]) -> Hop:
    came = {name: strip_location(value) if name.lower() == "location" else value for name, value in hop.headers.items()}
    keepable = secrets.keepable_headers(header_fields.storable(came), own)
    headers = {name: value for name, value in came.items() if name in keepable or name.lower() == "location"}
    return Hop(strip_url(hop.url), hop.status, hop.reason, headers, hop.body)
