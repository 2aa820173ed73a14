"""How long an answer would be good, worked out by making the entry of one that came now."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ..tmdb import bodies, freshness, making, reasons
from ..tmdb.calls import Call
from ..tmdb.entry import Entry, Reply
from ..tmdb.expiration import DO_NOT_CACHE, LONGEST
from ..tmdb.rules import Policy


class Lasting(NamedTuple):
    """How long an answer is fresh and stands in, in seconds, and the rule; None where that is not known or not so."""

    seconds: float | None
    rule: str
    stands_in: float | None


def of(call: Call, rules: Policy, entry: Entry | None, now: datetime, pattern: str | None) -> Lasting:
    """Return how long an answer to a call that came now would be good.

    Args:
        call: the call.
        rules: the settings as they are for it.
        entry: an answer that is there, for what goes by its dates.
        now: the time.
        pattern: of ``urls_expire_after``, the one that matches.
    """
    value, rule = reasons.ruled(call.ask, rules)
    named = reasons.named(rule, call.ask, rules, pattern)
    if value == DO_NOT_CACHE:
        return Lasting(None, f"not kept at all, by {named}", None)
    # A 404 has no dates, and goes by a setting of its own.
    body = entry.body if entry is not None and entry.status == 200 else None
    data = None if body is None else bodies.parse_if_whole(body)
    made = making.make_entry(call, rules, Reply(200, body=body or b""), data, now)
    seconds = (made.expires_at - now).total_seconds()
    adapts = reasons.adapts(value, call.ask.kind)
    if adapts:
        limits = f"{reasons.length(freshness.SHORTEST)} and {reasons.length(freshness.LONGEST)}"
        text = f"a tenth of the time since it came out, between {limits}, by {named}: 'adaptive'"
        text += "" if body is None else f"; for the answer that is there {reasons.length(seconds)}"
    elif isinstance(value, datetime):
        cut = "" if value <= made.expires_at else "as long as TMDB's terms allow, "
        text = f"until {made.expires_at:%Y-%m-%d %H:%M:%S} UTC, {cut}by {named}"
    else:
        if isinstance(value, str):
            value = freshness.seconds_of(call.ask.kind)
            named = f"the table of classes (here {call.ask.kind!r}; 'adaptive' is for titles)"
        text = _exactly(float(value), seconds, named)
    if rules.cache_control:
        text = f"as long as TMDB's own Cache-Control says (cache_control); where it says nothing {text}"
    stands_in = _stands_in(call, rules)
    if rules.cache_control or (adapts and body is None):
        return Lasting(None, text, stands_in)
    # Six months after the fetch it is deleted, stale or not.
    return Lasting(seconds, text, min(stands_in, (made.purge_at - made.expires_at).total_seconds()))


def of_missing(rules: Policy) -> str:
    """Say how long a 404 that came now would be good."""
    wanted = rules.not_found_expire_after
    if wanted == DO_NOT_CACHE:
        return "not kept"
    if isinstance(wanted, datetime):
        return f"fresh until {wanted:%Y-%m-%d %H:%M:%S} UTC"
    return f"fresh for {reasons.allowed(wanted)}"


def standing_in(seconds: float | None, fresh_for: float | None) -> str:
    """Say how long past its expiry an answer stands in, given how long it is fresh; empty where it is not kept."""
    if seconds is None:
        return ""
    lasts_longest = seconds + (fresh_for or 0.0) >= LONGEST.total_seconds() - 1
    if seconds < 1:
        return "no longer than that, for TMDB's terms do not allow it" if lasts_longest else "never, when TMDB fails"
    length = f"{reasons.length(seconds)} longer"
    if lasts_longest:
        length = f"as long as TMDB's terms allow{'' if fresh_for is None else f' ({length})'}"
    return f"{length}, when TMDB fails (stale_if_error)"


def _exactly(wanted: float, seconds: float, named: str) -> str:
    text = f"{reasons.allowed(wanted)}, by {named}"
    if abs(seconds - min(wanted, LONGEST.total_seconds())) < 1:
        return text
    share = f"{abs(seconds / wanted - 1):.1%} {'longer' if seconds > wanted else 'shorter'}"
    return f"{text}; for this key {reasons.length(seconds)} ({share}: not all is to expire at once)"


def _stands_in(call: Call, rules: Policy) -> float:
    asked = call.ask.directives.stale_if_error
    barred = call.ask.directives.no_cache or rules.force_refresh
    wanted = rules.stale_if_error if asked is None else asked
    return 0.0 if barred else min(wanted, LONGEST.total_seconds())
