"""MongoDB commands as values: an operation is a generator that yields them, whichever client runs them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from bson.codec_options import CodecOptions
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteConcernError, WriteError, WTimeoutError

from .document import CODEC

Given = ParamSpec("Given")
Result = TypeVar("Result")

_READS = frozenset({"aggregate", "find"})
_WRITES = frozenset({"delete", "insert", "update"})
_WITH_CONCERN = _WRITES | {"createIndexes", "findAndModify"}
_WRITE_CONCERN_FAILED = 64

# The retryable errors of MongoDB's specification: the server steps down, shuts down or is in between.
_RETRYABLE = frozenset({6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})


class Command(NamedTuple):
    """A command on the collection of entries, or on one beside it.

    Attributes:
        name: MongoDB's name of it.
        fields: its document, without the collection and the client's concerns.
        beside: what the name of the collection ends in (``"_leases"``); empty for the entries themselves.
        codec: decodes the reply.
        acknowledged: False to send it with ``w: 0`` and wait for no reply; for a single update.
    """

    name: str
    fields: Mapping[str, Any]
    beside: str = ""
    codec: CodecOptions[Any] = CODEC
    acknowledged: bool = True

    def arguments(self, entries: Any) -> dict[str, Any]:
        """Return the arguments of ``Database.command`` for a collection of either of pymongo's APIs."""
        document = {self.name: f"{entries.name}{self.beside}", **self.fields}
        arguments = {"command": document, "codec_options": self.codec}
        if self.name in _READS:
            arguments["read_preference"] = entries.read_preference
            if entries.read_concern.level is not None:
                document["readConcern"] = entries.read_concern.document
        elif self.name in _WITH_CONCERN:
            # What is only counted, or noted of the change feed, has the client's own concern.
            concern = (entries if self.beside in ("", "_leases") else entries.database).write_concern
            if not concern.is_server_default:
                document["writeConcern"] = concern.document
        return arguments

    def check(self, reply: Mapping[str, Any]) -> None:
        """Raise the error that a command reports beside ``ok: 1``."""
        for found in reply.get("writeErrors", ())[-1:]:
            kind = DuplicateKeyError if found["code"] == DUPLICATE_KEY else WriteError
            raise kind(found.get("errmsg", ""), found["code"], found)
        failure = reply.get("writeConcernError")
        if failure and self.name != "findAndModify":  # a lease that one member has is good enough
            timed_out = failure.get("code") == _WRITE_CONCERN_FAILED and failure.get("errInfo", {}).get("wtimeout")
            raise (WTimeoutError if timed_out else WriteConcernError)(
                failure.get("errmsg", ""), failure.get("code"), failure
            )

    def may_be_repeated(self, retry_writes: bool, is_back: Callable[[], bool]) -> bool:
        """Return whether it may be sent once more after a retryable error: a read, or an idempotent write."""
        if self.name in _WRITES:
            return retry_writes and self.beside != "_stats"  # $inc is not idempotent
        return self.name in _READS and is_back()


DUPLICATE_KEY = 11000

Commands = Generator[Command, Any, Result]
"""An operation: it is sent the reply to each command, or the error is thrown into it, and it returns its result."""


def is_retryable(error: Exception) -> bool:
    """Return whether a connection broke, or a server stepped down, within the time of the operation."""
    return not getattr(error, "timeout", False) and (
        not isinstance(error, OperationFailure) or error.code in _RETRYABLE
    )


def update(
    query: Mapping[str, Any],
    changes: Any,
    *,
    many: bool = False,
    upsert: bool = False,
    beside: str = "",
    acknowledged: bool = True,
) -> Command:
    """Return a command that updates or replaces what matches; its reply has ``n`` and ``nModified``."""
    statement = {"q": query, "u": changes, "multi": many, "upsert": upsert}
    return Command("update", {"updates": [statement]}, beside, acknowledged=acknowledged)


def delete(query: Mapping[str, Any], *, beside: str = "") -> Command:
    """Return a command that deletes everything that matches; its reply has ``n``."""
    return Command("delete", {"deletes": [{"q": query, "limit": 0}]}, beside)


def find_one(query: Mapping[str, Any], *, beside: str = "") -> Commands[dict[str, Any] | None]:
    """Find a document."""
    reply = yield Command("find", {"filter": query, "limit": 1, "singleBatch": True}, beside)
    found: Sequence[dict[str, Any]] = reply["cursor"]["firstBatch"]
    return found[0] if found else None


Method = Callable[Concatenate[Any, Given], Result]


def runs(**how: bool) -> Callable[[Method[Given, Commands[Result]]], Method[Given, Result]]:
    """Make a method of a generator of commands, which the object runs by its ``_run``.

    Args:
        how: as for :meth:`.mongo.connection.Connection.run`.
    """

    def decorate(make: Method[Given, Commands[Result]]) -> Method[Given, Result]:
        @wraps(make)
        def run(self: Any, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
            return self._run(make(self, *args, **kwargs), **how)  # type: ignore[no-any-return]

        return run

    return decorate
