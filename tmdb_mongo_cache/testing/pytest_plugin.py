"""The pytest plugin: an isolated cache for a test, empty or filled from a recording.

pytest imports this module at every start, so the fixtures import what they need
when they are used.
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
    from ..cache import TMDBCache
    from .databases import Scratch

_FOLDER = "tmdb-mongo-cache"
_NAME = "tmdb_cache_recording"
_URI = "tmdb_cache_uri"
_OPTION = "--tmdb-cache-record"
_RECORD = f"pytest {_OPTION}"

_recorded: WeakKeyDictionary[pytest.Config, dict[Path, int]] = WeakKeyDictionary()
"""The number of responses recorded in each file; a ``pytest.Stash`` needs pytest 7."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the two ini options."""
    group = parser.getgroup("tmdb-mongo-cache", "TMDB responses, by tmdb-mongo-cache")
    group.addoption(
        _OPTION,
        action="store_true",
        dest="tmdb_cache_record",
        help="let tests with the fixture tmdb_cache_recording call TMDB for what their recording lacks, and record it",
    )
    parser.addini(_URI, "MongoDB URI for the fixture tmdb_cache; default: an embedded server for the test run")
    parser.addini(_NAME, "recording for tests without the marker, relative to the rootdir")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{_NAME}(file): the recording for the fixture {_NAME}, relative to the folder of the test file",
    )
    option = config.option
    if option.tmdb_cache_record and (getattr(option, "numprocesses", None) or getattr(option, "tx", None)):
        raise pytest.UsageError(f"{_OPTION} writes files that tests share: run it in one process (-n 0)")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the files of the embedded server, when all workers have ended."""
    base = getattr(getattr(config, "_tmp_path_factory", None), "_basetemp", None)
    if base is not None and not hasattr(config, "workerinput"):
        shutil.rmtree(base / _FOLDER, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Report what was recorded."""
    for path, count in _recorded.get(config, {}).items():
        responses = "1 response" if count == 1 else f"{count} responses"
        terminalreporter.write_line(f"tmdb-mongo-cache: {responses} recorded in {_shown(path, config)}")


@pytest.fixture(scope="session")
def _tmdb_cache_scratch(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    """One MongoDB server for all tests and workers of a run."""
    if not hasattr(pytest, "version_tuple"):
        pytest.fail(f"tmdb_cache needs pytest 7; this is {pytest.__version__}", pytrace=False)
    from ..errors import CacheError
    from .databases import scratch

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if hasattr(pytestconfig, "workerinput") else base) / _FOLDER
    why = ""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(scratch(pytestconfig.getini(_URI) or None, folder))
        except CacheError as error:
            # The environment variable is ignored here, so that a test never uses your own cache.
            why = str(error).replace("TMDB_CACHE_URI", f"the ini option {_URI}")
        if why:  # outside of the except block, because pytest would print that error as well
            pytest.fail(
                f"tmdb_cache needs a MongoDB: {why}. Either install 'tmdb-mongo-cache[embedded]', or set the ini "
                f"option {_URI}",
                pytrace=False,
            )
        yield found


@pytest.fixture
def tmdb_cache(_tmdb_cache_scratch: Scratch) -> Iterator[TMDBCache]:
    """Provide an empty TMDBCache, installed for the whole process while the test runs.

    Its settings are read from the environment, except for the MongoDB and the two
    switches. Other caches of the tested code use the same database, regardless of
    their settings.
    """
    with _scratch_cache(_tmdb_cache_scratch, offline=False) as cache:
        yield cache


@pytest.fixture
def tmdb_cache_recording(request: pytest.FixtureRequest, _tmdb_cache_scratch: Scratch) -> Iterator[TMDBCache]:
    """Provide the same, filled from a file of ``tmdb-mongo-cache export``; TMDB is never called.

    The file is set by the marker ``tmdb_cache_recording("films.jsonl")``, or by the
    ini option of that name. ``pytest --tmdb-cache-record`` records what is missing.
    """
    from ..errors import CacheError
    from .recording import Recording

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
            pytest.fail(f'the marker {_NAME} takes one argument, a file name: {_NAME}("films.jsonl")', pytrace=False)
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
    """Install a cache with a scratch database, and restore the previous state."""
    from ..activation.install import install, uninstall
    from ..cache import TMDBCache
    from ..context import installed_cache
    from ..environment import PREFIX
    from ..metrics.flush import flushed_at_end

    with ExitStack() as stack:
        database = stack.enter_context(scratch.database(offline=offline, offline_hint=hint))
        # Later the counts would go to the cache's actual database.
        stack.enter_context(flushed_at_end())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        # In the environment, for processes that the tested code starts.
        patch.setenv(f"{PREFIX}URI", scratch.uri)
        patch.setenv(f"{PREFIX}DATABASE", database)
        for name in ("COLLECTION", "DISABLED", "OFFLINE"):
            patch.delenv(PREFIX + name, raising=False)
        if offline:
            from .offline import offline_sessions

            patch.setenv(f"{PREFIX}OFFLINE", "1")
            stack.enter_context(offline_sessions())
        # A busy machine must not make a test fail, and counts of tests are of no interest.
        for name, value in (("STORE_TIMEOUT", "10"), ("STATISTICS", "0")):
            if not os.environ.get(PREFIX + name):
                patch.setenv(PREFIX + name, value)
        before = installed_cache()
        with TMDBCache() as cache:
            install(cache)
            try:
                yield cache
            finally:
                if before is None or before.closed:
                    uninstall()
                else:
                    install(before)
