"""``TMDBCache.explain()``: what the cache would do with a call, by the code that does it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from requests.structures import CaseInsensitiveDict

from ..display import html_table
from ..scope import Active, current_scope
from ..tmdb.calls import Call, classify
from ..tmdb.expiration import DO_NOT_CACHE
from ..tmdb.hosts import OWN_HOSTS
from ..tmdb.rules import Policy
from ..tmdb.secrets import strip_url
from ..tmdb.urls import split
from . import finding, lasting
from .finding import Found
from .lasting import Lasting

if TYPE_CHECKING:
    from ..cache import TMDBCache


class Explanation(NamedTuple):
    """What the cache would do with a call; ``print()`` shows it in lines. Times are in UTC, lengths in seconds.

    Attributes:
        url: without credentials; only its host where the call is never cached for one.
        key: that of the answer; None where it is never cached.
        endpoint: the path template, like ``/3/movie/{movie_id}``.
        endpoint_class: its class, as ``expire_after`` names it.
        media_type: ``movie``, ``tv``, ``person``, …
        tmdb_id: the id of what it is about.
        appended: what ``append_to_response`` asks for.
        straight: why the call is neither looked up nor stored; empty where it may be.
        fresh_for: how long an answer that came now would be fresh; None where that
            depends on the answer, or where none is kept.
        rule: which setting says so.
        stands_in_for: how long past that it may stand in when TMDB fails.
        found: ``fresh``, ``stale``, ``changed`` (stale by TMDB's feed of changes),
            ``contained`` (in another answer), ``unusable``, ``nothing``, ``unknown``
            (MongoDB is away), or empty where nothing is looked up.
        look_up: the same as a sentence.
        status: of what was found, 200 or 404.
        timestamp: when it was fetched.
        expires_at: until when it is fresh.
        age: the time since it was fetched or confirmed.
        ttl: the freshness that is left; negative where it is stale.
        size: of the answer, in bytes.
        step: ``serve``, ``serve_and_refresh``, ``validate``, ``fetch``, ``give_up``, or
            ``bypass`` where the call goes straight to where it is sent.
        does: the same as a sentence.
        notes: what else rules here.
    """

    url: str
    key: str | None = None
    endpoint: str | None = None
    endpoint_class: str | None = None
    media_type: str | None = None
    tmdb_id: int | str | None = None
    appended: tuple[str, ...] = ()
    straight: str = ""
    fresh_for: float | None = None
    rule: str = ""
    stands_in_for: float | None = None
    found: str = ""
    look_up: str = ""
    status: int | None = None
    timestamp: datetime | None = None
    expires_at: datetime | None = None
    age: float | None = None
    ttl: float | None = None
    size: int | None = None
    step: str = "bypass"
    does: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(f"{name:<13} {text}" for name, text in self.rows())

    def _repr_html_(self) -> str:
        """Return the explanation as a table, for notebooks."""
        return html_table("Explanation", (), self.rows())

    def rows(self) -> list[tuple[str, str]]:
        """Return the explanation as names and texts, for people."""
        about = f"{self.media_type} {self.tmdb_id}" if self.media_type and self.tmdb_id is not None else None
        rows = [
            ("call", self.url),
            ("key", self.key),
            ("endpoint", self.endpoint),
            ("class", self.endpoint_class),
            ("about", about),
            ("appended", ", ".join(self.appended)),
            ("never cached", self.straight),
            ("fresh for", self.rule),
            ("stands in", lasting.standing_in(self.stands_in_for, self.fresh_for)),
            ("found", self.look_up),
            ("does", self.does),
            *(("note", note) for note in self.notes),
        ]
        return [(name, text) for name, text in rows if text]


def explain(
    cache: TMDBCache,
    url: str,
    params: Any = None,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    verify: bool = True,
) -> Explanation:
    """Explain a call to a cache; see :meth:`~tmdb_mongo_cache.TMDBCache.explain`."""
    given: CaseInsensitiveDict[str] = CaseInsensitiveDict(headers or {})
    try:
        sent = requests.Request(method, url, headers=given, params=params).prepare().url
    except (ValueError, TypeError, OSError):  # requests' own errors are OSErrors
        return Explanation("", straight="requests does not send it", does="requests raises an error: it is no URL")
    call = classify(method.upper(), sent, given, hosts=cache.hosts, verified=bool(verify))
    if call is None:
        return _elsewhere(sent or "", cache)
    rules, off = _rules(cache)
    straight = call.straight or ("expire_after of this call says so" if rules.call_expire_after == DO_NOT_CACHE else "")
    # The query of such a call may be a secret by itself, and so may its path.
    doubtful = "credential" in straight or "characters" in straight or "session" in straight
    about = Explanation(
        finding.shown_url(call.url, whole=not call.straight, path=not doubtful),
        key=call.key or None,
        endpoint=None if doubtful else call.endpoint.template,
        endpoint_class=None if call.straight else call.endpoint.kind,
        media_type=None if doubtful else call.endpoint.media_type,
        tmdb_id=None if doubtful else call.endpoint.tmdb_id,
        appended=call.ask.appended,
        straight=straight,
        notes=_notes(call, rules, cached=not straight and not off),
    )
    if straight:
        gives_up = rules.offline and not off
        does = "raises an OfflineError: offline is set, and this is never cached"
        step = "give_up" if gives_up else "bypass"
        return about._replace(step=step, does=does if gives_up else f"goes straight to TMDB: {straight}")
    if off:
        return _lasts(about, call, rules, cache, None)._replace(does=f"goes straight to TMDB: {off}")
    found = finding.find(cache, call, rules)
    about = _lasts(about, call, rules, cache, found)
    return about._replace(
        key=call.key if found.entry is None else found.entry.key,
        found=found.name,
        look_up=found.text,
        step=found.step,
        does=found.does,
        **found.numbers(),
    )


def _elsewhere(url: str, cache: TMDBCache) -> Explanation:
    known = ", ".join(sorted({*OWN_HOSTS, *cache.hosts}))
    straight = f"not TMDB's: its hosts are {known}; others are named by the setting hosts (TMDB_CACHE_HOSTS)"
    target = split(url)
    if target is None:  # ftp://…
        return Explanation("", straight=straight, does="requests raises an error, for it knows http and https alone")
    does = "goes to its host as if there were no cache"
    return Explanation(finding.shown_url(url, path=False), straight=straight, does=does)


def _rules(cache: TMDBCache) -> tuple[Policy, str]:
    """Return the settings as they are here, and why there is no cache at all, if there is none."""
    if cache.closed:
        return cache.config.policy, "the cache is closed"
    if cache.config.disabled:
        return cache.config.policy, "disabled is set"
    scope = current_scope()
    if scope is not None and scope.active is None:
        return cache.config.policy, "it is made where disabled() holds"
    here: Active | None = None if scope is None else scope.active
    return (here.rules if here is not None and here.cache is cache else cache.config.policy), ""


def _lasts(about: Explanation, call: Call, rules: Policy, cache: TMDBCache, found: Found | None) -> Explanation:
    entry = None if found is None else found.entry
    pattern = cache.config.matching_pattern(strip_url(call.url))
    lasts: Lasting = lasting.of(call, rules, entry, datetime.now(timezone.utc), pattern)
    return about._replace(fresh_for=lasts.seconds, rule=lasts.rule, stands_in_for=lasts.stands_in)


def _notes(call: Call, rules: Policy, *, cached: bool) -> tuple[str, ...]:
    notes = []
    if rules.offline:
        notes.append("offline is set: TMDB is never called")
    if call.verified_key:
        notes.append("nobody has verified who answers: what comes is for such calls alone, a verified answer for all")
    if cached:
        notes.append(f"a 404 of TMDB's would be {lasting.of_missing(rules)} (not_found_expire_after)")
    return tuple(notes)
