"""A replica set that loses its primary or majority: hits go on, responses are stored again, one warning is logged."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import uuid4

import pymongo
import pytest
import requests

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import get, status_of
from .replicakit import ReplicaSet, replica_set
from .waitkit import until

KNOWN = range(1, 9)
PRIMARY = "&readPreference=primary"
TIMEOUT = 0.1  # store_timeout, where calls are timed one by one
LOST_READS, LOST_WRITES = "calls bypass the cache for now", "responses are not stored for now"
BACK_READS, BACK_WRITES = "calls use the cache again", "responses are stored again"


class Seen(NamedTuple):
    """What became of one call: when it was made, how long it took, what came of it."""

    at: float
    took: float
    hit: bool
    stored: bool
    right: bool


class Record(logging.Handler):
    """What a fail-over looked like to a program: calls for what is known, calls for new films, the log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.known: list[Seen] = []
        self.new: list[Seen] = []
        self.raised: list[BaseException] = []
        self.lines: Counter[str] = Counter()
        self.lost_at = 0.0
        self.calls_for_a_cold_key = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.lines[record.getMessage().partition(": ")[0]] += 1


def number_path(number: int) -> str:
    return f"/3/movie/{number}"


def ask(tmdb: StandIn, number: int, session: Any = requests) -> Seen:
    began = time.monotonic()
    response = get(tmdb, number_path(number), session=session, timeout=20)
    took = time.monotonic() - began
    right = response.status_code == 200 and response.json()["id"] == number
    return Seen(began, took, response.from_cache, "stored" in status_of(response), right)


def is_stored(tmdb: StandIn, number: int) -> bool:
    seen = ask(tmdb, number)
    return seen.stored or seen.hit


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    with replica_set(tmp_path_factory.mktemp("replicas"), 3) as found:
        found.heal()
        yield found


@pytest.fixture(scope="module")
def upstream() -> Iterator[StandIn]:
    with StandIn() as found:
        yield found


def fill(replicas: ReplicaSet, tmdb: StandIn, database: str) -> None:
    """Store the known films, on every member."""
    uri = f"{replicas.uri}&w=3&wtimeoutMS=10000"
    # Without memory: a hit from there does not say that MongoDB has it.
    settings = {"hosts": [tmdb.host], "store_timeout": 10, "memory_ttl": 0}
    with TMDBCache(uri=uri, database=database, **settings) as cache, enabled(cache):
        for number in KNOWN:  # a loaded machine may be between two primaries once more
            until(partial(is_stored, tmdb, number), "a response that is stored", 60)
    replicas.heal()
    for port in replicas.ports:  # a write whose confirmation was late may have reached the primary alone
        with pymongo.MongoClient(
            "127.0.0.1", port, directConnection=True, readPreference="secondaryPreferred"
        ) as member:
            kept = member[database]["tmdb_cache"]
            until(lambda kept=kept: kept.count_documents({}) >= len(KNOWN), "a member that has caught up", 30)


class Load:
    """Threads that ask for films until they are told to end."""

    def __init__(self, cache: TMDBCache, tmdb: StandIn, record: Record) -> None:
        self._ended = threading.Event()
        self._cache, self._tmdb, self._record = cache, tmdb, record
        works = [self._ask_for_known] * 4 + [self._ask_for_new] * 2
        self._threads = [threading.Thread(target=self._run, args=(work, no)) for no, work in enumerate(works)]

    def _run(self, work: Callable[[int, Any], None], number: int) -> None:
        try:
            with enabled(self._cache), requests.Session() as session:
                while not self._ended.is_set():
                    work(number, session)
        except BaseException as error:
            self._record.raised.append(error)

    def _ask_for_known(self, number: int, session: Any) -> None:
        for film in KNOWN:
            self._record.known.append(ask(self._tmdb, film, session))
            time.sleep(0.005)

    def _ask_for_new(self, number: int, session: Any) -> None:
        self._record.new.append(ask(self._tmdb, 10_000 * number + len(self._record.new), session))
        time.sleep(0.02)

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)


def kill(replicas: ReplicaSet) -> None:
    replicas.kill(replicas.primary())


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kill, id="killed"),
        pytest.param(ReplicaSet.step_down, id="steps-down", marks=pytest.mark.soak),
    ],
)
def fail_over(request: pytest.FixtureRequest, replicas: ReplicaSet, upstream: StandIn) -> Record:
    """Let the set lose its primary under load; return what it looked like, until responses were stored again."""
    record, database = Record(), f"failover_{uuid4().hex}"
    fill(replicas, upstream, database)
    settings = {"uri": replicas.uri, "database": database, "hosts": [upstream.host], "memory_ttl": 0}
    logger = logging.getLogger("tmdb_mongo_cache")
    before = logger.level
    logger.addHandler(record)
    logger.setLevel(logging.INFO)
    try:
        with ExitStack() as stack:
            caches = [stack.enter_context(TMDBCache(**settings, store_timeout=1)) for _ in range(2)]
            with Load(caches[0], upstream, record):
                time.sleep(0.7)
                primary = replicas.primary()
                record.lost_at = time.monotonic()
                request.param(replicas)
                until(lambda: replicas.primary() != primary, "another primary")
                until(lambda: record.new[-1].stored, "a response that is stored again")
                time.sleep(0.7)
            upstream.latency = 0.3
            count = upstream.count
            threads = [threading.Thread(target=in_cache, args=(cache, upstream, 77)) for cache in caches]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            record.calls_for_a_cold_key = upstream.count - count
    finally:
        upstream.latency = 0.0
        logger.removeHandler(record)
        logger.setLevel(before)
        replicas.heal()
    return record


