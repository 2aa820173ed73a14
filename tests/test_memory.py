"""The tier in memory by itself: what it keeps, for how long, in how many bytes, from how many threads and processes."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tmdb_mongo_cache
from tmdb_mongo_cache import forks
from tmdb_mongo_cache.store import memory
from tmdb_mongo_cache.store.document import CODEC_OF_HITS, from_document, to_bson
from tmdb_mongo_cache.store.memory import Memory, forget_everything, forget_key, forget_titles, size_of
from tmdb_mongo_cache.tmdb.entry import Entry, Hop

from .entrykit import entry

HOUR = 3600
MIB = 2**20
HEADERS = {
    "Server": "openresty",
    "Date": "Sun, 22 Nov 2026 17:03:32 GMT",
    "Vary": "accept-encoding, Origin",
    "Content-Type": "application/json;charset=utf-8",
    "Cache-Control": "public, max-age=26236",
    "ETag": 'W/"8aef9e5e39bad33084e5a4c1bd929b6a"',
    "X-Cache": "Miss from cloudfront",
}
FULL = {**HEADERS, **{f"X-More-{number}": "v" * 40 for number in range(30)}}
HOP = Hop("https://api.themoviedb.org/3/x", 301, "Moved Permanently", {}, b"")


def made(key: str, size: int = 100, **changes: Any) -> Entry:
    """Make an entry whose body tells its key."""
    return entry(key=key, body=key.encode().ljust(size), **changes)


def keep(tier: Memory, *entries: Entry) -> None:
    for one in entries:
        tier.put(one, tier.moment(one.key))


def kept(tier: Memory, keys: str) -> str:
    return "".join(key for key in keys if tier.get(key) is not None)


def test_what_is_put_is_got() -> None:
    """An entry is found under its key and no other, and the last one put there counts."""
    tier = Memory(HOUR, MIB)
    keep(tier, made("a"), made("b"), new := made("a", status=404))
    assert tier.get("a") == new
    assert tier.get("b") == made("b")
    assert tier.get("c") is None


def test_nothing_is_kept_past_its_seconds() -> None:
    """After its seconds an entry is gone and takes no bytes, also when it was used meanwhile."""
    tier = Memory(0.15, MIB)
    keep(tier, made("a"))
    time.sleep(0.08)
    keep(tier, made("b"))
    assert kept(tier, "ab") == "ab"
    time.sleep(0.09)
    assert kept(tier, "ab") == "b"
    assert tier.bytes == size_of(made("b"))


def test_an_entry_put_anew_is_kept_anew() -> None:
    """Seconds count from the last time an entry was put."""
    tier = Memory(0.15, MIB)
    keep(tier, made("a"))
    time.sleep(0.08)
    keep(tier, made("a"))
    time.sleep(0.08)
    assert kept(tier, "a") == "a"


def test_what_is_larger_than_the_tier_is_not_kept() -> None:
    """An entry that does not fit is not kept, costs no other its place, and the old one of its key is not served."""
    tier = Memory(HOUR, 2 * size_of(made("a")))
    keep(tier, made("a"), made("b"), made("a", 10_000))
    assert kept(tier, "ab") == "b"
    keep(tier, made("c", 10_000))
    assert kept(tier, "abc") == "b"


def test_the_last_used_stay() -> None:
    """Where room is needed, those not used for longest go first, and getting is using."""
    tier = Memory(HOUR, 3 * size_of(made("a")))
    keep(tier, made("a"), made("b"), made("c"))
    assert tier.get("a") is not None
    keep(tier, made("d"))
    assert kept(tier, "abcd") == "acd"
    keep(tier, made("e", 2 * size_of(made("a"))))
    assert kept(tier, "abcde") == "e"


def test_forgetting_a_title_uses_nothing() -> None:
    """Looking for the entries of one title changes nothing about which of the others goes first."""
    tier = Memory(HOUR, 3 * size_of(made("a")))
    keep(tier, made("a"), made("b"), made("c"))
    assert tier.get("a") is not None
    tier.forget_all(lambda one: one.key == "x")
    keep(tier, made("d"))
    assert kept(tier, "abcd") == "acd"


_KEYS = st.sampled_from("abcdef")
_STEP = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.integers(0, 5000)),
    st.tuples(st.sampled_from(["get", "forget", "title"]), _KEYS, st.just(0)),
    st.tuples(st.just("everything"), st.just(""), st.just(0)),
)


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(_STEP, max_size=40), room=st.integers(1000, 12_000))
def test_a_tier_is_a_mapping_that_may_forget(steps: list[tuple[str, str, int]], room: int) -> None:
    """Whatever is done, a tier gives the entry put last or none, and all it keeps is what it counts, within bounds."""
    tier, last = Memory(HOUR, room), dict[str, Entry]()
    for what, key, size in steps:
        if what == "put":
            last[key] = made(key, size, tmdb_id=key)
            keep(tier, last[key])
            assert (tier.get(key) is last[key]) is (size_of(last[key]) <= room)
        elif what == "get":
            assert tier.get(key) in (None, last.get(key))
        elif what == "forget":
            tier.forget(key)
            assert tier.get(key) is None
        elif what == "title":
            tier.forget_all(lambda one, key=key: one.tmdb_id == key)
            assert tier.get(key) is None
        else:
            tier.forget_all()
        found = [tier.get(one) for one in "abcdef"]
        assert tier.bytes == sum(size_of(one) for one in found if one is not None) <= room
        if what == "everything":
            assert not any(found)


@pytest.mark.parametrize(
    "forgetting",
    [
        lambda tier: tier.forget("a"),
        lambda tier: tier.forget_all(),
        lambda tier: tier.forget_all(lambda one: one.key == "a"),
        lambda _: forget_key("a"),
        lambda _: forget_titles("movie", [550]),
        lambda _: forget_everything(),
    ],
    ids=["key", "all", "some", "key everywhere", "title everywhere", "everything everywhere"],
)
def test_what_was_read_before_a_forgetting_is_not_kept(forgetting: Any) -> None:
    """An entry looked up before its key was to be forgotten is not put; one looked up afterwards is."""
    tier = Memory(HOUR, MIB)
    since = tier.moment("a")
    forgetting(tier)
    tier.put(made("a", media_type="movie", tmdb_id=550), since)
    assert tier.get("a") is None
    keep(tier, made("a"))
    assert tier.get("a") is not None


def test_forgetting_a_key_does_not_stop_the_others() -> None:
    """Entries that are being looked up while another key is forgotten are kept all the same."""
    tier = Memory(HOUR, MIB)
    others = [f"other {number}" for number in range(20)]
    since = {key: tier.moment(key) for key in others}
    tier.forget("a")
    for key in others:
        tier.put(made(key), since[key])
    assert sum(tier.get(key) is not None for key in others) >= 15


def test_all_tiers_of_the_process_forget() -> None:
    """forget_key, forget_titles and forget_everything reach every tier, and no more than they name."""
    tiers = [Memory(HOUR, MIB) for _ in range(3)]
    for tier in tiers:
        titles = {"a": ("movie", 1), "b": ("movie", 1), "c": ("tv", 1), "d": ("movie", 2), "e": (None, None)}
        keep(tier, *(made(key, media_type=kind, tmdb_id=number) for key, (kind, number) in titles.items()))
    forget_titles("movie", [1])
    assert [kept(tier, "abcde") for tier in tiers] == ["cde"] * 3
    forget_key("c", but=tiers[1])
    assert [kept(tier, "abcde") for tier in tiers] == ["de", "cde", "de"]
    forget_everything()
    assert [tier.bytes for tier in tiers] == [0] * 3


def test_dropped_tiers_leave_nothing_behind() -> None:
    """A tier that nobody holds any more is gone from what the module knows, with its entries."""
    gc.collect()
    before = (len(memory._all_tiers()), len(forks._objects))
    tiers = [Memory(HOUR, MIB) for _ in range(20)]
    for tier in tiers:
        keep(tier, made("a"))
        tier.forget_all(lambda one: one.key == "x")
    assert len(memory._all_tiers()) == before[0] + 20
    del tiers, tier
    gc.collect()
    assert (len(memory._all_tiers()), len(forks._objects)) == before


def as_read(one: Entry) -> Entry:
    """Return an entry as it is read from MongoDB, sharing nothing."""
    raw, _ = to_bson(one, None)
    assert raw is not None
    found = from_document(bson.decode(raw.raw, codec_options=CODEC_OF_HITS), one.key)
    assert found is not None
    return found


LONG = "https://api.themoviedb.org/3/search/movie?query=" + "q" * 6000


LARGE: dict[str, dict[str, Any]] = {
    "small": {},
    "no headers": {"headers": {}},
    "body": {"body": b"x" * 24_000},
    "reason": {"reason": LONG},
    "media_type": {"media_type": LONG},
    "endpoint": {"endpoint": LONG},
    "tmdb_id": {"tmdb_id": LONG},
    "url": {"url": LONG},
    "url of other letters": {"url": LONG + "\U0001f600"},
    "header's name": {"headers": {LONG: ""}},
    "header's value": {"headers": {"X": LONG}},
    "40 headers": {"headers": FULL},
    "redirected": {"url": HOP.url, "history": (HOP,)},
    "redirects": {"url": HOP.url, "history": (HOP,) * 20},
    "redirect's body": {"url": HOP.url, "history": (HOP._replace(body=b"x" * 24_000),)},
    "redirect's reason": {"url": HOP.url, "history": (HOP._replace(reason=LONG),)},
    "redirects with headers": {"url": HOP.url, "history": (HOP._replace(headers=FULL),) * 3},
}


@pytest.mark.parametrize("changes", LARGE.values(), ids=LARGE)
def test_an_entry_is_counted_as_what_it_takes(changes: dict[str, Any]) -> None:
    """What an entry takes in memory, as measured, is about what it is counted as, whatever is large in it."""
    count = 100
    tier = Memory(HOUR, 100 * MIB)
    model = made("a", 200, headers=HEADERS, media_type="movie", endpoint="/3/movie/{movie_id}", tmdb_id=1000)
    model = model._replace(**changes)
    keep(tier, as_read(model))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(count):
            keep(tier, as_read(model._replace(key=f"GET api.themoviedb.org/3/movie/{number}")))
        gc.collect()
        real = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    counted = tier.bytes / (count + 1)
    assert real < 1.1 * counted
    assert counted < 1.4 * real  # nor is room for entries given away


def run(program: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(tmdb_mongo_cache.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_MANY = """
import os, sys
from datetime import datetime, timezone
from tmdb_mongo_cache.store.memory import Entry, Memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

