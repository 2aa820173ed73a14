"""What happens at the start of a Python under ``run``: next to nothing, until ``requests`` is imported.

Apart from :mod:`.runner`, so that a program without requests does not import it here.
"""

from __future__ import annotations

# The program's own folder is not on the path yet. What this package needs of Python's own
# modules, and requests does not, is imported while it is not: a "dataclasses.py" of the
# program's must not be run because we want Python's.
import concurrent.futures.thread  # noqa: F401
import dataclasses  # noqa: F401
import gzip  # noqa: F401
import logging
from typing import Any

import wrapt


def install_with_requests() -> None:
    """Install the cache when ``requests`` is imported, and not before."""
    wrapt.register_post_import_hook(_install, "requests")


def _install(module: Any) -> None:
    if not hasattr(module, "Session") or not hasattr(module, "__version__"):
        return  # the program's own module of this name
    try:
        from . import patch

        patch.install()
    except Exception as error:  # noqa: BLE001  it would be raised by the program's own "import requests"
        # A setting that a child has changed, or a module of the program's that stands before one of Python's.
        text = str(error) or type(error).__name__
        logging.getLogger("tmdb_mongo_cache").warning("TMDB calls are not cached: %s", text)
