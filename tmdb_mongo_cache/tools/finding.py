"""Looking a call up as calls are, but to tell of it alone: nothing is written, counted or put into memory."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit, urlunsplit

from ..errors import CacheError
from ..looking import MEMORY, Looked, Looker, is_fresh_hit
from ..reusing import REUSED, look_inside
from ..store.memory import Memory, Moment
from ..tmdb import policy, reasons
from ..tmdb.calls import Call
from ..tmdb.entry import Entry
from ..tmdb.policy import Step
from ..tmdb.rules import Policy
from ..tmdb.secrets import redact, strip_url

if TYPE_CHECKING:
    from ..cache import TMDBCache
    from ..store.guard import GuardedStore
    from ..store.listing import Kept


class Found(NamedTuple):
    """What a look-up found, in a word and in a sentence, and what the cache would do then."""

    name: str
    text: str
    step: str
    does: str
    entry: Entry | None
    now: datetime

    def numbers(self) -> dict[str, Any]:
        """Return the entry's, as an explanation has them."""
        if self.entry is None:
            return {}
        entry = self.entry
        return {
            "status": entry.status,
            "timestamp": entry.timestamp,
            "expires_at": entry.expires_at,
            "age": entry.age(self.now).total_seconds(),
            "ttl": (entry.expires_at - self.now).total_seconds(),
            "size": len(entry.body),
        }


class _Reading:
    """MongoDB for one look-up, as :class:`~..store.guard.GuardedStore` reads it: no breaker learns of it."""

    def __init__(self, cache: TMDBCache) -> None:
        self._cache = cache
        self.failure = ""
        self.kept: dict[str, Kept | None] = {}
        self.last = ""

    def get(self, key: str) -> tuple[Entry | None, bool]:
        try:
            kept = self.kept[key] = self._cache._store.listing.get(key)
        except CacheError as error:
            self.failure = str(error)
            return None, False
        self.last = key
        return (None if kept is None else kept.entry), True

    def keys_between(self, *arguments: Any) -> list[str]:
        try:
            return self._cache._store.keys_between(*arguments)
        except CacheError as error:
            self.failure = str(error)
            return []


class _Peeking:
    """The memory of a cache, to be looked into."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def moment(self, key: str) -> Moment:
        return self._memory.moment(key)

    def get(self, key: str) -> Entry | None:
        return self._memory.get(key)

    def put(self, entry: Entry, since: Moment) -> None:
        """Keep nothing."""


def find(cache: TMDBCache, call: Call, rules: Policy) -> Found:
    """Look a call up, by the code that does so for calls, and say what would be done with it now."""
    reading = _Reading(cache)
    store = cast("GuardedStore", reading)
    peeking = None if cache.flow.memory is None else cast("Memory", _Peeking(cache.flow.memory))
    looked = Looker(store, peeking, float(cache.config.store_timeout)).look_up(call, rules)  # type: ignore[arg-type]
    holder = ""
    if rules.reuse_appended and not is_fresh_hit(looked) and policy.may_share(call.ask, rules):
        inside = look_inside(store, call, rules, looked)
        if inside is not None:
            looked, holder = inside, reading.last
    name, text = _said(looked, call, reading, holder)
    return Found(name, text, looked.step.name.lower(), _does(looked, call, rules), looked.entry, looked.now)


def _said(looked: Looked, call: Call, reading: _Reading, holder: str) -> tuple[str, str]:
    entry, now = looked.entry, looked.now
    if entry is None:
        if reading.failure:
            return "unknown", f"not known, for MongoDB is away: {reading.failure}"
        kept = reading.kept.get(call.key)
        if kept is None:
            return "nothing", "nothing"
        why = "it is damaged, or another program's" if kept.entry is None else _why_unusable(kept.entry, now)
        return "unusable", f"something that cannot be served: {why}"
    about = f"{reasons.length(entry.age(now).total_seconds())} old, {len(entry.body)} bytes"
    about += ", a 404" if entry.status == 404 else ""
    where = "in memory" if looked.where == MEMORY else "in MongoDB"
    if looked.where == REUSED:
        left = reasons.length((entry.expires_at - now).total_seconds())
        return "contained", f"contained in {holder}, fresh for {left}, {about}"
    if policy.is_fresh_by_time(entry, now):
        return "fresh", f"fresh for {reasons.length((entry.expires_at - now).total_seconds())}, {about}, {where}"
    late = (now - entry.expires_at).total_seconds()
    if late < 0:
        return "stale", f"fetched later than now, by this machine's clock, so not fresh; {about}, {where}"
    kept = reading.kept.get(entry.key)
    changed = kept is not None and kept.changed_at is not None
    since = f"stale since {reasons.length(late)}"
    if changed:
        return "changed", f"{since}, for TMDB's feed of changes named it; {about}, {where}"
    return "stale", f"{since}; {about}, {where}"


def _why_unusable(entry: Entry, now: datetime) -> str:
    if now >= entry.purge_at:
        return "it is past its time, and MongoDB is about to delete it"
    return "it is older than six months, or comes from a clock that is ahead"


def _does(looked: Looked, call: Call, rules: Policy) -> str:
    entry, now = looked.entry, looked.now
    if looked.step is Step.GIVE_UP:
        if rules.offline:
            return "raises an OfflineError: offline is set, and there is no answer"
        return "answers with a 504: only what is cached is asked for"
    source = {MEMORY: "memory", REUSED: "another answer"}.get(looked.where, "MongoDB")
    if looked.step is Step.SERVE:
        stale = entry is not None and not policy.is_fresh_by_time(entry, now)
        return f"answers from {source}, without calling TMDB" + (", though it is stale" if stale else "")
    if looked.step is Step.SERVE_AND_REFRESH:
        return "answers from MongoDB at once, and asks TMDB behind it (stale_while_revalidate)"
    if looked.step is Step.VALIDATE:
        text = "asks TMDB whether it has changed since (by its ETag)"
    else:
        text = "fetches it from TMDB" + ("" if policy.is_kept(call.ask, rules) else ", and keeps nothing")
    if entry is not None and policy.may_be_stale(entry, call.ask, rules, now):
        return f"{text}; if TMDB fails, answers with what is there"
    return text


def shown_url(url: str, *, whole: bool = True, path: bool = True) -> str:
    """Return an URL for people, without credentials.

    Args:
        url: as it is sent.
        whole: with its query, as far as that is no credential.
        path: with its path.
    """
    parts = urlsplit(strip_url(url))
    if not path:
        return urlunsplit((parts.scheme, parts.netloc, "/…", "", ""))
    query = "&".join(item for item in parts.query.split("&") if not item.endswith("=")) if whole else ""
    return redact(urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")))