now, tier = datetime.now(timezone.utc), Memory(3600, 4 * 2**20)
before = resident()
for number in range(6000):
    headers = {f"X-{number}-{item}": f"{number} {item}" * 3 for item in range(8)}
    body = str(number).encode().ljust(24_000 if number % 2 else 2_000)
    entry = Entry(f"GET api.themoviedb.org/3/movie/{number}", 200, "OK", headers, body, now, now, now)
    tier.put(entry, tier.moment(entry.key))
print(resident() - before, tier.bytes)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not tell what a process takes")
def test_a_process_grows_by_no_more_than_the_bound() -> None:
    """After 78 MB of distinct entries a process has grown by memory_max_bytes and less than 30 MB."""
    grown, counted = map(int, run(_MANY).split())
    assert 3 * MIB < counted <= 4 * MIB
    assert grown < 4 * MIB + 30 * 10**6


def test_many_threads() -> None:
    """16 threads that put, get and forget at once see no exception, no body of another key, and no bound exceeded."""
    room = 6 * size_of(made("10", 300))
    tier, failures, until = Memory(0.02, room), list[object](), time.monotonic() + 0.4
    switch = sys.getswitchinterval()

    def hammer(seed: int) -> None:
        chance = random.Random(seed)
        try:
            while time.monotonic() < until:
                key = str(chance.randrange(10, 30))
                what = chance.random()
                if what < 0.45:
                    keep(tier, made(key, chance.randrange(600)))
                elif what < 0.85:
                    found = tier.get(key)
                    if found is not None and (found.key != key or found.body.strip() != key.encode()):
                        failures.append((key, found))
                elif what < 0.95:
                    forget_key(key)
                else:
                    tier.forget_all(chance.choice([None, lambda one: one.key > "20"]))
                if tier.bytes > room:
                    failures.append(tier.bytes)
        except BaseException as error:
            failures.append(error)

    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert failures == []
    keep(tier, made("10"))
    assert tier.get("10") == made("10")


