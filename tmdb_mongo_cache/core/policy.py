"""The decisions: may an entry be served, must it be revalidated, may a response be stored.

Pure functions of values, the time passed in. Sections are those of RFC 9111 unless
another document is named.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, NamedTuple

from ..httpcache import cache_control, expiration, json_body, storable_headers
from ..httpcache.expiration import DO_NOT_CACHE, ExpirationSetting
from ..httpcache.models import Entry, Reply, header
from ..tmdb import account_states, response_shapes, urls
from ..tmdb.call import Request
from ..tmdb.shared_cache import why_not_shared
from .expiration_rules import find_rule
from .settings import Policy

CLOCKS_APART = timedelta(minutes=15)
"""How far the clock of another machine may be ahead; entries from further in the future are not used."""

SAME_TIME = timedelta(seconds=2)
"""How far the clock of another machine may be ahead without making its entries stale."""

NOT_FOUND_CODES = frozenset({6, 34, 37})
"""TMDB's ``status_code`` of a resource that does not exist (developer.themoviedb.org, errors)."""


class Step(Enum):
    """What to do after a lookup."""

    SERVE = auto()
    SERVE_AND_REFRESH = auto()
    VALIDATE = auto()
    FETCH = auto()
    GIVE_UP = auto()


class Verdict(Enum):
    """What to do with a reply."""

    STORE = auto()
    RENEW = auto()
    FETCH_AGAIN = auto()
    SERVE_STALE = auto()
    PASS_ON = auto()


class Judged(NamedTuple):
    """A verdict, its reason, and the parsed body."""

    verdict: Verdict
    why: str = ""
    data: Any = None


def usable(entry: Entry | None, request: Request, now: datetime) -> Entry | None:
    """Return the entry if it may be served at all: not purged, not from the future, its redirects followed."""
    if entry is None or now >= entry.purge_at or now - entry.timestamp >= expiration.LONGEST:
        return None
    if entry.timestamp - now > CLOCKS_APART:
        return None
    if entry.validated_at is not None and entry.validated_at - now > CLOCKS_APART:
        return None
    if entry.history and not request.follows_redirects:
        return None
    return entry


def assess(entry: Entry | None, request: Request, policy: Policy, now: datetime) -> tuple[Entry | None, Step]:
    """Return what was looked up, as far as it is usable, and what to do with the call."""
    entry = usable(entry, request, now)
    return entry, decide(entry, request, policy, now)


def decide(entry: Entry | None, request: Request, policy: Policy, now: datetime) -> Step:
    """Decide what to do with a call, given its usable entry."""
    if entry is not None and not may_store(request, policy):
        entry = None
    fresh = entry is not None and is_fresh(entry, request, policy, now)
    directives = request.directives
    if policy.offline:
        return Step.SERVE if entry is not None else Step.GIVE_UP
    if policy.only_if_cached or directives.only_if_cached:
        # Section 5.2.1.7. A stale response is served where stale-if-error would allow it (as in requests-cache),
        # unless the request has a limit of its own.
        if entry is None or fresh:
            return Step.SERVE if fresh else Step.GIVE_UP
        limited = directives.max_age is not None or directives.min_fresh > 0 or directives.max_stale > 0
        within = _within_max_stale(entry, request, policy, now)
        return Step.SERVE if within or (not limited and may_be_stale(entry, request, policy, now)) else Step.GIVE_UP
    if entry is None or policy.force_refresh:
        return Step.FETCH
    if fresh:
        return Step.SERVE
    if _within_max_stale(entry, request, policy, now):
        return Step.SERVE
    late = (now - entry.expires_at).total_seconds()
    wants_new = policy.refresh or directives.no_cache or directives.max_age is not None
    # An entry that has not expired and is not fresh (min-fresh, no-cache in the response) is not stale.
    if not wants_new and 0 <= late < policy.stale_while_revalidate:
        return Step.SERVE_AND_REFRESH  # RFC 5861 section 3
    return Step.VALIDATE if entry.etag else Step.FETCH


def is_fresh(entry: Entry, request: Request, policy: Policy, now: datetime) -> bool:
    """Return whether the entry may be served without revalidation (section 4.2)."""
    directives = request.directives
    if policy.refresh or policy.force_refresh or directives.no_cache:
        return False
    if not is_fresh_by_time(entry, now):
        return False
    left = entry.expires_at - now
    if directives.min_fresh and left <= timedelta(seconds=directives.min_fresh):
        return False
    if directives.max_age is not None and _is_too_old(entry, request, now):
        return False
    wanted = policy.call_expire_after
    if isinstance(wanted, float) and entry.age(now).total_seconds() >= wanted:
        return False
    if isinstance(wanted, datetime) and now >= wanted:
        return False
    return not (policy.cache_control and cache_control.of_response(entry.headers, now).revalidate)


def _is_too_old(entry: Entry, request: Request, now: datetime) -> bool:
    """Return whether the entry is older than the request's max-age, its Age included (section 4.2.3)."""
    limit = request.directives.max_age
    return limit is not None and cache_control.age_of(entry.headers) + entry.age(now).total_seconds() >= limit


def _within_max_stale(entry: Entry, request: Request, policy: Policy, now: datetime) -> bool:
    """Return whether the entry is stale by no more than the request's max-stale (section 5.2.1.2)."""
    if policy.refresh or request.directives.no_cache or _is_too_old(entry, request, now):
        return False
    return 0 <= (now - entry.expires_at).total_seconds() < request.directives.max_stale


def is_fresh_by_time(entry: Entry, now: datetime) -> bool:
    """Return whether the entry has not expired, whatever the request says.

    An entry from the future by this machine's clock would be fresh for longer than
    intended, so it is not. Synchronised clocks differ by less than :data:`SAME_TIME`.
    """
    return now < entry.expires_at and (entry.validated_at or entry.timestamp) - now <= SAME_TIME


