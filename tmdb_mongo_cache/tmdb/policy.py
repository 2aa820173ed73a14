"""The decisions: may this entry be served, what is to be sent, may this answer be kept.

Pure functions over values, the time passed in. Sections are RFC 9111's unless
another document is named.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, NamedTuple

from . import bodies, expiration, header_fields, response_shapes, states, urls
from . import directives as cache_control
from .directives import NONE, Directives
from .entry import Entry, Reply, header
from .expiration import DO_NOT_CACHE, Wanted
from .reasons import ruled
from .rules import Policy
from .sharing import why_not_shared

_NO_TIME = timedelta(0)

CLOCKS_APART = timedelta(minutes=15)
"""How far another machine's clock may be ahead; what is said to have come later than that is not believed."""

SAME_TIME = timedelta(seconds=2)
"""How far another machine's clock may be ahead without making anything stale."""

NOT_FOUND_CODES = frozenset({6, 34, 37})
"""TMDB's ``status_code`` for "there is no such thing" (developer.themoviedb.org, errors)."""


class Ask(NamedTuple):
    """One call, as far as the rules need to know it; ``sent_url`` is the caller's own, and in no repr."""

    sent_url: str = ""
    kind: str = "unknown"
    appended: tuple[str, ...] = ()
    sure_parts: tuple[str, ...] = ()
    directives: Directives = NONE
    follows_redirects: bool = True
    template: str | None = None

    def __repr__(self) -> str:
        return f"Ask(kind={self.kind!r}, appended={self.appended!r}, directives={self.directives!r})"


class Step(Enum):
    """What to do after looking up."""

    SERVE = auto()
    SERVE_AND_REFRESH = auto()
    VALIDATE = auto()
    FETCH = auto()
    GIVE_UP = auto()


class Verdict(Enum):
    """What to do with what came back."""

    STORE = auto()
    RENEW = auto()
    FETCH_AGAIN = auto()
    SERVE_STALE = auto()
    PASS_ON = auto()


class Judged(NamedTuple):
    """A verdict, and what was found on the way to it."""

    verdict: Verdict
    why: str = ""
    data: Any = None


def usable(entry: Entry | None, ask: Ask, now: datetime) -> Entry | None:
    """Return the entry if it may be served at all: not past its purge, and reached the way this caller goes."""
    if entry is None or now >= entry.purge_at or now - entry.timestamp >= expiration.LONGEST:
        return None
    if entry.timestamp - now > CLOCKS_APART:
        return None
    if entry.validated_at is not None and entry.validated_at - now > CLOCKS_APART:
        return None
    if entry.history and not ask.follows_redirects:
        return None
    return entry


def decide(entry: Entry | None, ask: Ask, policy: Policy, now: datetime) -> Step:
    """Decide what to do with a call, given the usable entry for it."""
    if entry is not None and not is_kept(ask, policy):
        entry = None
    fresh = entry is not None and is_fresh(entry, ask, policy, now)
    asked = ask.directives
    if policy.offline:
        return Step.SERVE if entry is not None else Step.GIVE_UP
    if policy.only_if_cached or asked.only_if_cached:
        # Section 5.2.1.7; a stale answer will do where it would do for a failing TMDB (as in requests-cache).
        # A caller who names a limit means it.
        if entry is None or fresh:
            return Step.SERVE if fresh else Step.GIVE_UP
        limited = asked.max_age is not None or asked.min_fresh > 0 or asked.max_stale > 0
        within = _within_max_stale(entry, ask, policy, now)
        return Step.SERVE if within or (not limited and may_be_stale(entry, ask, policy, now)) else Step.GIVE_UP
    if entry is None or policy.force_refresh:
        return Step.FETCH
    if fresh:
        return Step.SERVE
    if _within_max_stale(entry, ask, policy, now):
        return Step.SERVE
    late = (now - entry.expires_at).total_seconds()
    wants_new = policy.refresh or asked.no_cache or asked.max_age is not None
    # Not fresh though its time is not up (min-fresh, no-cache in the answer): no matter of staleness.
    if not wants_new and 0 <= late < policy.stale_while_revalidate:
        return Step.SERVE_AND_REFRESH  # RFC 5861 section 3
    return Step.VALIDATE if entry.etag else Step.FETCH