def in_cache(cache: TMDBCache, tmdb: StandIn, number: int) -> None:
    with enabled(cache):
        ask(tmdb, number)


class TestFailOver:
    def test_no_wrong_answer(self, fail_over: Record) -> None:
        """Nothing is raised, and every response is the right one."""
        assert fail_over.raised == []
        assert len(fail_over.new) > 20
        assert all(seen.right for seen in fail_over.known + fail_over.new)

    def test_hits_go_on(self, fail_over: Record) -> None:
        """But for calls under way at that moment, what is stored is served from the cache all the time."""
        assert [seen for seen in fail_over.known if seen.at < fail_over.lost_at and not seen.hit] == []
        after = [seen for seen in fail_over.known if seen.at + seen.took > fail_over.lost_at]
        assert sum(not seen.hit for seen in after) <= 2 * 4
        hits = sorted(seen.at + seen.took for seen in after if seen.hit)
        assert max(late - early for early, late in pairwise(hits)) < 1.5

    def test_stored_again(self, fail_over: Record) -> None:
        """New responses are stored again within 15 s, and from then on all of them."""
        late = [seen for seen in fail_over.new if seen.at > fail_over.lost_at]
        first = next(seen.at for seen in late if seen.stored)
        assert first - fail_over.lost_at < 15
        back = max((seen.at for seen in late if not seen.stored), default=fail_over.lost_at)
        assert back - fail_over.lost_at < 15
        assert sum(seen.at > back for seen in late) > 5

    def test_log(self, fail_over: Record) -> None:
        """The log has at most one warning of each kind, and one line for each when it is over."""
        assert set(fail_over.lines) <= {LOST_READS, LOST_WRITES, BACK_READS, BACK_WRITES}
        assert max(fail_over.lines.values(), default=0) <= 1
        assert fail_over.lines[LOST_READS] == fail_over.lines[BACK_READS]
        assert fail_over.lines[LOST_WRITES] == fail_over.lines[BACK_WRITES]

    def test_leases_come_back(self, fail_over: Record) -> None:
        """A cold key that two caches ask for afterwards is one call to TMDB."""
        assert fail_over.calls_for_a_cold_key == 1


@pytest.fixture(scope="class")
def without_majority(replicas: ReplicaSet, upstream: StandIn) -> Iterator[Callable[..., TMDBCache]]:
    """Make caches on a set of which two of three members are dead; those that were in use when it happened, too."""
    database = f"failover_{uuid4().hex}"
    fill(replicas, upstream, database)
    with ExitStack() as stack:

        def make(options: str = "", store_timeout: float = 1) -> TMDBCache:
            uri = replicas.uri + options
            settings = {"database": database, "hosts": [upstream.host], "memory_ttl": 0}
            return stack.enter_context(TMDBCache(uri=uri, store_timeout=store_timeout, **settings))

        def in_use(options: str = "", store_timeout: float = TIMEOUT) -> TMDBCache:
            return prepared[options, store_timeout].pop()

        prepared = {(option, TIMEOUT): [make(option, TIMEOUT) for _ in range(4)] for option in ("", PRIMARY)}
        for caches in prepared.values():
            for cache in caches:
                with enabled(cache):
                    until(lambda: ask(upstream, KNOWN[0]).hit, "a hit")
        primary = replicas.primary()
        replicas.kill(next(port for port in replicas.ports if port != primary))
        replicas.kill(primary)
        until(lambda: "primary" not in replicas.states().values(), "no primary")
        make.in_use = in_use  # type: ignore[attr-defined]
        make.heal = replicas.heal  # type: ignore[attr-defined]
        try:
            yield make
        finally:
            replicas.heal()


def direct(tmdb: StandIn) -> float:
    """Return the seconds that a call without the cache takes here and now."""
    took = []
    for number in range(9):
        began = time.monotonic()
        get(tmdb, number_path(90 + number))
        took.append(time.monotonic() - began)
    return statistics.median(took)


