"""What happens at the start of a Python under ``run``: next to nothing, until ``requests`` is imported.

Apart from :mod:`.runner`, so that a program without requests does not import it here.
"""

from __future__ import annotations

import logging
from typing import Any

import wrapt


def install_with_requests() -> None:
    """Install the cache when ``requests`` is imported, and not before."""
    wrapt.register_post_import_hook(_install, "requests")


def _install(_: Any) -> None:
    from ..errors import CacheError
    from . import patch

    try:
        patch.install()
    except CacheError as error:
        # The settings were checked before the program began; a child may have changed them.
        logging.getLogger("tmdb_mongo_cache").warning("not cached: %s", error)
