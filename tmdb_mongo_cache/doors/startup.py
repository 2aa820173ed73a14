"""What happens at the start of a Python under ``run``: next to nothing, until ``requests`` is imported.

Apart from :mod:`.runner`, so that a program without requests does not import it here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import wrapt

_PATH = sys.path[:]


def install_with_requests() -> None:
    """Install the cache when ``requests`` is imported, and not before."""
    wrapt.register_post_import_hook(_install, "requests")


@contextmanager
def _path_of_the_start() -> Iterator[None]:
    # The program's own folder stands first on the path by now: a "dataclasses.py" in it
    # is the program's, and must not be run because we import Python's.
    now = sys.path[:]
    sys.path[:] = _PATH
    try:
        yield
    finally:
        sys.path[:] = now


def _install(module: Any) -> None:
    if not hasattr(module, "Session") or not hasattr(module, "__version__"):
        return  # the program's own module of this name
    try:
        with _path_of_the_start():
            from . import patch
        patch.install()
    except Exception as error:  # noqa: BLE001  it would be raised by the program's own "import requests"
        # A setting that a child has changed, or a module of the program's that stands before one of Python's.
        text = str(error) or type(error).__name__
        logging.getLogger("tmdb_mongo_cache").warning("TMDB calls are not cached: %s", text)
