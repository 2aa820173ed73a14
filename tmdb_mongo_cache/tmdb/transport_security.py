"""Which key a response is stored under, and may be served for, by whether its connection was verified."""

from __future__ import annotations

from ..httpcache.models import Reply
from . import cache_key
from .call import Call

_VERIFIED = (f"{cache_key.START}/", "GET https://")
_UNVERIFIED_TMDB = f"{cache_key.UNVERIFIED_START}/"


def is_verified(key: str) -> bool:
    """Return whether a key is of responses over https with a verified certificate."""
    return key.startswith(_VERIFIED)


def verified_key(key: str) -> str:
    """Return the key of the verified response that may be served for an unverified key of TMDB's.

    Empty for any other key, and for one that ends in a digest, from which the other cannot be made.
    """
    has_one = key.startswith(_UNVERIFIED_TMDB) and "#" not in key
    return f"{cache_key.START}/{key.removeprefix(_UNVERIFIED_TMDB)}" if has_one else ""


def stored_as(call: Call, reply: Reply) -> Call | None:
    """Return the call as which a reply may be stored; None where it may not be.

    The response to a verified call must be verified, with all redirects. After a
    redirect from http to the same over https, the response is the verified one.
    """
    if is_verified(call.key):
        # A custom adapter may have sent it elsewhere.
        sent_url = reply.history[0].url if reply.history else reply.url
        is_sent = sent_url is None or cache_key.key_of_prepared(sent_url, call.hosts) == call.key
        return call if reply.verified and reply.redirects_verified and is_sent else None
    if call.verified_key and reply.verified and cache_key.key_of_prepared(reply.url, call.hosts) == call.verified_key:
        return by_verified(call)
    return call


def by_verified(call: Call) -> Call:
    """Return the call as a verified one."""
    return call._replace(key=call.verified_key, verified_key="") if call.verified_key else call
