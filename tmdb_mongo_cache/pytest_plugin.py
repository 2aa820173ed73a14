"""The pytest plugin: a cache of its own for a test, empty or filled from a recording.

pytest imports this at every start, so what the fixtures need is imported when
one of them is used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import pytest

if TYPE_CHECKING:
    from .cache import TMDBCache
    from .store.scratch import Scratch

_FOLDER = "tmdb-mongo-cache"
_NAME = "tmdb_cache_recording"
_URI = "tmdb_cache_uri"
_OPTION = "--tmdb-cache-record"
_RECORD = f"pytest {_OPTION}"

_recorded: WeakKeyDictionary[pytest.Config, dict[Path, int]] = WeakKeyDictionary()
"""How many answers were recorded in which file; pytest has a place for such things only from version 7 on."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the two settings."""
    group = parser.getgroup("tmdb-mongo-cache", "TMDB's answers, by tmdb-mongo-cache")
    group.addoption(
        _OPTION,
        action="store_true",
        dest="tmdb_cache_record",
        help="let tests with the fixture tmdb_cache_recording call TMDB for what their recording lacks, and record it",
    )
    parser.addini(_URI, "MongoDB for the fixture tmdb_cache; default: an embedded one for the test run")
    parser.addini(_NAME, "recording for the tests that name none, relative to the rootdir")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{_NAME}(file): the recording for the fixture {_NAME}, relative to the folder of the test's file",
    )
    option = config.option
    if option.tmdb_cache_record and (getattr(option, "numprocesses", None) or getattr(option, "tx", None)):
        raise pytest.UsageError(f"{_OPTION} writes files that tests share: run it in one process (-n 0)")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the embedded server has left, when all workers are gone."""
    base = getattr(getattr(config, "_tmp_path_factory", None), "_basetemp", None)
    if base is not None and not hasattr(config, "workerinput"):
        shutil.rmtree(base / _FOLDER, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was recorded."""
    for path, count in _recorded.get(config, {}).items():
        answers = "1 answer" if count == 1 else f"{count} answers"
        terminalreporter.write_line(f"tmdb-mongo-cache: {answers} recorded in {_shown(path, config)}")


@pytest.fixture(scope="session")
def _tmdb_cache_scratch(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    """One MongoDB for all tests and workers of a run."""
    if not hasattr(pytest, "version_tuple"):
        pytest.fail(f"tmdb_cache needs pytest 7; this is {pytest.__version__}", pytrace=False)
    from .errors import CacheError
    from .store.scratch import scratch

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if hasattr(pytestconfig, "workerinput") else base) / _FOLDER
    opening = scratch(pytestconfig.getini(_URI) or None, folder)
    why = ""
    try:
        found = opening.__enter__()
    except CacheError as error:
        # The variable does not count here: a test never goes where your own cache is.
        why = str(error).replace("TMDB_CACHE_URI", f"the ini option {_URI}")
    if why:  # not where the error is caught: pytest would show that one as well
        pytest.fail(
            f"tmdb_cache needs a MongoDB: {why}. Either install 'tmdb-mongo-cache[embedded]', or name one by the ini "
            f"option {_URI}",
            pytrace=False,
        )
    try:
        yield found
    finally:
        opening.__exit__(None, None, None)


@pytest.fixture
def tmdb_cache(_tmdb_cache_scratch: Scratch) -> Iterator[TMDBCache]:
    """Give the test an empty TMDBCache of its own, which is installed for the whole process while the test runs.

    The settings in the environment hold, but for where MongoDB is and the two
    switches. Caches that the tested code has or makes use the same database,
    whatever their settings name.
    """
    with _scratch_cache(_tmdb_cache_scratch, offline=False) as cache:
        yield cache


