"""A soak: processes call through the cache while both sides fail at random; a model knows what may be served.

The short form is one of the suite's tests. The long one runs by ``pytest -m soak tests/test_soak.py``, for as
long as SOAK_SECONDS says (240); SOAK_SEED repeats a run's choices, though not its timing.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import pytest

from tmdb_mongo_cache import enabled
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn

from . import soakkit
from .flowkit import KEY, expire, get
from .soakkit import CALLS_OWN, EXPIRE, KINDS, LATENCY, MISSING, TIMEOUTS, Injector, Timeline, Workers, path_of

SLACK = 0.6  # seconds: what lies between an answer's making and its storing, besides the latency
RESTS = 32.0  # the longest pause after failures, and some
LONGEST = max(TIMEOUTS)
STALE = min(kind["stale_if_error"] for kind in KINDS)
BROKEN = ("refuse", "reset", "timeout", "truncated")
LOSING = ("edit", "delete", "drop", "kill")


class Model:
    """Says of each call that was seen whether it was allowed."""

    def __init__(self, line: Timeline, calls: list[tuple[float, float, dict[str, Any]]], stalls: Any, folder: Any):
        self.line, self.folder = line, folder
        self.calls = sorted(calls, key=lambda call: call[1])
        self.stalls = sorted([*line.stalls, *stalls])
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.overtime = 0.0
        self._stored: dict[Any, list[tuple[float, float, int]]] = defaultdict(list)

    def check(self) -> None:
        for began, ended, call in self.calls:
            for allowed_late in (0.0, None):
                # What the machine held up is excused, for it may have been in any of the processes.
                late = self.stalled(began - 12, ended) if allowed_late is None else allowed_late
                why = self.why_not(began, ended, call, late)
                if why is None:
                    self.counts["excused"] += allowed_late is None
                    break
            else:
                self.violations.append(f"{why}; call {call} from {began:.3f} to {ended:.3f}; held up {late:.2f} s")
            self.note(began, ended, call)

    def stalled(self, since: float, until: float) -> float:
        return 2 * max(
            (late for moment, late in self.stalls if since <= moment + late and moment <= until), default=0.0
        )

    def faults(self, film: int, since: float, until: float, names: Any = None) -> list[str]:
        path = path_of(film)
        return [
            name
            for name, where, began, ended in self.line.tmdb
            if where in (None, path) and (names is None or name in names) and began <= until and ended >= since
        ]

    def current(self, film: int, version: int) -> tuple[float, float]:
        """Return from when until when a version was TMDB's, both as far apart as they may have been."""
        changes = self.line.changes.get(path_of(film), [])
        born = changes[version - 1][0] if version else 0.0
        return born, changes[version][1] if version < len(changes) else math.inf

    def why_not(self, began: float, ended: float, call: dict[str, Any], late: float) -> str | None:
        """Return why a call is none that was allowed."""
        film, settings = call["film"], KINDS[call["number"] % len(KINDS)]
        # It may wait for another's call, or its turn, and then make its own; where asked for the rate limit, too.
        waits = 3 if settings.get("wait_on_rate_limit") else 2
        if ended - began > waits * call["timeout"] + 1.0 + late:
            return f"took {ended - began:.2f} s"
        since = began - LONGEST - 0.5 - late  # when a call began whose answer this may be
        if "error" in call:
            if not call["tmdbs"]:
                return "raised what TMDB's failure does not"
            if not self.faults(film, since, ended, BROKEN) and not (late > 0.3 and "Timeout" in call["error"]):
                # Whether TMDB was asked at all cannot be told from here: the cache's own text is urllib3's.
                return "raised without a fault in force"
            return self.why_not_stored(began, ended, call, late)
        said = call["said"]
        if call["mode"] == "only" and call["status"] == 504:
            return None if "only-if-cached" in said else "a 504 of the wrong kind"
        wanted = 404 if film == MISSING else 200
        versions = self.line.bodies[film, call["language"], call["append"]].get(call["body"])
        if call["status"] == wanted and versions is not None:
            return self.why_not_version(began, ended, call, late, versions)
        return self.why_not_faulty(began, ended, call, late)

    def why_not_version(
        self, began: float, ended: float, call: dict[str, Any], late: float, versions: list[int]
    ) -> str | None:
        """Return why this version, which TMDB has given at some time, was not to be served."""
        film, said = call["film"], call["said"]
        settings = KINDS[call["number"] % len(KINDS)]
        hit = "; hit" in said
        ttl = int(said.partition("ttl=")[2].partition(";")[0]) if "ttl=" in said else None
        failing = bool(self.faults(film, began - RESTS - LONGEST - late, ended))
        only = call["mode"] == "only"
        margin, window = LATENCY + SLACK + late, 0.0
        if hit and call["mode"] in ("refresh", "force") and not (failing and call["mode"] == "refresh"):
            return "a hit though the caller wanted TMDB to be asked"
        if not call["cached"]:
            # TMDB's own, fetched for this caller or for one that it waited for.
            oldest = began - (LONGEST + margin if "collapsed" in said else late + 0.01)
        elif call["mode"] == "own" and hit and not failing and ttl is not None and ttl >= 0:
            oldest = began - CALLS_OWN - margin
        elif ttl is not None and ttl >= 0:
            oldest = began - EXPIRE - margin
        else:
            window = settings.get("stale_while_revalidate", 0.0) if hit else 0.0
            if failing or only:
                window = max(window, settings["stale_if_error"])
            if not window:
                return "a stale answer, and TMDB did not fail"
            if call["mode"] == "force":
                return "a stale answer to a call with force_refresh"
            oldest = began - EXPIRE - window - margin
        if call["cached"] and call["expires"] is not None and call["expires"] < began - window - 0.1 - late:
            return f"expired at {call['expires']:.3f}, and {window} s are allowed"
        spans = [self.current(film, version) for version in versions]
        if any(born <= ended and gone >= oldest for born, gone in spans):
            return None
        return f"version {versions}, TMDB's {spans}, is older than {oldest:.3f} allows"

    def why_not_faulty(self, began: float, ended: float, call: dict[str, Any], late: float) -> str | None:
        """Return why what is no good answer was not to be passed on."""
        film, status = call["film"], call["status"]
        names = self.faults(film, began - LONGEST - 0.5 - late, ended)
        body = (self.folder / "bodies" / call["body"]).read_bytes()
        if status == 404 and film != MISSING:
            # As good an answer as any, while it lasts.
            kept = EXPIRE + max(kind["stale_if_error"] for kind in KINDS) + LATENCY + SLACK + late
            return None if self.faults(film, began - kept, ended, ["404"]) else "a 404 that TMDB did not give"
        if call["cached"]:
            return f"{body[:80]!r} was served, which TMDB never answered"
        known = self.line.bodies[film, call["language"], call["append"]]
        fits = (
            (status not in (200, 404) and str(status) in names)
            or ("no-append" in names and call["body"] in self.line.bodies[film, call["language"], False])
            or (
                "gzip-unlabelled" in names
                and body[:2] == b"\x1f\x8b"
                and soakkit.digest(gzip.decompress(body)) in known
            )
            or ("empty" in names and body == b"")
            or ("not-json" in names and body[:6] == b"<html>")
            or ("success-false" in names and b'"success":false' in body)
        )
        if not fits:
            return f"{status} {body[:80]!r} was passed on, with {names} in force"
        fails = status == 429 or status >= 500 or (status == 200 and body[:1] != b"{")
        return self.why_not_stored(began, ended, call, late) if fails else None

    def why_not_stored(self, began: float, ended: float, call: dict[str, Any], late: float) -> str | None:
        """Return why a stored answer should have stood in, if this process has seen that there was one."""
        if call["mode"] == "force":
            return None
        for seen, expires, store_errors in reversed(self._stored[self.place(call)]):
            if seen <= began:
                harmed = any(
                    name in LOSING and call["film"] in films and start <= ended + 0.1 and end >= seen - 0.3
                    for name, start, end, films in self.line.mongo
                )
                good = store_errors == call["store_errors"] and expires + STALE > ended + 0.5 + late
                if good and not harmed:
                    return f"failed though an answer was stored at {seen:.3f}, to expire at {expires:.3f}"
                return None
        return None

    @staticmethod
    def place(call: dict[str, Any]) -> Any:
        return call["cache"], call["film"], call["language"], call["append"]

    def note(self, began: float, ended: float, call: dict[str, Any]) -> None:
        """Count a call, and remember that there is a stored answer if it shows that."""
        self.overtime = max(self.overtime, ended - began - call["timeout"])
        if "error" in call:
            self.counts["raised"] += 1
            return
        said = call["said"]
        fresh = "ttl=" in said and "ttl=-" not in said
        if "; hit" in said:
            self.counts["hits" if fresh else "stale hits"] += 1
        elif call["cached"]:
            self.counts["stale for a failure" if not fresh else "collapsed or revalidated"] += 1
        else:
            self.counts["fetched" if call["status"] in (200, 404) else "failures passed on"] += 1
        if call["expires"] is not None and (("detail=mongodb" in said and "; hit" in said) or "; stored" in said):
            self._stored[self.place(call)].append((ended, call["expires"], call["store_errors"]))


