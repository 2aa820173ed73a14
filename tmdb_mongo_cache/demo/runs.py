"""Running the script as a user would, and measuring it from the outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import as_file, files
from pathlib import Path
from time import perf_counter

from ..activation.run import ROOT, is_archive
from ..cache import TMDBCache
from ..config import CacheConfig
from ..environment import PREFIX
from ..errors import CacheError
from ..tmdb.redaction import redact

SCRIPT = files(__package__) / "legacy_script.py"
DATABASE = "tmdb_cache_demo"
LATENCY = 0.08
"""Seconds that the stand-in delays each response, as a server on another continent would."""


@dataclass(frozen=True)
class Run:
    """One run: its output, the number of calls that reached TMDB, and the seconds from the first line to the last."""

    lines: list[str]
    made: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """Both runs. All calls of the script are different, so the first run makes all of them."""

    first: Run
    second: Run
    real: bool

    @property
    def calls(self) -> int:
        """How many calls the script makes."""
        return self.first.made

    def saved(self, run: Run) -> int:
        """How many of its calls did not reach TMDB."""
        return self.calls - run.made

    def milliseconds(self, run: Run) -> float:
        """Milliseconds per call."""
        return 1000 * run.seconds / max(self.calls, 1)


class DemoFailed(CacheError):
    """Raised when the script fails; the text has its last line of output."""


def run_twice(uri: str) -> Result:
    """Run the script twice, each time in a new process, on an empty collection.

    Args:
        uri: the MongoDB URI, or ``"embedded"``.

    Raises:
        StoreError: MongoDB is not available.
        DemoFailed: the script failed.
    """
    real = bool(os.environ.get("TMDB_API_KEY"))
    # A collection of its own, as two demos may run at the same time.
    config = CacheConfig(uri=uri, database=DATABASE, collection=f"run_{os.getpid()}")
    with TMDBCache(config) as cache, _upstream(cache, real=real) as (env, count), _empty_collection(cache):
        env = {**env, f"{PREFIX}URI": uri, f"{PREFIX}DATABASE": DATABASE, f"{PREFIX}COLLECTION": config.collection}
        if is_archive():
            env["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, env.get("PYTHONPATH")]))
        with as_file(SCRIPT) as script:
            return Result(_run(script, env, count), _run(script, env, count), real)


@contextmanager
def _empty_collection(cache: TMDBCache) -> Iterator[None]:
    """Drop the collection before and after the runs."""

    def drop() -> None:
        with cache.engine.store.connection.operation(bounded=False) as collection:
            collection.drop()

    drop()
    try:
        yield
    finally:
        drop()


@contextmanager
def _upstream(cache: TMDBCache, *, real: bool) -> Iterator[tuple[dict[str, str], Callable[[datetime], int]]]:
    """Yield the environment in which the script reaches TMDB, and a function that counts the calls since a time."""
    own = {f"{PREFIX}{name}" for name in ("MONGOD", "URI")}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) or name in own}
    clean["PYTHONIOENCODING"] = "utf-8"
    if real:
        yield clean, lambda since: sum(entry.timestamp >= since for entry in cache.entries())
        return
    try:
        import trustme  # noqa: F401  the stand-in's certificate
    except ImportError:
        raise DemoFailed("the demo needs its extra: pip install 'tmdb-mongo-cache[embedded]'") from None
    from ..standin import StandIn

    with StandIn(tls=True) as standin:
        standin.latency = LATENCY
        seen = 0

        def count(_: datetime) -> int:
            nonlocal seen
            before, seen = seen, standin.count
            return seen - before

        yield {**clean, **standin.env}, count


def _run(script: Path, env: Mapping[str, str], count: Callable[[datetime], int]) -> Run:
    now = datetime.now(timezone.utc)
    since = now.replace(microsecond=now.microsecond // 1000 * 1000)
    command = [sys.executable, "-m", "tmdb_mongo_cache", "run", str(script)]
    lines: list[str] = []
    times: list[float] = []
    with subprocess.Popen(  # noqa: S603  our own script
        command, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise DemoFailed("the script's output cannot be read")
        for line in process.stdout:
            times.append(perf_counter())
            lines.append(line.rstrip())
        errors = process.stderr.read()
    if process.returncode or len(times) < 2:
        last = redact((errors.strip().splitlines() or ["nothing"])[-1])  # requests' errors contain the URL
        hint = ""
        if env.get("TMDB_API_KEY") and "HTTPS_PROXY" not in env:
            hint = " (with TMDB_API_KEY set the demo calls TMDB itself; without it, a stand-in)"
        raise DemoFailed(f"the script ended with exit code {process.returncode}{hint}; its last output: {last}")
    return Run(lines, count(since), times[-1] - times[0])