def is_fresh(entry: Entry, ask: Ask, policy: Policy, now: datetime) -> bool:
    """Say whether the entry may be served without asking TMDB (section 4.2)."""
    asked = ask.directives
    if policy.refresh or policy.force_refresh or asked.no_cache:
        return False
    if not is_fresh_by_time(entry, now):
        return False
    left = entry.expires_at - now
    if asked.min_fresh and left <= timedelta(seconds=asked.min_fresh):
        return False
    if asked.max_age is not None and _is_too_old(entry, ask, now):
        return False
    wanted = policy.call_expire_after
    if isinstance(wanted, float) and entry.age(now).total_seconds() >= wanted:
        return False
    if isinstance(wanted, datetime) and now >= wanted:
        return False
    return not (policy.cache_control and cache_control.of_answer(entry.headers, now).revalidate)


def _is_too_old(entry: Entry, ask: Ask, now: datetime) -> bool:
    """Say whether the entry is older than the caller's max-age, the time on its way here included (section 4.2.3)."""
    limit = ask.directives.max_age
    return limit is not None and cache_control.age_of(entry.headers) + entry.age(now).total_seconds() >= limit


def _within_max_stale(entry: Entry, ask: Ask, policy: Policy, now: datetime) -> bool:
    """Say whether the entry is stale by no more than the caller puts up with (section 5.2.1.2)."""
    if policy.refresh or ask.directives.no_cache or _is_too_old(entry, ask, now):
        return False
    return 0 <= (now - entry.expires_at).total_seconds() < ask.directives.max_stale


def is_fresh_by_time(entry: Entry, now: datetime) -> bool:
    """Say whether the entry's time is not yet up, whatever the caller asks.

    By the reader's clock: what is to come only later by that would be fresh for
    longer than was meant. Clocks that are kept right differ by less than
    :data:`SAME_TIME`.
    """
    return now < entry.expires_at and (entry.validated_at or entry.timestamp) - now <= SAME_TIME


def may_share(ask: Ask, policy: Policy) -> bool:
    """Say whether the answer to a call that somebody else has begun will do: not for who wants one of its own."""
    asked = ask.directives
    wants_own = policy.refresh or policy.force_refresh or asked.no_cache or asked.max_age == 0
    return not wants_own and ruled(ask, policy)[0] not in (DO_NOT_CACHE, 0)


def may_be_stale(entry: Entry, ask: Ask, policy: Policy, now: datetime) -> bool:
    """Say whether the entry may stand in for a TMDB that fails (RFC 5861 section 4)."""
    if ask.directives.no_cache or policy.force_refresh or not is_kept(ask, policy):
        return False
    limit = ask.directives.stale_if_error
    if limit is None:
        limit = policy.stale_if_error
    return limit > 0 and (now - entry.expires_at).total_seconds() < limit


def judge(reply: Reply, ask: Ask, entry: Entry | None, policy: Policy, validating: bool, now: datetime) -> Judged:
    """Judge what came back for a call.

    ``entry`` is the usable entry there is; ``validating`` says whether its ETag went along.
    """
    if validating and reply.status == 304 and reply.error is None and entry is not None:
        etag = header(reply.headers, "etag")
        if not reply.keepable:
            return Judged(Verdict.FETCH_AGAIN, "a 304 that is not TMDB's")
        if etag is not None and _weak(etag) != _weak(entry.etag or ""):
            return Judged(Verdict.FETCH_AGAIN, "a 304 for another ETag")  # section 4.3.4
        # What it says of storing it says of the entry. Whose answer that would be now only a whole one can tell.
        why = why_not_shared(reply.headers, ask.template) or why_not_shared(entry.headers, ask.template)
        return Judged(Verdict.FETCH_AGAIN, why) if why else Judged(Verdict.RENEW)
    try:
        failure, data = _failure(reply)
    except RecursionError:
        return Judged(Verdict.PASS_ON, "JSON that nests too deeply to be read")
    if failure:
        if entry is not None and may_be_stale(entry, ask, policy, now):
            return Judged(Verdict.SERVE_STALE, failure)
        return Judged(Verdict.PASS_ON, failure)
    why = _why_not_kept(reply, ask, policy, data, now)
    if why:
        return Judged(Verdict.PASS_ON, why)
    return Judged(Verdict.STORE, data=data)