def soak(folder: Any, seconds: float, *, workers: int, threads: int, seconds_of_round: float) -> Model:
    """Run a soak; return the model, which has looked at all calls."""
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(10**6))
    print(f"\nSOAK_SEED={seed}")
    (folder / "bodies").mkdir(parents=True)
    with EmbeddedServer(folder / "mongod") as server, StandIn() as tmdb, StandIn() as twin:
        common = {"folder": str(folder), "url": tmdb.url, "threads": threads, "round": seconds_of_round}
        common |= {"forks": 0.5, "short": seconds < 60}
        cache = {"uri": server.uri, "database": "soak", "hosts": [tmdb.host], "memory_ttl": 1}
        cache["not_found_expire_after"] = soakkit.NOT_FOUND_EXPIRE
        all_settings = [
            {**common, "number": number, "seed": seed + number, "cache": {**cache, **KINDS[number % len(KINDS)]}}
            for number in range(workers)
        ]
        running = Workers(all_settings)
        try:
            injector = Injector(seed, tmdb, twin, server, running)
            injector.run(seconds)
            codes = running.stop()
        finally:
            running.kill()
    (folder / "timeline.json").write_text(json.dumps({"tmdb": injector.line.tmdb, "mongo": injector.line.mongo}))
    return judged(folder, injector.line, running, codes)


