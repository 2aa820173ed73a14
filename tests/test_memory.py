"""The tier in memory by itself: what it keeps, for how long, in how many bytes, from how many threads and processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import tmdb_mongo_cache
from tmdb_mongo_cache.core.memory import Memory, forget_key, size_of

from .rules.test_memory import MIB, keep, made


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
from tmdb_mongo_cache.core.memory import Entry, Memory

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
from tmdb_mongo_cache.core.memory import Entry, Memory, forget_everything, forget_key

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
