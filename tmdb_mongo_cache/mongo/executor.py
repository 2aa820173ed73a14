"""Runs operations on the synchronous client, under the deadline; see :mod:`.mongo.command`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, ConfigurationError, OperationFailure
from pymongo.write_concern import WriteConcern

from .command import Command, Commands, is_retryable
from .document import CODEC, CODEC_OF_HITS

Result = TypeVar("Result")

_WITHOUT_DATA = {"data": 0}


def execute(
    commands: Commands[Result], entries: Collection[dict[str, Any]], is_back: Callable[[], bool] = lambda: False
) -> Result:
    """Run an operation.

    Args:
        commands: the operation.
        entries: the collection.
        is_back: says, after a connection broke, whether a server can be reached again.
    """
    try:
        command = next(commands)
        while True:
            try:
                reply = _run(command, entries, is_back)
            except Exception as error:  # noqa: BLE001  the operation decides what becomes of it
                command = commands.throw(error)
            else:
                command = commands.send(reply)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def beside(entries: Collection[dict[str, Any]], suffix: str) -> Collection[dict[str, Any]]:
    """Return the collection beside that of the entries whose name ends so; see :class:`.mongo.command.Command`."""
    concern = entries.write_concern
    return entries.database.get_collection(f"{entries.name}{suffix}", codec_options=CODEC, write_concern=concern)


def _run(command: Command, entries: Collection[dict[str, Any]], is_back: Callable[[], bool]) -> Any:
    if not command.acknowledged:
        # Database.command would wait for the reply all the same.
        (statement,) = command.fields["updates"]
        found = entries.database.get_collection(entries.name + command.beside, write_concern=WriteConcern(0))
        return found.update_one(statement["q"], statement["u"])
    retry_writes, repeated = entries.database.client.options.retry_writes, False
    while True:
        try:
            reply = entries.database.command(**command.arguments(entries))
            if "writeErrors" in reply or "writeConcernError" in reply:
                command.check(reply)
        except (AutoReconnect, OperationFailure) as error:
            # Unlike pymongo's methods for collections a command is not repeated by pymongo itself.
            if repeated or not is_retryable(error) or not command.may_be_repeated(retry_writes, is_back):
                raise
            repeated = True
        else:
            return reply


class Finder:
    """``find_one`` by a key in one collection, written out because every hit passes it.

    The command itself, with sessions that are used again: a cursor and a new
    session each time take a sixth longer.
    """

    def __init__(self, collection: Collection[dict[str, Any]]) -> None:
        self._collection = collection
        self._run: Any = collection.database.command
        fields = {"filter": {}, "projection": _WITHOUT_DATA, "limit": 1, "singleBatch": True}
        self._options = Command("find", fields, codec=CODEC_OF_HITS).arguments(collection)
        self._command = self._options.pop("command")
        self._idle: deque[ClientSession] = deque()
        self._has_sessions = True

    def __call__(self, key: str, is_back: Callable[[], bool]) -> Any:
        """Return the document with a key, without ``data``; None where there is none."""
        session = self._session()
        try:
            reply = self._run({**self._command, "filter": {"_id": key}}, session=session, **self._options)
        except (AutoReconnect, OperationFailure) as error:
            # Unlike find_one a command is not repeated when a connection breaks or a server steps down.
            if not is_retryable(error) or not is_back():
                raise
            return self._collection.find_one({"_id": key}, _WITHOUT_DATA)
        else:
            if session is not None:
                self._idle.append(session)
                session = None  # nothing is to be ended
        finally:
            if session is not None:
                session.end_session()
        batch = reply["cursor"]["firstBatch"]
        return batch[0] if batch else None

    def _session(self) -> ClientSession | None:
        """Return a session that is not in use; None where the server has none."""
        try:
            return self._idle.pop()
        except IndexError:
            if not self._has_sessions:
                return None
        try:
            return self._collection.database.client.start_session(causal_consistency=False)
        except ConfigurationError:
            self._has_sessions = False
            return None
