"""The one flow: look into MongoDB; if fresh, answer from it; else ask TMDB, store, answer.

Every door brings its call in here as a :class:`~.tmdb.calls.Call` and a function
that sends it. The rules are in :mod:`.tmdb`, the documents in :mod:`.store`;
this module is the I/O between them, and the place where a database that fails
is kept from the program.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from .config import CacheConfig
from .errors import ConfigError
from .refresh import Refresher
from .stats import CacheStats, Counters
from .store.guard import Found, GuardedStore
from .tmdb import keys, policy
from .tmdb.cache_status import cache_status
from .tmdb.calls import Call, kept_form
from .tmdb.entry import Entry, Reply
from .tmdb.making import make_entry, renewed_entry
from .tmdb.policy import Judged, Policy, Step, Verdict

if TYPE_CHECKING:
    from .store.document import EntryInfo

logger = logging.getLogger("tmdb_mongo_cache")

Send = Callable[[Mapping[str, str]], Reply]
"""Sends the call with these headers added; failures of TMDB come back as ``Reply.error``."""


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
    offline: bool = False


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
        self._guarded = GuardedStore(config, self._counters)
        self._refresher = Refresher()

    # The flow

    def fetch(self, call: Call, rules: Policy, send: Send) -> Outcome:
        """Answer a call that may be cached: from MongoDB, or by sending it.

        Never raises because of the database. What ``send`` raises is passed on.
        """
        now = _utcnow()
        found = self._guarded.get(call.key)
        entry = policy.usable(found.entry, call.ask, now)
        found = Found(entry, found.reachable)
        step = policy.decide(entry, call.ask, rules, now)
        logger.debug("%s: %s", call.key, step.name.lower())
        if step is Step.GIVE_UP:
            return Outcome(cache_status(fwd="uri-miss", detail="only-if-cached"), now, offline=rules.offline)
        if entry is not None and step in (Step.SERVE, Step.SERVE_AND_REFRESH):
            if step is Step.SERVE_AND_REFRESH:
                validate = entry.etag is not None
                self._refresher.submit(call.key, lambda: self._ask_tmdb(call, rules, send, found, validate=validate))
            left = policy.seconds_left(entry, now)
            self._counters.add("hits" if left >= 0 else "stale")
            return Outcome(cache_status(hit=True, ttl=left, detail="mongodb"), now, entry)
        return self._ask_tmdb(call, rules, send, found, validate=step is Step.VALIDATE)

    def _ask_tmdb(self, call: Call, rules: Policy, send: Send, found: Found, *, validate: bool) -> Outcome:
        entry = found.entry
        reply = send({"If-None-Match": entry.etag} if validate and entry is not None and entry.etag else {})
        now = _utcnow()
        judged = policy.judge(reply, call.ask, entry, rules, validate, now)
        if judged.verdict is Verdict.FETCH_AGAIN:
            return self._ask_tmdb(call, rules, send, found, validate=False)
        fwd = "uri-miss" if entry is None else "request" if policy.is_fresh_by_time(entry, now) else "stale"
        if entry is not None and judged.verdict is Verdict.RENEW:
            renewed = renewed_entry(call, rules, reply, entry, now)
            stored = found.reachable and self._guarded.renew(renewed)
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
        self, call: Call, rules: Policy, reply: Reply, judged: Judged, found: Found, now: datetime
    ) -> Entry | None:
        if judged.verdict is Verdict.STORE:
            kept = kept_form(call, reply)
            if kept.keepable:
                made = make_entry(call, rules, kept, judged.data, now)
                if found.reachable and self._guarded.put(made, judged.data):
                    self._counters.add("stored")
                    return made
                return None
            judged = Judged(Verdict.PASS_ON, "it repeats a credential or was redirected elsewhere")
        if reply.error is not None or reply.status >= 500 or reply.status == 429:
            self._counters.add("failures")
        logger.debug("%s: not stored: %s", call.key, judged.why)
        return None

    def count_straight(self) -> None:
        """Count a call that went straight through."""
        self._counters.add("straight")

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
            return self._guarded.store.delete({"_id": found})
        if not isinstance(media_type, str) or not isinstance(tmdb_id, int | str):
            # A mapping would be a MongoDB operator, and match what nobody named.
            raise TypeError("media_type must be a string, and tmdb_id a number or a string")
        return self._guarded.store.delete({"media_type": media_type, "tmdb_id": _as_kept(tmdb_id)})

    def clear(self) -> int:
        """Empty the collection; return how many documents that were.

        Raises:
            StoreError: MongoDB failed.
        """
        return self._guarded.store.delete({})

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

        return self._guarded.store.entries(
            entries_query(media_type, _as_kept(tmdb_id), endpoint, expired, _utcnow()), limit
        )

    def close(self) -> None:
        """Let refreshes under way end and close the database; idempotent."""
        self._refresher.close()
        self._guarded.close()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called; calls then go straight to TMDB."""
        return self._guarded.closed

    def __enter__(self) -> TMDBCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TMDBCache({self.config!r})"


def _as_kept(tmdb_id: Any) -> Any:
    # TMDB's numbers are kept as numbers, however somebody writes them.
    return int(tmdb_id) if isinstance(tmdb_id, str) and tmdb_id.isdecimal() and len(tmdb_id) < 19 else tmdb_id


def _utcnow() -> datetime:
    now = datetime.now(timezone.utc)
    # MongoDB keeps milliseconds: what is written is what is read.
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
