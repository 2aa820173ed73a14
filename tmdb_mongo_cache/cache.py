"""The one flow: look into MongoDB; if fresh, answer from it; else ask TMDB, store, answer.

Every door brings its call in here as a :class:`~.tmdb.calls.Call` and a function
that sends it. The rules are in :mod:`.tmdb`, the documents in :mod:`.store`;
this module is the I/O between them, and the place where a database that fails
is kept from the program.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from .config import CacheConfig
from .errors import CacheError, ConfigError
from .stats import CacheStats, Counters
from .tmdb import expiration, keys, policy
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call, kept_form
from .tmdb.directives import age_of
from .tmdb.entry import Entry, Reply
from .tmdb.policy import Judged, Policy, Step, Verdict

if TYPE_CHECKING:
    from .store.document import EntryInfo
    from .store.mongo import MongoStore

logger = logging.getLogger("tmdb_mongo_cache")

Send = Callable[[Mapping[str, str]], Reply]
"""Sends the call with these headers added; failures of TMDB come back as ``Reply.error``."""

_NOT_UPDATED = frozenset({"content-length", "content-encoding", "transfer-encoding", "content-range", "set-cookie"})


class Outcome(NamedTuple):
    """What a call gets: an entry of the cache, or TMDB's own reply, or neither (``None`` twice).

    ``stored`` is the entry made of the reply, for its expiry.
    """

    status: str
    now: datetime
    entry: Entry | None = None
    reply: Reply | None = None
    stored: Entry | None = None
    revalidated: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """What the look-up gave: the usable entry, and whether the database answered at all."""

    entry: Entry | None
    reachable: bool


class TMDBCache:
    """A cache of TMDB's answers in MongoDB.

    ``TMDBCache()`` takes its settings from the environment, ``TMDBCache(config)``
    from a :class:`CacheConfig`; keywords change single ones. The database is
    opened at the first call, not here. Usable from many threads, and after a
    fork; a context manager that closes it.

    Raises:
        TypeError: an unknown setting.
        ConfigError: a value that cannot be used.
    """

    def __init__(self, config: CacheConfig | None = None, **settings: Any) -> None:
        if config is None:
            config = CacheConfig.from_env(**settings)
        elif not isinstance(config, CacheConfig):
            raise TypeError(f"config must be a CacheConfig, not {type(config).__name__}")
        elif settings:
            config = config.changed(**settings)
        self.config = config
        self.hosts = frozenset(config.hosts)
        self._counters = Counters()
        self._lock = threading.Lock()
        self._refreshing: set[str] = set()
        self._refresher: ThreadPoolExecutor | None = None
        self._lost = False

    @cached_property
    def _store(self) -> MongoStore:
        # pymongo takes longer to import than all the rest: not before there is something to look up.
        from .store.mongo import MongoStore

        return MongoStore(self.config)

    # The flow

    def fetch(self, call: Call, rules: Policy, send: Send) -> Outcome:
        """Answer a call that may be cached: from MongoDB, or by sending it.

        Never raises because of the database. What ``send`` raises is passed on.
        """
        now = _utcnow()
        found = self._look_up(call, now)
        entry = found.entry
        step = policy.decide(entry, call.ask, rules, now)
        logger.debug("%s: %s", call.key, step.name.lower())
        if step is Step.GIVE_UP:
            return Outcome(cache_status(fwd="uri-miss", detail="only-if-cached"), now)
        if entry is not None and step in (Step.SERVE, Step.SERVE_AND_REFRESH):
            if step is Step.SERVE_AND_REFRESH:
                self._refresh(call, rules, send, entry)
            left = policy.seconds_left(entry, now)
            self._counters.add("hits" if left >= 0 else "stale")
            return Outcome(cache_status(hit=True, ttl=left, detail="mongodb"), now, entry)
        return self._ask_tmdb(call, rules, send, found, validate=step is Step.VALIDATE)

    def _ask_tmdb(self, call: Call, rules: Policy, send: Send, found: _Found, *, validate: bool) -> Outcome:
        entry = found.entry
        reply = send({"If-None-Match": entry.etag} if validate and entry is not None and entry.etag else {})
        now = _utcnow()
        judged = policy.judge(reply, call.ask, entry, rules, validate, now)
        if judged.verdict is Verdict.FETCH_AGAIN:
            return self._ask_tmdb(call, rules, send, _Found(entry, found.reachable), validate=False)
        fwd = "uri-miss" if entry is None else "request" if policy.is_fresh_by_time(entry, now) else "stale"
        if entry is not None and judged.verdict is Verdict.RENEW:
            renewed = self._renewed(call, rules, reply, entry, now)
            stored = found.reachable and self._write(lambda: self._store.renew(renewed))
            self._counters.add("revalidated")
            left = policy.seconds_left(renewed, now)
            status = cache_status(fwd=fwd, fwd_status=304, stored=stored, ttl=left, detail="mongodb")
            return Outcome(status, now, renewed, revalidated=True)
        if entry is not None and judged.verdict is Verdict.SERVE_STALE:
            logger.warning("TMDB failed (%s); serving the answer of %s for %s", judged.why, entry.timestamp, call.key)
            self._counters.add("stale")
            self._counters.add("failures")
            left = policy.seconds_left(entry, now)
            status = cache_status(fwd=fwd, fwd_status=reply.status, ttl=left, detail="mongodb")
            return Outcome(status, now, entry)
        self._counters.add("misses")
        made = self._keep(call, rules, reply, judged, found, now)
        ttl = policy.seconds_left(made, now) if made else None
        return Outcome(cache_status(fwd=fwd, stored=made is not None, ttl=ttl), now, None, reply, made)

    def _keep(
        self, call: Call, rules: Policy, reply: Reply, judged: Judged, found: _Found, now: datetime
    ) -> Entry | None:
        if judged.verdict is Verdict.STORE:
            kept = kept_form(call, reply)
            if kept.keepable:
                made = _make_entry(call, rules, kept, judged.data, now)
                if found.reachable and self._write(lambda: self._store.put(made, judged.data)):
                    self._counters.add("stored")
                    return made
                return None
            judged = Judged(Verdict.PASS_ON, "it repeats a credential or was redirected elsewhere")
        if reply.error is not None or reply.status >= 500 or reply.status == 429:
            self._counters.add("failures")
        logger.debug("%s: not stored: %s", call.key, judged.why)
        return None

    def _renewed(self, call: Call, rules: Policy, reply: Reply, entry: Entry, now: datetime) -> Entry:
        # RFC 9111 section 3.2: the headers of a 304 replace the stored ones, but for those about the body.
        fresh = {k: v for k, v in kept_form(call, reply).headers.items() if k.lower() not in _NOT_UPDATED}
        names = {name.lower() for name in fresh}
        headers = {k: v for k, v in entry.headers.items() if k.lower() not in names} | fresh
        wanted = policy.expiration_of(replace(reply, status=entry.status, headers=headers), call.ask, rules, now)
        expires = expiration.expires_at(wanted, entry.timestamp, now)
        purge = expiration.purge_at(expires, entry.timestamp, policy.retention(rules))
        return replace(entry, headers=headers, expires_at=expires, purge_at=purge, validated_at=now)

    def _refresh(self, call: Call, rules: Policy, send: Send, entry: Entry) -> None:
        """Refresh behind the caller's back, once per key at a time."""
        with self._lock:
            if call.key in self._refreshing:
                return
            self._refreshing.add(call.key)
            if self._refresher is None:
                self._refresher = ThreadPoolExecutor(4, thread_name_prefix="tmdb-mongo-cache")
            refresher = self._refresher

        def refresh() -> None:
            try:
                self._ask_tmdb(call, rules, send, _Found(entry, True), validate=entry.etag is not None)
            except Exception as error:  # noqa: BLE001  nobody waits for it; the next call asks again
                logger.debug("%s: the refresh failed: %s", call.key, type(error).__name__)
            finally:
                with self._lock:
                    self._refreshing.discard(call.key)

        try:
            refresher.submit(refresh)
        except RuntimeError:  # the interpreter is on its way out
            self._refreshing.discard(call.key)

    def count_straight(self) -> None:
        """Count a call that went straight through."""
        self._counters.add("straight")

    # The database, kept from the program

    def _look_up(self, call: Call, now: datetime) -> _Found:
        try:
            entry = self._store.get(call.key)
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            self._note_loss(error)
            return _Found(None, False)
        self._note_return()
        return _Found(policy.usable(entry, call.ask, now), True)

    def _write(self, write: Callable[[], bool | None]) -> bool:
        try:
            return write() is not False
        except Exception as error:  # noqa: BLE001  the cache is never why a program fails
            self._note_loss(error)
            return False

    def _note_loss(self, error: Exception) -> None:
        self._counters.add("store_errors")
        if not self._lost:
            self._lost = True
            text = str(error) if isinstance(error, CacheError) else type(error).__name__
            logger.warning("calls go straight to TMDB for now: %s", text)

    def _note_return(self) -> None:
        if self._lost:
            self._lost = False
            logger.info("MongoDB answers again")

    # For people

    def key(self, url: str, params: Any = None) -> str | None:
        """Return the key of a call as given to ``requests.get``; None when it is not TMDB's."""
        return keys.key_of_url(url, params, self.hosts)

    def stats(self) -> CacheStats:
        """Return what this process has counted since the cache was made."""
        return self._counters.snapshot()

    def invalidate(
        self,
        url: str | None = None,
        *,
        params: Any = None,
        media_type: str | None = None,
        tmdb_id: int | str | None = None,
    ) -> int:
        """Forget one call, or all about one title, person or other thing.

        Args:
            url: an URL as given to ``requests.get``, with or without a credential.
            params: its params.
            media_type: ``movie``, ``tv``, ``person``, ``collection``, …
            tmdb_id: its id; everything below it (seasons, credits, …) goes with it.

        Returns:
            how many entries that were.

        Raises:
            TypeError: neither an url nor both of the others.
            ConfigError: the URL is not TMDB's.
            StoreError: MongoDB failed.
        """
        if (url is None) == (media_type is None or tmdb_id is None) or (url and (media_type or tmdb_id)):
            raise TypeError("invalidate() takes either url= (and params=), or media_type= and tmdb_id=")
        if url is not None:
            found = self.key(url, params)
            if found is None:
                raise ConfigError("invalidate(url=…) takes an URL of TMDB, like https://api.themoviedb.org/3/movie/550")
            return self._store.delete({"_id": found})
        if not isinstance(media_type, str) or not isinstance(tmdb_id, int | str):
            # A mapping would be a MongoDB operator, and match what nobody named.
            raise TypeError("media_type must be a string, and tmdb_id a number or a string")
        return self._store.delete({"media_type": media_type, "tmdb_id": tmdb_id})

    def clear(self) -> int:
        """Empty the collection; return how many documents that were.

        Raises:
            StoreError: MongoDB failed.
        """
        return self._store.delete({})

    def entries(
        self,
        *,
        media_type: str | None = None,
        tmdb_id: int | str | None = None,
        endpoint: str | None = None,
        expired: bool | None = None,
        limit: int = 0,
    ) -> Iterator[EntryInfo]:
        """List what is in the cache, in the order of the keys.

        Args:
            media_type: only of this type.
            tmdb_id: only about this id.
            endpoint: only of this endpoint, like ``/3/movie/{movie_id}``.
            expired: True for what is no longer fresh, False for what is.
            limit: at most so many; 0 for all.

        Raises:
            StoreError: MongoDB failed.
        """
        from .store.mongo import entries_query

        return self._store.entries(entries_query(media_type, tmdb_id, endpoint, expired, _utcnow()), limit)

    def close(self) -> None:
        """Let refreshes under way end and close the database; idempotent."""
        with self._lock:
            refresher, self._refresher = self._refresher, None
        if refresher is not None:
            refresher.shutdown()
        self._store.close()

    def __enter__(self) -> TMDBCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TMDBCache({self.config!r})"


