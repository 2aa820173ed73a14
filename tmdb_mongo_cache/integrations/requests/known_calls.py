"""Plain calls that are determined by their arguments: each is classified once, and remembered."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests.utils import get_netrc_auth

from ...httpcache import memoize
from ...tmdb import account_states, urls
from ...tmdb.call import Call, RequestHeaders, classify_parsed, parse_headers

Pairs = tuple[tuple[str, str], ...]


class Known(NamedTuple):
    """A plain call: as classified, the headers that requests would send, and the mount point of its adapter.

    ``for_a_user`` if the response would depend on a user whom an adapter of the program may add.
    """

    call: Call
    headers: CaseInsensitiveDict[str]
    mount: str
    for_a_user: bool

    def __repr__(self) -> str:
        return f"Known({self.call!r})"

    @property
    def url(self) -> str:
        """The URL, normalized."""
        return self.call.url


class _TooLongError(Exception):
    """Raised so that ``lru_cache`` does not store a call."""


LONGEST = 2048
"""Characters of a call in the table at most, so that a thousand of them take some MB."""


def _look_at(
    url: str, query: Pairs, own: Pairs, more: Pairs, hosts: frozenset[str], *, verified: bool = True
) -> Known | None:
    """Look at a call as :func:`.tmdb.call.classify` does; None where it is not plain, not TMDB's or private.

    Raises:
        _TooLongError: it is too long to be known by its arguments.
    """
    if len(url) + sum(len(name) + len(value) for pairs in (query, own, more) for name, value in pairs) > LONGEST:
        raise _TooLongError
    # requests normalizes existing percent-encodings in its own way.
    plain = urls.plain_url(url, urls.encode(query)) if "%" not in url else None
    if plain is None or not urls.is_tmdb(plain[1], hosts):
        return None
    headers, said = _merged(own, more)
    call = classify_parsed("GET", *plain, headers, said, hosts=hosts, verified=verified)
    if call.bypass:
        return None
    return Known(call, headers, url[: url.index("/") + 2], any(map(account_states.is_part, call.request.appended)))


known_call = lru_cache(maxsize=1024)(_look_at)
unverified_call = lru_cache(maxsize=1024)(partial(_look_at, verified=False))


@lru_cache(maxsize=64)
def _merged(own: Pairs, more: Pairs) -> tuple[CaseInsensitiveDict[str], RequestHeaders]:
    """Merge a session's headers and a call's, as ``Session.prepare_request`` does, and read them.

    Raises:
        InvalidHeader: requests would not send them.
    """
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(own)
    headers.update(more)
    PreparedRequest().prepare_headers(headers)
    return headers, parse_headers(headers)


@lru_cache(maxsize=32)
def is_in_netrc(host: str, moment: int) -> bool:
    """Return whether a ``.netrc`` has an entry for a host; read every five seconds, as it takes longer than a hit."""
    return bool(get_netrc_auth(f"https://{host}/"))


def prepare(known: Known) -> PreparedRequest:
    """Prepare the request, as ``Session.prepare_request`` does."""
    prepared = PreparedRequest()
    prepared.prepare(method="GET", url=known.call.url, headers=known.headers.copy())
    return prepared


def forget() -> None:
    """Clear the table of known calls, which contains credentials."""
    known_call.cache_clear()
    unverified_call.cache_clear()
    _merged.cache_clear()
    is_in_netrc.cache_clear()
    memoize.clear()
