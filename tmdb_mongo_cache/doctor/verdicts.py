"""Verdicts on what the doctor has measured: pure functions."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from statistics import median
from typing import Literal, NamedTuple

from ..core.policy import CLOCKS_APART, SAME_TIME
from ..httpcache.expiration import LONGEST
from ..mongo.diagnostics.index_repair import IndexCheck

Level = Literal["ok", "note", "problem"]
LEVELS: Sequence[Level] = ("ok", "note", "problem")

ROUND_TRIPS = 10
"""How many round trips ``store_timeout`` should be: one slow response is no outage."""

_DAYS = LONGEST.days


class Verdict(NamedTuple):
    """What the doctor says of one thing: its name, how bad it is, what was found, and what to do about it.

    ``level`` is ``ok``, ``note`` (it works, and could do better) or ``problem``;
    ``advice`` is empty where there is nothing to do.
    """

    name: str
    level: Level
    text: str
    advice: str = ""


def clock(ahead: float) -> Verdict:
    """Judge by how many seconds MongoDB's clock is ahead of this machine's."""
    apart = abs(ahead)
    shown = f"{apart * 1000:.0f} ms" if apart < 1 else f"{apart:.1f} s" if apart < 120 else f"{apart / 60:.0f} min"
    text = f"MongoDB's clock and this machine's differ by {shown}"
    if apart <= SAME_TIME.total_seconds():
        return Verdict("clock", "ok", text)
    which = "behind" if ahead > 0 else "ahead"
    advice = f"let both keep time by NTP; this machine's is {which}"
    if apart <= CLOCKS_APART.total_seconds():
        return Verdict("clock", "note", f"{text}: what is fresh to one machine may not be so to another", advice)
    return Verdict("clock", "problem", f"{text}: what one machine has stored another may not use", advice)


def latency(taken: Sequence[float], store_timeout: float) -> Verdict:
    """Judge the times of look-ups against what one may cost, all in seconds."""
    middle = median(taken)
    shown = f"{middle * 1000:.1f} ms (the median of {len(taken)})"
    text = f"a look-up takes {shown}, and may take {store_timeout * 1000:.0f} ms"
    if store_timeout >= ROUND_TRIPS * middle:
        return Verdict("latency", "ok", text)
    wanted = max(0.01, round(ROUND_TRIPS * middle + 0.005, 2))
    advice = f"set TMDB_CACHE_STORE_TIMEOUT={wanted:g} or more, ten times the round trip"
    if middle >= store_timeout:
        return Verdict("latency", "problem", f"{text}: calls go to TMDB", advice)
    return Verdict("latency", "note", f"{text}: a slow one makes calls go to TMDB", advice)


_WRITES = {"store", "change", "delete"}
_WITHOUT = {
    "delete": "'invalidate', 'clear' and 'purge' fail",
    "make indexes": "'tmdb-mongo-cache purge' is wanted now and then, unless another user makes them",
    "take leases": "two programs may send the same request at once",
    "count its calls": "they are not in 'tmdb-mongo-cache stats'",
    "read the counts": "'tmdb-mongo-cache stats' fails",
    "follow TMDB's changes": "'tmdb-mongo-cache refresh' fails",
}


def rights(missing: Collection[str], anonymous: bool, database: str) -> Verdict:
    """Judge what the user may not do, as :func:`~.mongo.diagnostics.permissions.rights` names it.

    A user that may only read is a note: that may be intended.
    """
    if not missing:
        return Verdict("rights", "ok", "it may read, store, change and delete, make indexes and take leases")
    if anonymous:
        advice = "name a user in TMDB_CACHE_URI, mongodb://user:password@…, with '@', ':' and '/' escaped"
        return Verdict("rights", "problem", "the server wants a user and a password, and none is given", advice)
    text = f"the user may not {', '.join(missing)}"
    advice = f"give its user the role readWrite on the database {database}"
    if "read" in missing:
        return Verdict("rights", "problem", text, advice)
    lacking = _WRITES.intersection(missing)
    reads_only = lacking == _WRITES
    without = ["responses are not stored by this user"] if lacking - {"delete"} else []
    without += [_WITHOUT[name] for name in missing if name in _WITHOUT]
    level: Level = "problem" if lacking - {"delete"} and not reads_only else "note"
    more = "" if level == "problem" else " where it is to do that"
    return Verdict("rights", level, f"{text}: what is there is served; {'; '.join(without)}", f"{advice}{more}")


def disk(free: int) -> Verdict:
    """Judge the free disk space, in bytes, where the embedded server stores its data."""
    text = f"{free / 1e9:.1f} GB are free where the embedded server stores its data"
    if free >= 10**9:
        return Verdict("disk", "ok", text)
    advice = "free some space: a full disk stops the server"
    return Verdict("disk", "note" if free >= 2 * 10**8 else "problem", text, advice)


def package(name: str, found: str | None, oldest: str) -> Verdict | None:
    """Judge the version of a package that this one needs; None where it is sufficient."""
    advice = f"pip install --upgrade '{name}>={oldest}'"
    if found is None:
        return Verdict("packages", "problem", f"{name} is not installed", advice)
    if _numbers(found) < _numbers(oldest):
        return Verdict("packages", "problem", f"{name} {found} is older than {oldest}", advice)
    return None


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:3]
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in parts)


def six_months(too_old: int, without_end: int, overdue: int) -> Verdict:
    """Judge whether TMDB's terms hold.

    Args:
        too_old: documents fetched more than six months ago, or of no known age.
        without_end: others that MongoDB does not delete within six months.
        overdue: others whose time to be deleted is over.
    """
    if too_old:
        text = f"{counted(too_old)} older than the {_DAYS} days that TMDB's terms allow, or of no known age"
        return Verdict("six-months", "problem", text, "run 'tmdb-mongo-cache purge'")
    if without_end:
        text = f"{counted(without_end)} not deleted by MongoDB within {_DAYS} days: purge_at is missing or too late"
        return Verdict("six-months", "problem", text, "run 'tmdb-mongo-cache purge' by cron, or delete them")
    if overdue:
        text = f"{counted(overdue)} past purge_at and still there"
        return Verdict("six-months", "note", text, "run 'tmdb-mongo-cache purge', and see the verdict on expiry")
    return Verdict("six-months", "ok", f"nothing is stored longer than the {_DAYS} days that TMDB's terms allow")


def counted(number: int) -> str:
    """Return a number of responses with its verb."""
    return f"{number} response is" if number == 1 else f"{number} responses are"


def index(found: IndexCheck, database: str, *, tried: bool) -> Verdict:
    """Judge one index that differs from what it should be.

    Args:
        found: the index.
        database: where it is.
        tried: whether it was to be repaired.
    """
    place = f"{found.collection}.{found.name}"
    if found.state == "unknown":
        where = f"{database}.{found.collection}"
        text = f"the user may not list the indexes of {found.collection}"
        return Verdict("indexes", "note", text, lacking("listIndexes", where))
    if found.done:
        return Verdict("indexes", "ok", f"{place} was {found.state}, now {found.done}")
    text = f"{place} is {found.state}"
    if found.in_the_way and found.refused in ("", "in the way"):
        theirs = ", ".join(map(repr, found.in_the_way))
        text += f": {theirs}, not made by the cache, {'stands' if found.refused else 'may stand'} in its way"
        if found.refused:
            lines = "; ".join(_drop(database, found.collection, name) for name in found.in_the_way)
            or_else = ", or have another name" if found.in_the_way == (found.name,) else ""
            advice = f"if {theirs} can go{or_else}, type in mongosh {lines} and run this again"
            return Verdict("indexes", "problem", text, advice)
    level: Level = "problem" if found.name == "purge_at" else "note"
    return Verdict("indexes", level, text, _advice(found, tried=tried))


def _advice(found: IndexCheck, *, tried: bool) -> str:
    if not tried:
        return "run 'tmdb-mongo-cache doctor' without --no-mend"
    if found.refused == "full":
        return f"drop an unused index of {found.collection}: MongoDB allows 64"
    if found.refused == "forbidden":
        return "run this as a user that may create and drop indexes"
    return "run this again; if that does not help, see the log of MongoDB"


def _drop(database: str, collection: str, name: str) -> str:
    names = [json.dumps(text, ensure_ascii=False) for text in (database, collection, name)]
    return "db.getSiblingDB({}).getCollection({}).dropIndex({})".format(*names)


def lacking(right: str, where: str) -> str:
    """Advise on a right that the doctor alone can use."""
    of_atlas = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in right)
    return f"grant it {right} (Atlas: {of_atlas}@{where}) to have that checked; the cache works without"
