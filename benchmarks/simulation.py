"""A library of titles that programs request, beside a TMDB that changes: the requests, and how old the responses were.

In simulated time, hours since :data:`START`. How long a response is fresh and
what the feed makes stale is decided by the package's own rules
(:mod:`tmdb_mongo_cache.tmdb.freshness`, :mod:`tmdb_mongo_cache.tmdb.change_feed`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import numpy as np

from tmdb_mongo_cache.tmdb import change_feed, freshness

START = datetime(2026, 11, 1, tzinfo=timezone.utc)
PER_PAGE = 100
FEED_AGE = 10 / 60
"""Hours for which TMDB's caches keep a page of the feed (its ``max-age`` is 284 to 581 s)."""

_LAG = change_feed.LAG / timedelta(hours=1)
_SCAN, _PUNCTUAL = 2.0, 10 / 60

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Kind:
    """Titles of one media type.

    Attributes:
        catalogue: how many TMDB has.
        library: how many of those the library has: the most popular.
        daily: how many different ones the feed lists for a day.
        new: the part of those that have just been entered, and are in nobody's library.
    """

    catalogue: int
    library: int
    daily: int
    new: float = 0.0


@dataclass(frozen=True)
class Model:
    """What is simulated.

    Attributes:
        kinds: the titles.
        skew, head: the title of rank r is looked at in proportion to 1 / (r + head) ** skew.
        change_skew: it changes in proportion to 1 / (r + head) ** change_skew; 0: all equally often.
        scan: the UTC hour at which every title is requested each day, within two hours; None: never.
        views: further titles requested in a day, at any time, by popularity.
        end_counts: whether the feed's ``end_date`` is itself part of what it lists.
        warm_up, days: those before anything is counted, and those counted.
        seed: of everything that is random.
    """

    kinds: Mapping[str, Kind] = field(
        default_factory=lambda: {
            "movie": Kind(1_200_000, 85_000, 6_900, new=0.20),
            "tv": Kind(200_000, 15_000, 2_800, new=0.07),
        }
    )
    skew: float = 1.0
    head: float = 200.0
    change_skew: float = 0.5
    scan: float | None = 2.0
    views: int = 20_000
    end_counts: bool = False
    warm_up: int = 35
    days: int = 30
    seed: int = 1


@dataclass(frozen=True)
class Plan:
    """How a library is cached.

    Attributes:
        expire_after: seconds, before they are spread.
        readings: the UTC hours at which the feed is read; none: never.
        prefetch: whether what it makes stale is fetched again at once.
    """

    expire_after: float
    readings: tuple[float, ...] = ()
    prefetch: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a plan came to, in the days that count.

    Attributes:
        responses: that the programs got.
        older: of those, how many came from the cache while TMDB would have given something newer.
        behind: for how many hours it would have, for each of those.
        fetches: calls for titles, by title.
        pages: calls for the feed.
    """

    responses: int
    older: int
    behind: Array
    fetches: Array
    pages: int

    @property
    def calls(self) -> int:
        return int(self.fetches.sum()) + self.pages


class World:
    """What happens whatever the plan: changes at TMDB, and what the programs request."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.end = 24.0 * (model.warm_up + model.days)
        self.first: dict[str, int] = {}  # the number of each kind's first title in the library
        self.changed: dict[str, tuple[Array, Array]] = {}  # by kind: when, and which rank, in order of time
        chance = np.random.default_rng([model.seed, 1])
        popularity, keys, numbers, times, size = [], [], [], [], 0
        for name, kind in model.kinds.items():
            self.first[name] = size
            places = np.arange(1, kind.catalogue + 1) + model.head
            weights = places**-model.skew
            rates = changes_a_day(places**-model.change_skew, kind.daily * (1 - kind.new))
            counts = chance.poisson(rates * self.end / 24)
            ranks = np.repeat(np.arange(kind.catalogue), counts)
            when = chance.random(len(ranks)) * self.end
            order = np.argsort(when)
            self.changed[name] = when[order], ranks[order]
            owned = ranks < kind.library
            numbers.append(ranks[owned] + size)
            times.append(when[owned])
            popularity.append(weights[: kind.library] / weights.sum() * kind.daily)
            keys += [f"GET api.themoviedb.org/3/{name}/{rank + 1}" for rank in range(kind.library)]
            size += kind.library
        self.size, self.keys = size, keys
        self._see(np.concatenate(numbers), np.concatenate(times))
        self._request(np.concatenate(popularity))

    def _see(self, numbers: Array, times: Array) -> None:
        """Work out when TMDB's responses change: where its own cache, which lasts eight hours, is next renewed."""
        phase = np.random.default_rng([self.model.seed, 2]).random(self.size)[numbers] * _LAG
        visible = np.ceil((times - phase) / _LAG) * _LAG + phase
        # One sorted array for all titles: those of title n lie from n spans on.
        self._span = 2 * self.end
        self._visible = np.sort(numbers * self._span + visible)

    def newer_since(self, numbers: Array, fetched: Array) -> Array:
        """Return when TMDB first had a newer response than one it gave at a moment; infinity where it never has."""
        start = numbers * self._span
        place = np.searchsorted(self._visible, start + np.maximum(fetched, 0), side="right")
        found = np.append(self._visible, math.inf)[place] - start
        return np.where(found < self._span, found, math.inf)

    def _request(self, popularity: Array) -> None:
        """Work out the requests: ``requested`` is when, and for which title, in order of time."""
        model, chance = self.model, np.random.default_rng([self.model.seed, 3])
        place = chance.permutation(self.size) / self.size
        times, numbers = [], []
        for day in range(model.warm_up + model.days):
            views = chance.choice(self.size, model.views, p=popularity / popularity.sum())
            times.append(24 * day + 24 * chance.random(model.views))
            numbers.append(views)
            late = chance.uniform(-_PUNCTUAL, _PUNCTUAL)
            if model.scan is not None:
                times.append(24 * day + model.scan + late + _SCAN * place)
                numbers.append(np.arange(self.size))
        when, which = np.concatenate(times), np.concatenate(numbers)
        order = np.argsort(when)
        self.requested = when[order], which[order]

    def listed(self, kind: str, first: date, last: date, now: float) -> list[int]:
        """Return the ids that TMDB's feed lists, from the beginning of one day to that of another."""
        when, ranks = self.changed[kind]
        begin, end = np.searchsorted(when, [_hours(_midnight(first)), min(_hours(_midnight(last)), now)])
        found: list[int] = (np.unique(ranks[begin:end]) + 1).tolist()
        return found


