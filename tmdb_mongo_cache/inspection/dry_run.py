"""A driver that stops before the request: nothing is sent, written, counted or stored in memory."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit, urlunsplit

from ..core import policy
from ..core.effects import Effect, Find, FindContaining, Flow, Prepare
from ..core.flow import answer
from ..core.lookup import MEMORY, REUSED
from ..core.memory import Memory, Moment
from ..core.policy import Step
from ..core.settings import Policy
from ..core.state import Looked
from ..errors import CacheError
from ..formatting import duration_text
from ..httpcache.models import Entry
from ..httpcache.result import Result
from ..tmdb.call import Call
from ..tmdb.redaction import redact, strip_url

if TYPE_CHECKING:
    from ..engine import Engine
    from ..mongo.queries import Stored


class Found(NamedTuple):
    """What a lookup found, as a word and as a sentence, and what the cache would do next."""

    name: str
    text: str
    step: str
    does: str
    entry: Entry | None
    now: datetime

    def numbers(self) -> dict[str, Any]:
        """Return the fields of an explanation that describe the entry."""
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
    """MongoDB for one lookup, without circuit breakers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.failure = ""
        self.stored: dict[str, Stored | None] = {}
        self.last = ""

    def carry_out(self, effect: Effect) -> Any:
        """Carry out an effect of the lookup."""
        try:
            if isinstance(effect, FindContaining):
                store = self._engine.store
                return store.run(store.operations.find_containing(*effect))
            assert isinstance(effect, Find)  # noqa: S101  no other effect comes before Prepare in a core for reading
            stored = self.stored[effect.key] = self._engine.store.queries.get(effect.key)
        except CacheError as error:
            self.failure = str(error)
            return [] if isinstance(effect, FindContaining) else (None, False)
        self.last = effect.key
        return (None if stored is None else stored.entry), True


class _ReadOnlyMemory:
    """The memory of a cache, read only."""

    def __init__(self, memory: Memory) -> None:
        self.moment, self.get = memory.moment, memory.get

    def put(self, entry: Entry, since: Moment) -> None:
        """Store nothing."""


def find(engine: Engine, call: Call, rules: Policy) -> Found:
    """Run the flow of a call until it needs the request, and say what the cache would do with it now."""
    reading, memory = _Reading(engine), engine.core.memory
    core = engine.core.for_reading(None if memory is None else cast("Memory", _ReadOnlyMemory(memory)))
    looked = _run(answer(core, call, rules), call, reading)
    name, text = _found_text(looked, call, reading, reading.last if looked.where == REUSED else "")
    return Found(name, text, looked.step.name.lower(), _next_text(looked, call, rules), looked.entry, looked.now)


def _run(flow: Flow[Result], call: Call, reading: _Reading) -> Looked:
    """Drive a flow until it ends or needs the request."""
    try:
        effect = next(flow)
        while not isinstance(effect, Prepare):
            effect = flow.send(reading.carry_out(effect))
    except StopIteration as end:
        result: Result = end.value
        step = Step.GIVE_UP if result.entry is None else Step.SERVE
        return Looked(call.key, result.entry, step, result.now, result.where, None)
    flow.close()
    return effect.looked


def _found_text(looked: Looked, call: Call, reading: _Reading, holder: str) -> tuple[str, str]:
    entry, now = looked.entry, looked.now
    if entry is None:
        if reading.failure:
            return "unknown", f"not known, because MongoDB is not available: {reading.failure}"
        stored = reading.stored.get(call.key)
        if stored is None:
            return "nothing", "nothing"
        return "unusable", f"an entry that cannot be served: {_why_unusable(stored.entry, now)}"
    about = f"{duration_text(entry.age(now).total_seconds())} old, {len(entry.body)} bytes"
    about += ", a 404" if entry.status == 404 else ""
    where = "in memory" if looked.where == MEMORY else "in MongoDB"
    left = duration_text((entry.expires_at - now).total_seconds())
    if looked.where == REUSED:
        return "contained", f"contained in {holder}, fresh for {left}, {about}"
    if policy.is_fresh_by_time(entry, now):
        return "fresh", f"fresh for {left}, {about}, {where}"
    late = (now - entry.expires_at).total_seconds()
    if late < 0:
        return "stale", f"not fresh, because by this machine's clock it was fetched in the future; {about}, {where}"
    stored = reading.stored.get(entry.key)
    since = f"stale since {duration_text(late)}"
    if stored is not None and stored.changed_at is not None:
        return "changed", f"{since}, because of TMDB's change feed; {about}, {where}"
    return "stale", f"{since}; {about}, {where}"


def _why_unusable(entry: Entry | None, now: datetime) -> str:
    if entry is None:
        return "the document is damaged, or another program's"
    if now >= entry.purge_at:
        return "it has expired, and MongoDB is about to delete it"
    return "it is older than six months, or was fetched in the future"


def _next_text(looked: Looked, call: Call, rules: Policy) -> str:
    entry, now = looked.entry, looked.now
    if looked.step is Step.GIVE_UP:
        if rules.offline:
            return "raises an OfflineError: offline is set, and no response is cached"
        return "responds with a 504, because of only-if-cached"
    source = {MEMORY: "memory", REUSED: "another response"}.get(looked.where, "MongoDB")
    if looked.step is Step.SERVE:
        stale = entry is not None and not policy.is_fresh_by_time(entry, now)
        return f"responds from {source}, without calling TMDB" + (", though stale" if stale else "")
    if looked.step is Step.SERVE_AND_REFRESH:
        return "responds from MongoDB at once, and refreshes in the background (stale_while_revalidate)"
    if looked.step is Step.VALIDATE:
        text = "revalidates it at TMDB (by its ETag)"
    else:
        text = "fetches it from TMDB" + ("" if policy.may_store(call.request, rules) else ", and does not cache it")
    if entry is not None and policy.may_be_stale(entry, call.request, rules, now):
        return f"{text}; if TMDB fails, serves the stale response"
    return text


def shown_url(url: str, *, whole: bool = True, path: bool = True) -> str:
    """Return a URL for people, without credentials.

    Args:
        url: as it is sent.
        whole: whether to include its query (without credentials).
        path: whether to include its path.
    """
    parts = urlsplit(strip_url(url))
    if not path:
        return urlunsplit((parts.scheme, parts.netloc, "/…", "", ""))
    query = "&".join(item for item in parts.query.split("&") if not item.endswith("=")) if whole else ""
    return redact(urlunsplit((parts.scheme, parts.netloc, parts.path, query, "")))
