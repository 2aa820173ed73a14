"""The options of a client whose connections to the embedded server are checked."""

from __future__ import annotations

from typing import Any

import pymongo

from ...errors import EmbeddedServerError


def pool_options() -> dict[str, Any]:
    """Return the options by which each connection of a client is checked to be to this user's server.

    Raises:
        EmbeddedServerError: this version of pymongo does not let connections be checked.
    """
    try:
        from .connection_pool import OwnPool  # only for the embedded server
    except Exception as error:
        raise EmbeddedServerError(
            f"pymongo {pymongo.version} does not let its connections to the embedded MongoDB be checked: "
            "install an older pymongo or a newer tmdb-mongo-cache, or set TMDB_CACHE_URI to another MongoDB"
        ) from error
    return {"_pool_class": OwnPool}