class Following:
    """The feed of one kind, followed as ``refresh`` follows it; ``pages`` counts the calls."""

    def __init__(self, world: World, kind: str) -> None:
        self._world, self._kind = world, kind
        self._done_until = START.date()
        self._seen: dict[date, tuple[change_feed.Seen, ...]] = {}
        self.pages = 0

    def read(self, now: float, age: float) -> Iterator[tuple[Array, float]]:
        """Read the feed, which is as it was some time ago; give titles, and before when those fetched are stale."""
        moment = START + timedelta(hours=now)
        days, unknown_before = change_feed.window(self._done_until, None, moment)
        kind, first = self._world.model.kinds[self._kind], self._world.first[self._kind]
        if unknown_before is not None:
            yield np.arange(first, first + kind.library), _hours(unknown_before)
        for day in days:
            params = change_feed.params(day, 1)
            until = date.fromisoformat(params["end_date"]) + timedelta(days=int(self._world.model.end_counts))
            ids = self._world.listed(self._kind, date.fromisoformat(params["start_date"]), until, now - age)
            self.pages += max(math.ceil(len(ids) / (1 - kind.new) / PER_PAGE), 1)
            marks, note = change_feed.marks(day, ids, self._seen.pop(day, ()), moment)
            for mark in marks:
                ranks = np.array(mark.ids) - 1
                yield ranks[ranks < kind.library] + first, _hours(mark.before)
            if note is not None:
                self._seen[day] = note
            elif day == self._done_until:
                self._done_until = day + timedelta(days=1)


def simulate(world: World, plan: Plan) -> Outcome:
    """Run a plan from beginning to end. The entries are of every age when it begins."""
    model, chance = world.model, np.random.default_rng([world.model.seed, 4])
    lifetime = np.array([freshness.with_jitter(plan.expire_after, key) for key in world.keys]) / 3600
    fetched = -chance.random(world.size) * lifetime
    expires = fetched + lifetime
    fetches, behind = np.zeros(world.size, dtype=int), []
    begin, responses, pages_before = 24.0 * model.warm_up, 0, 0
    following = [Following(world, kind) for kind in model.kinds] if plan.readings else []

    def fetch(numbers: Array, now: Array | float) -> None:
        fetched[numbers] = now
        expires[numbers] = fetched[numbers] + lifetime[numbers]
        fetches[numbers] += 1

    def serve(numbers: Array, now: Array) -> None:
        hit = now < expires[numbers]
        fetch(numbers[~hit], now[~hit])
        late = now[hit] - world.newer_since(numbers[hit], fetched[numbers[hit]])
        behind.append(late[late > 0])

    def follow(now: float) -> None:
        age, stale = chance.random() * FEED_AGE, []
        for feed in following:
            for numbers, before in feed.read(now, age):
                changed = numbers[(fetched[numbers] < before) & (expires[numbers] > now)]
                expires[changed] = now
                stale.append(changed)
        if plan.prefetch and stale:
            fetch(np.unique(np.concatenate(stale)), now)

    when, which = world.requested
    readings = {24.0 * day + hour for day in range(model.warm_up + model.days) for hour in plan.readings}
    midnights = {24.0 * day for day in range(1, model.warm_up + model.days + 1)}
    place = 0
    for moment in sorted(readings | midnights):
        until = int(np.searchsorted(when, moment))
        for numbers, now in _in_turn(which[place:until], when[place:until]):
            serve(numbers, now)
        responses, place = responses + until - place, until
        if moment in readings:
            follow(moment)
        if moment == begin:
            fetches[:], responses, pages_before = 0, 0, sum(feed.pages for feed in following)
            behind.clear()
    found = np.concatenate(behind)
    pages = sum(feed.pages for feed in following) - pages_before
    return Outcome(responses, len(found), found, fetches, pages)


def changes_a_day(weights: Array, daily: int) -> Array:
    """Return how often each title changes in a day, so that ``daily`` different ones do (they change independently)."""
    low, high = 0.0, 1.0
    while (1 - np.exp(-high * weights)).sum() < daily:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 - np.exp(-middle * weights)).sum() < daily else (low, middle)
    return high * weights


def _in_turn(numbers: Array, times: Array) -> Iterator[tuple[Array, Array]]:
    """Part what is in order of time so that no part has a title twice, and each title's are in order."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.array([], dtype=int)
    turn = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    for number in range(int(turn.max()) + 1 if len(turn) else 0):
        part = order[turn == number]
        yield numbers[part], times[part]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.utc)


def _hours(moment: datetime) -> float:
    return (moment - START) / timedelta(hours=1)
