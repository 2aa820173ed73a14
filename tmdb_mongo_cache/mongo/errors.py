"""The one place where pymongo's errors are translated."""

from __future__ import annotations

import logging

from pymongo.errors import ConnectionFailure, ExecutionTimeout, InvalidOperation, OperationFailure, PyMongoError

from ..environment import PREFIX
from ..errors import CLOSED, EmbeddedServerError, StoreError, StoreUnavailable
from .background_open import BackgroundOpen
from .deadline import Deadline
from .embedded.peer_credentials import last_refusal
from .embedded.server import shared_server

logger = logging.getLogger("tmdb_mongo_cache")

EMBEDDED = "the embedded server"

_AUTHENTICATION_FAILED = (18, 8000, 13)


def translation(error: PyMongoError, where: str) -> StoreError:
    """Translate an error of pymongo's into one of this package's.

    Args:
        error: pymongo's.
        where: the database, without a password.

    Returns:
        a :class:`StoreUnavailable` where it cannot be reached or does not answer
        in time; else a :class:`StoreError`.
    """
    if isinstance(error, InvalidOperation):
        return StoreError(CLOSED)
    if error.timeout or isinstance(error, ConnectionFailure | ExecutionTimeout):
        return _unavailable(where)
    if isinstance(error, OperationFailure):
        if error.code in _AUTHENTICATION_FAILED:
            return StoreError(f"MongoDB at {where} refused: check the user, the password and the rights")
        return StoreError(f"MongoDB at {where} failed an operation (code {error.code})")
    return StoreError(f"MongoDB at {where} failed an operation: {type(error).__name__}")


def _unavailable(where: str) -> StoreUnavailable:
    if where == EMBEDDED:
        why = last_refusal()
        if why:
            return StoreUnavailable(why)
        return StoreUnavailable("the embedded MongoDB does not answer; it is started again when it is gone")
    return StoreUnavailable(f"MongoDB at {where} does not answer: start it, or set {PREFIX}URI to one that runs")


def failed(error: PyMongoError, where: str, deadline: Deadline) -> StoreError:
    """Return this package's error for one of pymongo's; the embedded server is started again if it is gone."""
    found = translation(error, where)
    if where == EMBEDDED and isinstance(found, StoreUnavailable):
        revive_embedded(deadline)
    return found


_reviving: BackgroundOpen[str] | None = None
_logged: str | None = None  # why that failed: once in the log, not at each attempt


def revive_embedded(deadline: Deadline) -> None:
    """Start the embedded server again, in the background, if it is gone; clients find it at its old address."""
    global _reviving
    if (_reviving is not None and _reviving.is_under_way) or shared_server().pid is not None:
        return

    def start() -> str:
        global _logged
        try:
            uri = shared_server().start()
        except EmbeddedServerError as error:
            if _logged != str(error):
                _logged = str(error)
                logger.warning("the embedded MongoDB is not started again: %s", error)
            raise
        _logged = None
        deadline.forget()
        return uri

    _reviving = BackgroundOpen(start)
