"""How long an answer would be good, worked out by making the entry of one that came now."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from ..tmdb import bodies, freshness, making, reasons
from ..tmdb.calls import Call
from ..tmdb.entry import Reply
from ..tmdb.expiration import DO_NOT_CACHE, LONGEST
from ..tmdb.rules import Policy


class Lasting(NamedTuple):
    """How long an answer is fresh and stands in, in seconds, and the rule; None where that is not known or not so."""

    seconds: float | None
    rule: str
    stands_in: float | None


def of(call: Call, rules: Policy, body: bytes | None, now: datetime, pattern: str | None) -> Lasting:
    """Return how long an answer to a call that came now would be good.

    Args:
        call: the call.
        rules: the settings as they are for it.
        body: an answer that is there, for what goes by its dates.
        now: the time.
        pattern: of ``urls_expire_after``, the one that matches.
    """
    value, rule = reasons.ruled(call.ask, rules)
    named = reasons.named(rule, call.ask, rules, pattern)
    if value == DO_NOT_CACHE:
        return Lasting(None, f"not kept at all, by {named}", None)
    data = None if body is None else _parsed(body)
    made = making.make_entry(call, rules, Reply(200, body=body or b""), data, now)
    seconds = (made.expires_at - now).total_seconds()
    stands_in = _stands_in(call, rules)
    if isinstance(value, datetime):
        return Lasting(seconds, f"until {value:%Y-%m-%d %H:%M:%S} UTC, by {named}", stands_in)
    adapts = reasons.adapts(value, call.ask.kind)
    if adapts:
        limits = f"{reasons.length(freshness.SHORTEST)} and {reasons.length(freshness.LONGEST)}"
        text = f"a tenth of the time since it came out, between {limits}, by {named}: 'adaptive'"
        if body is None:
            return Lasting(None, text, stands_in)
        text += f"; for the answer that is there {reasons.length(seconds)}"
        return Lasting(seconds, text, stands_in)
    if isinstance(value, str):
        value = freshness.seconds_of(call.ask.kind)
        named = f"the table of classes (here {call.ask.kind!r}; 'adaptive' is for titles)"
    return Lasting(seconds, _exactly(float(value), seconds, named), stands_in)


def standing_in(seconds: float) -> str:
    """Say how long past its expiry an answer stands in."""
    if seconds <= 0:
        return "never, when TMDB fails"
    without_end = seconds >= LONGEST.total_seconds()
    length = "as long as TMDB's terms allow" if without_end else f"{reasons.length(seconds)} longer"
    return f"{length}, when TMDB fails (stale_if_error)"


def _exactly(wanted: float, seconds: float, named: str) -> str:
    longest = LONGEST.total_seconds()
    if wanted >= longest:
        return f"{reasons.length(longest)}, as long as TMDB's terms allow, by {named}"
    text = f"{reasons.length(wanted)}, by {named}"
    if abs(seconds - wanted) < 1:
        return text
    share = f"{abs(seconds / wanted - 1):.1%} {'longer' if seconds > wanted else 'shorter'}"
    return f"{text}; for this key {reasons.length(seconds)} ({share}: not all is to expire at once)"


def _stands_in(call: Call, rules: Policy) -> float:
    asked = call.ask.directives.stale_if_error
    barred = call.ask.directives.no_cache or rules.force_refresh
    wanted = rules.stale_if_error if asked is None else asked
    return 0.0 if barred else min(wanted, LONGEST.total_seconds())


def _parsed(body: bytes) -> Any:
    try:
        return bodies.parse(body)
    except ValueError:
        return None
