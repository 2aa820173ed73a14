"""How long a response would be fresh and may be served stale, determined by making its entry."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ..core import entries, expiration_rules
from ..core.settings import Policy
from ..formatting import duration_text, moment_text
from ..httpcache import json_body
from ..httpcache.expiration import DO_NOT_CACHE, LONGEST
from ..httpcache.models import Entry, Reply
from ..tmdb import freshness
from ..tmdb.call import Call


class Freshness(NamedTuple):
    """How long a response is fresh, by which rule, and how long it may be served stale after that.

    In seconds; None if it depends on the response, or none is cached.
    """

    seconds: float | None
    rule: str
    stale_for: float | None


def of(call: Call, rules: Policy, entry: Entry | None, now: datetime, pattern: str | None) -> Freshness:
    """Return the freshness of a response to a call that came now.

    Args:
        call: the call.
        rules: its settings.
        entry: the cached response, for rules that depend on its dates.
        now: the time.
        pattern: the pattern of ``urls_expire_after`` that matches.
    """
    value, rule = expiration_rules.find_rule(call.request, rules)
    named = expiration_rules.rule_text(rule, call.request, rules, pattern)
    if value == DO_NOT_CACHE:
        return Freshness(None, f"not cached, by {named}", None)
    # A 404 has no dates, and has a setting of its own.
    body = entry.body if entry is not None and entry.status == 200 else None
    data = None if body is None else json_body.parse_if_whole(body)
    made = entries.make_entry(call, rules, Reply(200, body=body or b""), data, now)
    seconds = (made.expires_at - now).total_seconds()
    adapts = expiration_rules.adapts(value, call.request.kind)
    if adapts:
        limits = f"{duration_text(freshness.SHORTEST)} and {duration_text(freshness.LONGEST)}"
        text = f"a tenth of its age since release, between {limits}, by {named}: 'adaptive'"
        text += "" if body is None else f"; {duration_text(seconds)} for the cached response"
    elif isinstance(value, datetime):
        cut = "" if value <= made.expires_at else "as long as TMDB's terms allow, "
        text = f"until {moment_text(made.expires_at)}, {cut}by {named}"
    else:
        if isinstance(value, str):
            value = freshness.seconds_of(call.request.kind)
            named = f"the table of classes (here {call.request.kind!r}; 'adaptive' is for titles)"
        text = _exactly(float(value), seconds, named)
    if rules.cache_control:
        text = f"as long as TMDB's Cache-Control says (cache_control); without one, {text}"
    stale_for = _stale_for(call, rules)
    if rules.cache_control or (adapts and body is None):
        return Freshness(None, text, stale_for)
    # It is deleted six months after the fetch, stale or not.
    return Freshness(seconds, text, min(stale_for, (made.purge_at - made.expires_at).total_seconds()))


def of_missing(rules: Policy) -> str:
    """Say how long a 404 that came now would be fresh."""
    wanted = rules.not_found_expire_after
    if wanted == DO_NOT_CACHE:
        return "not cached"
    if isinstance(wanted, datetime):
        return f"fresh until {moment_text(wanted)}"
    return f"fresh for {allowed_text(wanted)}"


def stale_text(seconds: float | None, fresh_for: float | None) -> str:
    """Say how long past its expiry a response may be served stale, given how long it is fresh; empty if not cached."""
    if seconds is None:
        return ""
    is_longest = seconds + (fresh_for or 0.0) >= LONGEST.total_seconds() - 1
    if seconds < 1:
        return "not at all, because TMDB's terms do not allow it" if is_longest else "not at all"
    length = f"for {duration_text(seconds)}"
    if is_longest:
        length = f"as long as TMDB's terms allow{'' if fresh_for is None else f' ({duration_text(seconds)})'}"
    return f"{length}, if TMDB fails (stale_if_error)"


def allowed_text(seconds: float) -> str:
    """Say for how long a response is fresh where a setting wants so many seconds, ``math.inf`` included."""
    longest = LONGEST.total_seconds()
    return duration_text(seconds) if seconds < longest else f"{duration_text(longest)}, as long as TMDB's terms allow"


def _exactly(wanted: float, seconds: float, named: str) -> str:
    text = f"{allowed_text(wanted)}, by {named}"
    if abs(seconds - min(wanted, LONGEST.total_seconds())) < 1:
        return text
    share = f"{abs(seconds / wanted - 1):.1%} {'longer' if seconds > wanted else 'shorter'}"
    return f"{text}; {duration_text(seconds)} for this key ({share}: jitter)"


def _stale_for(call: Call, rules: Policy) -> float:
    asked = call.request.directives.stale_if_error
    barred = call.request.directives.no_cache or rules.force_refresh
    wanted = rules.stale_if_error if asked is None else asked
    return 0.0 if barred else min(wanted, LONGEST.total_seconds())