def _failure(reply: Reply) -> tuple[str, Any]:
    """Say how TMDB failed (empty when it did not), and return the parsed body."""
    if reply.error is not None:
        return type(reply.error).__name__, None
    if reply.status == 429 or reply.status >= 500:
        return f"status {reply.status}", None
    if reply.status not in (200, 404):
        return "", None
    try:
        return "", bodies.parse(reply.body)
    except ValueError:
        return ("a body that is not JSON", None) if reply.status == 200 else ("", None)


def _why_not_kept(reply: Reply, ask: Ask, policy: Policy, data: Any, now: datetime) -> str:
    if not reply.keepable:
        return "it did not come from the network, or not as it was asked for"
    if not is_kept(ask, policy) or expiration_of(reply, ask, policy, now) == DO_NOT_CACHE:
        return "set not to be cached"
    if unshared := why_not_shared(reply.headers, ask.template):
        return unshared
    if states.tells_of_somebody(reply.body):
        return "account_states that say something of somebody are private"
    if reply.of_a_user and any(map(states.is_part, ask.appended)):
        return "account_states, sent for with something of a user's"
    if header_fields.leaves_nothing(reply.headers):
        return "it tells its caller to wait and ask again"
    if reply.status == 404:
        code = data.get("status_code") if isinstance(data, dict) else None
        return "" if code in NOT_FOUND_CODES else "a 404 that is not TMDB's"
    if reply.status != 200:
        return f"status {reply.status}"
    why = response_shapes.why_not_fitting(_path_asked_for(reply, ask), data)
    if why:
        return why
    members = data if isinstance(data, dict) else {}
    missing = [part for part in ask.sure_parts if part not in members]
    if missing:
        return f"appended {missing[0]} is missing"
    others = states.without(ask.appended)
    if others and not any(part in members for part in others):
        return "nothing of what was appended is there"
    return ""


def _path_asked_for(reply: Reply, ask: Ask) -> str:
    """Return the path that an answer is for: where redirects led, if there were any."""
    target = urls.split((reply.url if reply.history else None) or ask.sent_url)
    return target.path if target is not None else ""


def expiration_of(reply: Reply, ask: Ask, policy: Policy, now: datetime) -> Wanted:
    """Return how long an answer is to be fresh: by its own header, where that rules, before the settings."""
    if reply.status == 404:
        return policy.not_found_expire_after
    said = said_lifetime(reply, policy, now)
    return ruled(ask, policy)[0] if said is None else said


def said_lifetime(reply: Reply, policy: Policy, now: datetime) -> float | None:
    """Return for how many seconds an answer's own header has it fresh; None where that does not rule."""
    return cache_control.of_answer(reply.headers, now).lifetime if policy.cache_control else None


def is_kept(ask: Ask, policy: Policy) -> bool:
    """Say whether the settings let answers to this call be kept at all."""
    return ruled(ask, policy)[0] != DO_NOT_CACHE


def retention(policy: Policy) -> float:
    """Return how long past its expiry an entry may still be of use, in seconds."""
    return max(policy.stale_if_error, policy.stale_while_revalidate)


def seconds_left(entry: Entry, now: datetime) -> int:
    """Return the freshness left in whole seconds, negative when stale (RFC 9211 section 2.4)."""
    return math.floor((entry.expires_at - now).total_seconds())


def _weak(etag: str) -> str:
    # RFC 9110 section 8.8.3.2: weak comparison.
    return etag.removeprefix("W/")