def may_share(request: Request, policy: Policy) -> bool:
    """Return whether a call may share the response to another caller's (request coalescing)."""
    directives = request.directives
    wants_own = policy.refresh or policy.force_refresh or directives.no_cache or directives.max_age == 0
    return not wants_own and find_rule(request, policy)[0] not in (DO_NOT_CACHE, 0)


def may_be_stale(entry: Entry, request: Request, policy: Policy, now: datetime) -> bool:
    """Return whether the entry may be served stale where TMDB fails (stale-if-error, RFC 5861 section 4)."""
    if request.directives.no_cache or policy.force_refresh or not may_store(request, policy):
        return False
    limit = request.directives.stale_if_error
    if limit is None:
        limit = policy.stale_if_error
    return limit > 0 and (now - entry.expires_at).total_seconds() < limit


def judge(
    reply: Reply, request: Request, entry: Entry | None, policy: Policy, validating: bool, now: datetime
) -> Judged:
    """Decide what to do with a reply.

    ``entry`` is the usable entry there is, ``validating`` whether its ETag was sent.
    """
    if validating and reply.status == 304 and reply.error is None and entry is not None:
        etag = header(reply.headers, "etag")
        if not reply.storable:
            return Judged(Verdict.FETCH_AGAIN, "a 304 that is not TMDB's")
        if etag is not None and _weak(etag) != _weak(entry.etag or ""):
            return Judged(Verdict.FETCH_AGAIN, "a 304 for another ETag")  # section 4.3.4
        # A 304 that must not be stored is about the entry; whether it may be shared, only a full response tells.
        why = why_not_shared(reply.headers, request.template) or why_not_shared(entry.headers, request.template)
        return Judged(Verdict.FETCH_AGAIN, why) if why else Judged(Verdict.RENEW)
    try:
        failure, data = _failure(reply)
    except RecursionError:
        return Judged(Verdict.PASS_ON, "JSON that nests too deeply to be read")
    if failure:
        if entry is not None and may_be_stale(entry, request, policy, now):
            return Judged(Verdict.SERVE_STALE, failure)
        return Judged(Verdict.PASS_ON, failure)
    why = _why_not_stored(reply, request, policy, data, now)
    if why:
        return Judged(Verdict.PASS_ON, why)
    return Judged(Verdict.STORE, data=data)


def _failure(reply: Reply) -> tuple[str, Any]:
    """Return how TMDB failed, empty where it did not, and the parsed body."""
    if reply.error is not None:
        return type(reply.error).__name__, None
    if reply.status == 429 or reply.status >= 500:
        return f"status {reply.status}", None
    if reply.status not in (200, 404):
        return "", None
    try:
        return "", json_body.parse(reply.body)
    except ValueError:
        return ("a body that is not JSON", None) if reply.status == 200 else ("", None)


def _why_not_stored(reply: Reply, request: Request, policy: Policy, data: Any, now: datetime) -> str:
    if not reply.storable:
        return "it did not come from the network, or not as it was requested"
    if not may_store(request, policy) or expiration_of(reply, request, policy, now) == DO_NOT_CACHE:
        return "set not to be cached"
    if unshared := why_not_shared(reply.headers, request.template):
        return unshared
    if account_states.has_account_data(reply.body):
        return "account_states of a user are private"
    if reply.identifies_user and any(map(account_states.is_part, request.appended)):
        return "account_states of a request that may identify a user"
    if storable_headers.exhausts_rate_limit(reply.headers):
        return "its rate limit is exhausted"
    if reply.status == 404:
        code = data.get("status_code") if isinstance(data, dict) else None
        return "" if code in NOT_FOUND_CODES else "a 404 that is not TMDB's"
    if reply.status != 200:
        return f"status {reply.status}"
    why = response_shapes.why_invalid(_final_path(reply, request), data)
    if why:
        return why
    members = data if isinstance(data, dict) else {}
    missing = [part for part in request.sure_parts if part not in members]
    if missing:
        return f"appended {missing[0]} is missing"
    others = account_states.without(request.appended)
    if others and not any(part in members for part in others):
        return "none of the appended parts is there"
    return ""


def _final_path(reply: Reply, request: Request) -> str:
    """Return the path that a response is for: where redirects led, if there were any."""
    target = urls.split(reply.url) if reply.history and reply.url else request
    return target.path if target is not None else ""


def expiration_of(reply: Reply, request: Request, policy: Policy, now: datetime) -> ExpirationSetting:
    """Return how long a response is fresh: by its own headers with ``cache_control``, else by the settings."""
    if reply.status == 404:
        return policy.not_found_expire_after
    said = response_lifetime(reply, policy, now)
    return find_rule(request, policy)[0] if said is None else said


def response_lifetime(reply: Reply, policy: Policy, now: datetime) -> float | None:
    """Return the seconds that a response's own headers give it; None where they do not count or say nothing."""
    return cache_control.of_response(reply.headers, now).lifetime if policy.cache_control else None


def may_store(request: Request, policy: Policy) -> bool:
    """Return whether the settings allow responses to this call to be stored."""
    if policy.expire_after is None and policy.call_expire_after is None and policy.url_expiration is None:
        return True  # the table of classes never forbids it
    return find_rule(request, policy)[0] != DO_NOT_CACHE


def retention(policy: Policy) -> float:
    """Return for how many seconds after it has expired an entry may be served stale."""
    return max(policy.stale_if_error, policy.stale_while_revalidate)


def _weak(etag: str) -> str:
    # RFC 9110 section 8.8.3.2: weak comparison.
    return etag.removeprefix("W/")