_FORKS = """
import os, signal, sys, threading, warnings
from datetime import datetime, timezone
from tmdb_mongo_cache.store.memory import Entry, Memory, forget_everything, forget_key

warnings.simplefilter("ignore")
now, tier, going = datetime.now(timezone.utc), Memory(3600, 50_000), True

def made(number):
    return Entry(f"key {number}", 200, "OK", {}, b"x" * 500, now, now, now)

def hammer(seed):
    number = seed
    while going:
        number += 1
        entry = made(number % 50)
        tier.put(entry, tier.moment(entry.key))
        tier.get(entry.key)
        tier.forget_all(lambda one: one.key == "key 7")
        if number % 20 == 0:
            forget_key("key 3")
            Memory(1, 1000)

def child():
    signal.alarm(10)
    assert tier.bytes == 0 and tier.get("key 1") is None
    entry = made(1)
    tier.put(entry, tier.moment(entry.key))
    assert tier.get(entry.key) is entry
    forget_key("key 1")
    assert tier.get(entry.key) is None
    tier.put(entry, tier.moment(entry.key))
    forget_everything()
    assert tier.bytes == 0

threads = [threading.Thread(target=hammer, args=(seed,), daemon=True) for seed in range(4)]
for thread in threads:
    thread.start()
ends = []
sys.setswitchinterval(1e-5)
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    ends.append(os.waitpid(pid, 0)[1])
going = False
for thread in threads:
    thread.join()
print(sum(ends), tier.bytes > 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_children_begin_anew() -> None:
    """A child forked while other threads change the tier has an empty one that works, and the parent keeps its own."""
    assert run(_FORKS).split() == ["0", "True"]