class TestWithoutMajority:
    def test_in_use(self, without_majority: Any, tmdb: StandIn, upstream: StandIn, caplog: Any) -> None:
        """Hits go on from the secondary, new responses are not stored, and there is one warning of that."""
        caplog.set_level(logging.INFO, "tmdb_mongo_cache")
        with without_majority.in_use() as cache, enabled(cache):
            for number in KNOWN:
                assert ask(upstream, number).hit
            for number in range(50, 60):
                seen = ask(upstream, number)
                assert (seen.right, seen.hit, seen.stored) == (True, False, False)
            assert all(ask(upstream, number).hit for number in KNOWN)
        assert len(caplog.records) == 1
        assert caplog.records[0].getMessage().startswith(LOST_WRITES)

    def test_begun_now(self, without_majority: Any, upstream: StandIn, caplog: Any) -> None:
        """A program that starts now has hits from the secondary, too, and the same warning."""
        with without_majority() as cache, enabled(cache):
            assert all(ask(upstream, number).hit for number in KNOWN)
            assert not any(ask(upstream, number).stored for number in range(60, 63))
        assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [LOST_WRITES]

    def test_no_delay_of_hits(self, without_majority: Any, upstream: StandIn) -> None:
        """A hit from the secondary takes no longer than before."""
        with without_majority.in_use() as cache, enabled(cache):
            ask(upstream, 1)
            took = statistics.median(ask(upstream, number).took for number in KNOWN)
        assert took < TIMEOUT + 0.05 + direct(upstream)

    def test_no_delay_of_misses(self, without_majority: Any, upstream: StandIn) -> None:
        """The first call that cannot be stored takes at most store_timeout and 50 ms longer; later ones nothing."""
        first, later = [], []
        for _ in range(2):
            with without_majority.in_use() as cache, enabled(cache):
                ask(upstream, 1)
                first.append(ask(upstream, 64).took)
                later.append(statistics.median(ask(upstream, number).took for number in range(65, 70)))
        usual = direct(upstream)
        assert min(first) < TIMEOUT + 0.05 + usual
        assert min(later) < 0.05 + usual * 2

    def test_primary_alone(self, without_majority: Any, upstream: StandIn) -> None:
        """With readPreference=primary in the URI there are no hits without one, and no exception."""
        with without_majority.in_use(PRIMARY) as cache, enabled(cache):
            seen = [ask(upstream, number) for number in KNOWN]
        assert all((each.right, each.hit) == (True, False) for each in seen)

    def test_no_delay_with_primary_alone(self, without_majority: Any, upstream: StandIn) -> None:
        """With readPreference=primary no call is held up longer than store_timeout and 50 ms."""
        took = []
        for _ in range(2):
            with without_majority.in_use(PRIMARY) as cache, enabled(cache):
                took.append(max(ask(upstream, number).took for number in KNOWN))
        assert min(took) < TIMEOUT + 0.05 + direct(upstream)

    def test_z_back(self, without_majority: Any, upstream: StandIn, caplog: Any) -> None:
        """When the others are back, a cache that could not store does so again within 15 s, with one line."""
        caplog.set_level(logging.INFO, "tmdb_mongo_cache")
        with without_majority() as cache, enabled(cache):
            assert not ask(upstream, 70).stored
            without_majority.heal()
            numbers = iter(range(100, 1000))
            until(lambda: ask(upstream, next(numbers)).stored, "a response that is stored again")
            assert all(ask(upstream, next(numbers)).stored for _ in range(5))
        assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [LOST_WRITES, BACK_WRITES]


def finds(port: int) -> int:
    with pymongo.MongoClient("127.0.0.1", port, directConnection=True) as client:
        return client.admin.command("serverStatus")["opcounters"]["query"]


@pytest.mark.parametrize(
    "preference", ["primaryPreferred", pytest.param("secondary", marks=pytest.mark.soak), "secondaryPreferred"]
)
def test_where_reads_go(replicas: ReplicaSet, upstream: StandIn, preference: str) -> None:
    """Reads go where readPreference in the URI says; without it, to the primary."""
    database = f"failover_{uuid4().hex}"
    fill(replicas, upstream, database)
    options = "" if preference == "primaryPreferred" else f"&readPreference={preference}"
    settings = {"database": database, "hosts": [upstream.host], "memory_ttl": 0, "store_timeout": 10}
    primary = replicas.primary()
    others = [port for port in replicas.ports if port != primary]
    with TMDBCache(uri=replicas.uri + options, **settings) as cache, enabled(cache):
        before = finds(primary), sum(map(finds, others))
        for _ in range(5):
            assert all(ask(upstream, number).hit for number in KNOWN)
        asked = finds(primary) - before[0], sum(map(finds, others)) - before[1]
    # The members ask each other now and then.
    if preference == "primaryPreferred":
        assert asked[0] >= 4 * len(KNOWN) > asked[1]
    else:
        assert asked[1] >= 4 * len(KNOWN) > asked[0]