@pytest.fixture
def tmdb_cache_recording(request: pytest.FixtureRequest, _tmdb_cache_scratch: Scratch) -> Iterator[TMDBCache]:
    """Give the same, filled from a file of ``tmdb-mongo-cache export``; TMDB is never called.

    The marker ``tmdb_cache_recording("films.jsonl")`` names the file, or the ini
    option of that name. ``pytest --tmdb-cache-record`` records what is missing.
    """
    from .errors import CacheError
    from .tools.recordings import Recording

    config, path = request.config, _path(request)
    records: bool = config.option.tmdb_cache_record
    hint = "" if records else f": it is not in {_shown(path, config)}; record it with {_RECORD}"
    with _scratch_cache(_tmdb_cache_scratch, offline=not records, hint=hint) as cache:
        recording = Recording(path, cache, _RECORD)
        try:
            recording.begin() if records else recording.play()
        except CacheError as error:
            pytest.fail(str(error), pytrace=False)
        yield cache
        if records:
            try:
                new = recording.save()
            except CacheError as error:
                pytest.fail(str(error), pytrace=False)
            counts = _recorded.setdefault(config, {})
            counts[path] = counts.get(path, 0) + new


def _path(request: pytest.FixtureRequest) -> Path:
    marker = request.node.get_closest_marker(_NAME)
    if marker is not None:
        if len(marker.args) != 1 or marker.kwargs:
            pytest.fail(f'the marker {_NAME} takes the name of a file: {_NAME}("films.jsonl")', pytrace=False)
        return Path(request.path.parent, marker.args[0])
    named = request.config.getini(_NAME)
    if not named:
        pytest.fail(
            f'{_NAME} needs a file: mark the test with @pytest.mark.{_NAME}("films.jsonl"), or set the ini option '
            f"{_NAME}",
            pytrace=False,
        )
    return Path(request.config.rootpath, named)


def _shown(path: Path, config: pytest.Config) -> str:
    try:
        return str(path.relative_to(config.invocation_params.dir))
    except ValueError:
        return str(path)


@contextmanager
def _scratch_cache(scratch: Scratch, *, offline: bool, hint: str = "") -> Iterator[TMDBCache]:
    """Install a cache with a database of its own, and restore what was before."""
    import tmdb_mongo_cache

    from .environment import PREFIX
    from .scope import installed_cache
    from .tools.severing import severed

    with ExitStack() as stack:
        database = stack.enter_context(scratch.database())
        stack.enter_context(_counts_added())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        # In the environment: for processes that the tested code starts.
        patch.setenv(f"{PREFIX}URI", scratch.uri)
        patch.setenv(f"{PREFIX}DATABASE", database)
        for name in ("COLLECTION", "DISABLED", "OFFLINE"):
            patch.delenv(PREFIX + name, raising=False)
        if offline:
            patch.setenv(f"{PREFIX}OFFLINE", "1")
            stack.enter_context(severed(hint))  # caches whose settings are not the environment's
        # A busy machine is no reason for a test to fail; and nobody wants to know how often a test has called.
        for name, value in (("STORE_TIMEOUT", "10"), ("STATISTICS", "0")):
            if not os.environ.get(PREFIX + name):
                patch.setenv(PREFIX + name, value)
        patch.setattr(tmdb_mongo_cache.TMDBCache, "offline_hint", hint)
        before = installed_cache()
        with tmdb_mongo_cache.TMDBCache() as cache:
            tmdb_mongo_cache.install(cache)
            try:
                yield cache
            finally:
                if before is None or before.closed:
                    tmdb_mongo_cache.uninstall()
                else:
                    tmdb_mongo_cache.install(before)


@contextmanager
def _counts_added() -> Iterator[None]:
    """Have what is counted within added before the end: later it would go where a cache belongs otherwise."""
    from .summing import Summing

    found: dict[int, Summing] = {}  # kept: what is collected has its counts added by a thread that nobody waits for
    wake = Summing.wake

    def noted(summing: Summing) -> None:
        found[id(summing)] = summing
        wake(summing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Summing, "wake", noted)
        try:
            yield
        finally:
            for summing in list(found.values()):
                summing.add()
