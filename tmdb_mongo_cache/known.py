"""Calls that are known by their arguments: what is to be said of one is worked out once."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

from requests import PreparedRequest
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_netrc_auth

from .tmdb import states, urls
from .tmdb.calls import Call, Said, call_of, forget_queries, said_by

Pairs = tuple[tuple[str, str], ...]


class Known(NamedTuple):
    """A plain call: as the cache sees it, and what requests would send for it, by what is mounted where.

    ``for_a_user`` where it asks for what an adapter of the program's own may say the user of.
    """

    call: Call
    headers: CaseInsensitiveDict[str]
    mount: str
    for_a_user: bool

    def __repr__(self) -> str:
        return f"Known({self.call!r})"


class _TooLongError(Exception):
    """A call is not to be kept in a table: what ends in an exception is not."""


LONGEST = 2048
"""Characters of a call that is known by its arguments: a thousand of them take some MB at most."""


def _look_at(
    url: str, query: Pairs, own: Pairs, more: Pairs, hosts: frozenset[str], *, verified: bool = True
) -> Known | None:
    """Look at a call as :func:`.calls.classify` does; None where it is not plain, not TMDB's or private.

    Raises:
        _TooLongError: it is too long to be known by its arguments.
    """
    if len(url) + sum(len(name) + len(value) for pairs in (query, own, more) for name, value in pairs) > LONGEST:
        raise _TooLongError
    # Escapes that were given are written anew by requests, in its own way.
    plain = urls.plain_url(url, urls.encode(query)) if "%" not in url else None
    if plain is None or not urls.is_tmdb(plain[1], hosts):
        return None
    headers, said = _merged(own, more)
    call = call_of("GET", *plain, headers, said, hosts=hosts, verified=verified)
    if call.straight:
        return None
    return Known(call, headers, url[: url.index("/") + 2], any(map(states.is_part, call.ask.appended)))


known_call = lru_cache(maxsize=1024)(_look_at)
unverified_call = lru_cache(maxsize=1024)(partial(_look_at, verified=False))


@lru_cache(maxsize=64)
def _merged(own: Pairs, more: Pairs) -> tuple[CaseInsensitiveDict[str], Said]:
    """Merge a session's headers and a call's, as ``Session.prepare_request`` does, and read them.

    Raises:
        InvalidHeader: requests would not send them.
    """
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(own)
    headers.update(more)
    PreparedRequest().prepare_headers(headers)
    return headers, said_by(headers)


@lru_cache(maxsize=32)
def is_in_netrc(host: str, moment: int) -> bool:
    """Say whether a ``.netrc`` has something for a host; asked every five seconds, for it takes longer than a hit."""
    return bool(get_netrc_auth(f"https://{host}/"))


def prepare(known: Known) -> PreparedRequest:
    """Prepare the request, as ``Session.prepare_request`` does."""
    prepared = PreparedRequest()
    prepared.prepare(
        method="GET",
        url=known.call.url,
        headers=known.headers.copy(),
        params={},
        cookies=RequestsCookieJar(),
        hooks={"response": []},
    )
    return prepared


def forget() -> None:
    """Drop what is known of calls, and with it their credentials."""
    known_call.cache_clear()
    unverified_call.cache_clear()
    _merged.cache_clear()
    is_in_netrc.cache_clear()
    forget_queries()