def judged(folder: Any, line: Timeline, running: Workers, codes: list[int]) -> Model:
    """Read what the workers wrote, and judge it."""
    calls, stalls, rounds, others = [], [], defaultdict(list), []
    for file in sorted(folder.glob("*.calls")):
        for text in file.read_text().splitlines(keepends=True):
            if not text.endswith("\n"):
                continue  # it was killed in the middle
            kind, *what = json.loads(text)
            if kind == "call":
                calls.append(tuple(what))
            elif kind == "stall":
                stalls.append(tuple(what))
            elif kind == "round":
                rounds[file.name].append(what)
            elif kind == "fault" or what[1:] != [0]:
                others.append(f"{file.name}: {kind} {what}")
    model = Model(line, calls, stalls, folder)
    model.check()
    model.violations += others
    model.violations += [f"worker {number} ended with {code}" for number, code in enumerate(codes) if code]
    for file in folder.glob("*.stderr"):
        if "Traceback" in (text := file.read_text()):
            model.violations.append(f"{file.name}: {text[:3000]}")
    model.rounds = next((found for name, found in rounds.items() if name.startswith("0-") and len(found) > 1), [])
    model.totals = Counter()
    for found in rounds.values():
        for _, stats, *_ in found:
            model.totals.update(stats)
    model.injected = Counter(name for name, *_ in line.tmdb) + Counter(f"mongo {name}" for name, *_ in line.mongo)
    model.injected["changes"] = sum(map(len, line.changes.values()))
    print(f"{len(calls)} calls: {dict(model.counts)}\nof rounds that ended: {dict(model.totals)}")
    print(f"upstream {line.upstream}; injected {sum(model.injected.values())}: {dict(model.injected)}")
    print(f"longest beyond its timeout {model.overtime:.2f} s; held up {sum(late for _, late in model.stalls):.1f} s")
    for _, _, opened, closed, left in model.rounds:
        print(f"round of worker 0: open {opened}, closed {closed}, left {left}")
    print(f"{len(model.violations)} violations", *model.violations[:20], sep="\n")
    return model


@pytest.mark.soak
def test_short(tmp_path):
    """For some seconds, with faults at random on both sides, every answer is one that the rules allow."""
    model = soak(tmp_path / "soak", 4, workers=2, threads=3, seconds_of_round=2)
    assert model.violations == []
    assert len(model.calls) > 50
    assert model.counts["hits"] > 0
    assert model.counts["fetched"] > 0
    assert sum(model.injected.values()) > 5


@pytest.mark.soak
def test_late_for_a_lease(tmdb, make_cache, collection):
    """Who waits for a call that itself waited for a dead process's lease is not failed while TMDB answers in time."""
    cache = make_cache()
    with enabled(cache):
        get(tmdb)
    expire(collection, since=10**6)  # longer than it may stand in for anything
    held = [{"$set": {"owner": "dead", "until": {"$add": ["$$NOW", 5000]}, "open_until": None}}]
    collection.database["tmdb_cache_leases"].update_one({"_id": KEY}, held, upsert=True)
    tmdb.latency = 0.8

    def call(wait):
        time.sleep(wait)
        with enabled(cache):
            return get(tmdb, timeout=1).status_code

    with ThreadPoolExecutor(2) as pool:
        # The first asks TMDB after a second; the other's patience ends before that answer comes.
        assert list(pool.map(call, [0, 0.4])) == [200, 200]


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_long(tmp_path):
    """For minutes no answer is served that the rules forbid, and memory, threads and sockets stay what they were."""
    seconds = float(os.environ.get("SOAK_SECONDS") or 240)
    model = soak(tmp_path / "soak", seconds, workers=3, threads=6, seconds_of_round=min(15.0, seconds / 8))
    assert model.violations == []
    assert min(model.counts[name] for name in ("hits", "stale hits", "stale for a failure", "fetched")) > 0
    closed = [found for _, _, _, found, left in model.rounds[1:] if left == []]
    third = len(closed) // 3
    assert third > 0
    warm, last = closed[:third], closed[-third:]
    for what, more in (("threads", 0), ("fds", 0), ("sockets", 0), ("rss", 12 * 2**20)):
        before, after = (median(measured[what] for measured in some) for some in (warm, last))
        print(f"{what} of worker 0: {before} after warming up, {after} at the end")
        assert after <= before + more
