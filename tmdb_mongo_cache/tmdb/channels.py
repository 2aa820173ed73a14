"""Which entries may be made of what came by a channel, verified or not, and which entries may answer by it."""

from __future__ import annotations

from . import keys
from .calls import Call
from .entry import Reply

_VERIFIED = (f"{keys.START}/", "GET https://")
_UNVERIFIED_TMDB = f"{keys.UNVERIFIED_START}/"


def is_verified(key: str) -> bool:
    """Say whether a key is one of answers that came by https, from who has the certificate for the host in it."""
    return key.startswith(_VERIFIED)


def verified_key(key: str) -> str:
    """Return the key of the verified answer that may serve for what has a key; empty where that is itself, or none."""
    return f"{keys.START}/{key.removeprefix(_UNVERIFIED_TMDB)}" if key.startswith(_UNVERIFIED_TMDB) else ""


def kept_as(call: Call, reply: Reply) -> Call | None:
    """Return the call as whose answer a reply may be kept; None where it may be none's.

    What a verified call asks for has to have come so, redirects included. A
    redirect from http to the same by https has left nothing that was not
    verified in the answer: it is the verified one.
    """
    if is_verified(call.key):
        # An adapter of the program's own may have sent it elsewhere.
        asked = reply.history[0].url if reply.history else reply.url
        is_sent = asked is None or keys.key_of_prepared(asked, call.hosts) == call.key
        return call if reply.verified and reply.led_verified and is_sent else None
    if call.verified_key and reply.verified and keys.key_of_prepared(reply.url, call.hosts) == call.verified_key:
        return by_verified(call)
    return call


def by_verified(call: Call) -> Call:
    """Return a call as it would be by a verified channel."""
    return call._replace(key=call.verified_key, verified_key="") if call.verified_key else call
