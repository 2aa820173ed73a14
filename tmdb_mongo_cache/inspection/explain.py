"""``TMDBCache.explain()``: what the cache would do with a call, determined by the code that does it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from requests.structures import CaseInsensitiveDict

from ..config import overrides
from ..context import current_scope
from ..core.settings import Policy
from ..formatting import html_table
from ..httpcache.expiration import DO_NOT_CACHE
from ..tmdb.call import Call, classify
from ..tmdb.hosts import OWN_HOSTS
from ..tmdb.redaction import strip_url
from ..tmdb.urls import split
from . import dry_run, freshness_text
from .dry_run import Found

if TYPE_CHECKING:
    from ..engine import Engine


class Explanation(NamedTuple):
    """What the cache would do with a call; ``print()`` shows it as text. Times are in UTC, durations in seconds.

    Attributes:
        url: without credentials; only its host if the call is never cached because of one.
        key: the cache key; None if the call is never cached.
        endpoint: the path template, like ``/3/movie/{movie_id}``.
        endpoint_class: its class, as ``expire_after`` names it.
        media_type: ``movie``, ``tv``, ``person``, …
        tmdb_id: the id of the title or other thing.
        appended: the parts of ``append_to_response``.
        straight: why the call bypasses the cache; empty if it does not.
        fresh_for: how long a response that came now would be fresh; None if that
            depends on the response, or none is cached.
        rule: the setting that says so.
        stands_in_for: how long past that it may be served stale if TMDB fails (stale-if-error).
        found: ``fresh``, ``stale``, ``changed`` (stale because of TMDB's change feed),
            ``contained`` (in another response), ``unusable``, ``nothing``, ``unknown``
            (MongoDB is not available), or empty if there is no lookup.
        look_up: the same as a sentence.
        status: of what was found, 200 or 404.
        timestamp: when it was fetched.
        expires_at: until when it is fresh.
        age: the time since it was fetched or revalidated.
        ttl: the remaining freshness; negative if it is stale.
        size: of the body, in bytes.
        step: ``serve``, ``serve_and_refresh``, ``validate``, ``fetch``, ``give_up``, or
            ``bypass`` if the call is sent without the cache.
        does: the same as a sentence.
        notes: anything else that matters.
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
        """Return the explanation as names and texts."""
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
            ("served stale", freshness_text.stale_text(self.stands_in_for, self.fresh_for)),
            ("found", self.look_up),
            ("does", self.does),
            *(("note", note) for note in self.notes),
        ]
        return [(name, text) for name, text in rows if text]


def explain(
    engine: Engine, url: str, params: Any, *, method: str, headers: Mapping[str, str] | None, verify: bool
) -> Explanation:
    """Explain a call to a cache; see :meth:`~tmdb_mongo_cache.TMDBCache.explain`."""
    given: CaseInsensitiveDict[str] = CaseInsensitiveDict(headers or {})
    try:
        sent = requests.Request(method, url, headers=given, params=params).prepare().url
    except (ValueError, TypeError, OSError):  # requests' own errors are OSErrors
        return Explanation("", straight="requests does not send it", does="requests raises an error: it is not a URL")
    call = classify(method.upper(), sent, given, hosts=engine.hosts, verified=bool(verify))
    if call is None:
        return _elsewhere(sent or "", engine)
    rules, off = _rules(engine)
    straight = call.bypass or ("expire_after of this call says so" if rules.call_expire_after == DO_NOT_CACHE else "")
    # The query of such a call, or its path, may itself be a secret.
    doubtful = "credential" in straight or "characters" in straight or "session" in straight
    about = Explanation(
        dry_run.shown_url(call.url, whole=not call.bypass, path=not doubtful),
        key=call.key or None,
        endpoint=None if doubtful else call.endpoint.template,
        endpoint_class=None if call.bypass else call.endpoint.kind,
        media_type=None if doubtful else call.endpoint.media_type,
        tmdb_id=None if doubtful else call.endpoint.tmdb_id,
        appended=call.request.appended,
        straight=straight,
        notes=_notes(call, rules, cached=not straight and not off),
    )
    if straight:
        gives_up = rules.offline and not off
        does = "raises an OfflineError: offline is set, and this call is never cached"
        step = "give_up" if gives_up else "bypass"
        return about._replace(step=step, does=does if gives_up else f"bypasses the cache: {straight}")
    if off:
        return _with_freshness(about, call, rules, engine, None)._replace(does=f"bypasses the cache: {off}")
    found = dry_run.find(engine, call, rules)
    about = _with_freshness(about, call, rules, engine, found)
    return about._replace(
        key=call.key if found.entry is None else found.entry.key,
        found=found.name,
        look_up=found.text,
        step=found.step,
        does=found.does,
        **found.numbers(),
    )


def _elsewhere(url: str, engine: Engine) -> Explanation:
    known = ", ".join(sorted({*OWN_HOSTS, *engine.hosts}))
    straight = f"not on a TMDB host ({known}); list other hosts in the setting hosts (TMDB_CACHE_HOSTS)"
    target = split(url)
    if target is None:  # ftp://…
        return Explanation("", straight=straight, does="requests raises an error: it supports only http and https")
    does = "is sent to its host without the cache"
    return Explanation(dry_run.shown_url(url, path=False), straight=straight, does=does)


def _rules(engine: Engine) -> tuple[Policy, str]:
    """Return the settings that apply in this context, and why there is no cache, if there is none."""
    if engine.closed:
        return engine.config.policy, "the cache is closed"
    if engine.config.disabled:
        return engine.config.policy, "disabled is set"
    scope = current_scope()
    if scope is not None and scope.active is None:
        return engine.config.policy, "it is made within disabled()"
    here = None if scope is None else scope.active
    rules = here.rules if here is not None and here.engine is engine else engine.config.policy
    return (rules._replace(offline=True) if overrides.offline else rules), ""


def _with_freshness(about: Explanation, call: Call, rules: Policy, engine: Engine, found: Found | None) -> Explanation:
    entry = None if found is None else found.entry
    pattern = engine.config.matching_pattern(strip_url(call.url))
    freshness = freshness_text.of(call, rules, entry, datetime.now(timezone.utc), pattern)
    return about._replace(fresh_for=freshness.seconds, rule=freshness.rule, stands_in_for=freshness.stale_for)


def _notes(call: Call, rules: Policy, *, cached: bool) -> tuple[str, ...]:
    notes = []
    if rules.offline:
        notes.append("offline is set: TMDB is never called")
    if call.verified_key:
        notes.append("the connection is not verified: its response serves only such calls, a verified one serves all")
    if cached:
        notes.append(f"a 404 of TMDB would be {freshness_text.of_missing(rules)} (not_found_expire_after)")
    return tuple(notes)