def _make_entry(call: Call, rules: Policy, reply: Reply, data: Any, now: datetime) -> Entry:
    expires = expiration.expires_at(policy.expiration_of(reply, call.ask, rules, now), now, now)
    retention = policy.retention(rules)
    endpoint, _, media_type, tmdb_id = call.endpoint
    if media_type and tmdb_id is None and endpoint and endpoint.count("/") == 3 and isinstance(data, dict):
        # Asked for by another database's id (/3/movie/tt0137523): the answer has TMDB's own.
        given = data.get("id")
        tmdb_id = given if isinstance(given, int) and 0 <= given < 2**63 else None
    return Entry(
        key=call.key,
        status=reply.status,
        reason=reply.reason,
        headers=reply.headers,
        body=reply.body,
        timestamp=now,
        expires_at=expires,
        purge_at=expiration.purge_at(expires, now, retention),
        tmdb_id=tmdb_id,
        media_type=media_type,
        endpoint=endpoint,
        url=reply.url or (call.ask.url if "#" in call.key else None),
        history=reply.history,
    )


def age_header(entry: Entry, now: datetime) -> str:
    """Return the Age of an entry in whole seconds (RFC 9111 section 4.2.3)."""
    return str(int(age_of(entry.headers) + entry.age(now).total_seconds()))


def _utcnow() -> datetime:
    now = datetime.now(timezone.utc)
    # MongoDB keeps milliseconds: what is written is what is read.
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
