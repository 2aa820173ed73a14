"""The store's operations, driven by hand: commands out, replies or errors in; and how an executor runs them."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import (
    AutoReconnect,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern

from tmdb_mongo_cache.core.lease import Lease
from tmdb_mongo_cache.core.memory import Memory
from tmdb_mongo_cache.errors import StoreUnavailable
from tmdb_mongo_cache.mongo import operations
from tmdb_mongo_cache.mongo.command import Command, delete, find_one, update
from tmdb_mongo_cache.mongo.document import to_bson
from tmdb_mongo_cache.mongo.executor import Finder, execute
from tmdb_mongo_cache.mongo.indexes import INDEXES, Indexes
from tmdb_mongo_cache.mongo.invalidation import Invalidation
from tmdb_mongo_cache.mongo.leases import Leases
from tmdb_mongo_cache.mongo.operations import Operations
from tmdb_mongo_cache.tmdb.invalidation import touched_by

from ..entrykit import NOW, entry
from .drive import KEY, URL

REFUSED = OperationFailure("no", 13)
NESTED = WriteError("nested too deeply", 15)


def driven(commands: Generator[Command, Any, Any], *replies: Any) -> tuple[list[Command], Any]:
    """Run an operation with these replies, of which an error is thrown; return its commands and its result."""
    sent: list[Command] = []
    try:
        sent.append(next(commands))
        for reply in replies:
            again = commands.throw(reply) if isinstance(reply, Exception) else commands.send(reply)
            sent.append(again)
    except StopIteration as end:
        return sent, end.value
    raise AssertionError(f"{sent[-1].name} wants a reply")


def names(sent: list[Command]) -> list[str]:
    return [command.name for command in sent]


def document(command: Command) -> dict[str, Any]:
    """Return what an update writes, decoded."""
    (statement,) = command.fields["updates"]
    assert isinstance(statement["u"], RawBSONDocument)
    return dict(statement["u"])


class TestStore:
    def test_once(self) -> None:
        """The indexes are created by the first entry that a process stores, and by no other."""
        operations = Operations()
        first, done = driven(operations.store(entry(), {"id": 1}), {}, {})
        assert (names(first), done) == (["createIndexes", "update"], True)
        second, done = driven(operations.store(entry(), {"id": 1}), {})
        assert (names(second), done) == (["update"], True)
        (statement,) = second[0].fields["updates"]
        assert (statement["q"], statement["upsert"], statement["multi"]) == ({"_id": KEY}, True, False)
        assert document(second[0])["data"]["id"] == 1

    def test_indexes_that_may_not_be_made(self) -> None:
        """An entry is stored without them, unless there was no time for them."""
        sent, done = driven(Operations().store(entry(), None), REFUSED, {})
        assert (names(sent), done) == (["createIndexes", "update"], True)
        with pytest.raises(ExecutionTimeout):
            driven(Operations().store(entry(), None), ExecutionTimeout("late", 50))

    @pytest.mark.parametrize("error", [NESTED, OperationFailure("field names may not start with '$'", 52)])
    def test_without_data(self, error: OperationFailure) -> None:
        """What MongoDB does not take with ``data`` is stored without."""
        sent, done = driven(Operations().store(entry(), {"a": 1}), {}, error, {})
        assert (names(sent), done) == (["createIndexes", "update", "update"], True)
        assert "data" not in document(sent[2])
        assert document(sent[2]) == {key: value for key, value in document(sent[1]).items() if key != "data"}

    @pytest.mark.parametrize(
        ("error", "data"),
        [(REFUSED, {"a": 1}), (ExecutionTimeout("late", 50), {"a": 1}), (NESTED, None), (AutoReconnect("gone"), {})],
    )
    def test_fails(self, error: Exception, data: Any) -> None:
        """What would fail again without ``data``, or has none, is not tried again."""
        with pytest.raises(type(error)):
            driven(Operations().store(entry(), data), {}, error)

    @pytest.mark.parametrize("error", [DocumentTooLarge("large"), OperationFailure("BSONObj size is invalid", 10334)])
    def test_too_large(self, error: Exception) -> None:
        """What is too large for MongoDB is not stored, and no failure."""
        assert driven(Operations().store(entry(), None), {}, error)[1] is False

    def test_too_large_with_data(self) -> None:
        """What a server does not take because of its size is stored without ``data``, where it has any."""
        sent, done = driven(Operations().store(entry(), {"a": 1}), {}, OperationFailure("BSONObj size", 10334), {})
        assert (done, "data" in document(sent[2])) == (True, False)

    def test_encoded_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A large entry takes as long to encode as an operation may take: that is done before one begins."""
        encoded: list[Any] = []
        monkeypatch.setattr(operations, "to_bson", lambda *given: encoded.append(given) or to_bson(*given))
        commands = Operations().store(entry(), {"a": 1})
        assert len(encoded) == 1
        assert driven(commands, {}, {})[1]
        assert len(encoded) == 1

    def test_not_encodable(self) -> None:
        """What BSON cannot hold is no command."""
        assert driven_nothing(Operations().store(entry()._replace(reason="\ud800"), None)) is False


def driven_nothing(commands: Generator[Command, Any, Any]) -> Any:
    """Return the result of an operation that sends no command."""
    with pytest.raises(StopIteration) as end:
        next(commands)
    return end.value.value


def test_renew() -> None:
    """A confirmed entry's times and headers are written onto the response that was confirmed, and onto no other."""
    confirmed = entry()._replace(validated_at=NOW)
    (command,), _ = driven(Operations().renew(confirmed), {"n": 0})
    (statement,) = command.fields["updates"]
    assert statement["q"] == {"_id": KEY, "timestamp": confirmed.timestamp}
    assert set(statement["u"]["$set"]) == {"expires_at", "purge_at", "validated_at", "headers"}
    assert statement["u"]["$unset"] == {"changed_at": ""}
    assert not statement["upsert"]


def test_mark_stale() -> None:
    """One update makes stale what is fresh, and tells how many entries that were."""
    touched = touched_by(f"{URL}/rating")
    sent, done = driven(Operations().mark_stale(touched, NOW), {}, {"n": 3, "nModified": 2})
    assert (names(sent), done) == (["createIndexes", "update"], 2)
    (statement,) = sent[1].fields["updates"]
    assert statement["multi"]
    assert statement["q"]["expires_at"] == {"$gt": NOW}
    assert statement["u"] == {"$set": {"expires_at": NOW}}


@pytest.mark.parametrize("name", ["expire_titles", "expire_all"])
def test_memory_is_emptied_where_mongodb_is_away(name: str) -> None:
    """What was to be made stale is served from memory no more, though the operation could not even begin."""

    def run(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    tier = Memory(60, 10**6)
    tier.put(entry(media_type="movie", tmdb_id=550), tier.moment(KEY))
    invalidation = Invalidation(SimpleNamespace(operation=None, run=run), Indexes(*INDEXES))  # type: ignore[arg-type]
    which = ([550],) if name == "expire_titles" else ()
    with pytest.raises(StoreUnavailable):
        getattr(invalidation, name)("movie", *which, NOW, NOW)
    assert tier.get(KEY) is None


def test_find_containing() -> None:
    """Keys come as MongoDB gives them; what cannot be read is none."""
    good = bson.encode({"_id": "a"})
    found = [RawBSONDocument(good), RawBSONDocument(good.replace(b"\x02\0\0\0a", b"\x7f\0\0\0a"))]
    sent, done = driven(Operations().find_containing("a", "b", "x", NOW), {"cursor": {"firstBatch": found}})
    assert done == ["a"]
    assert sent[0].fields["filter"] == {"_id": {"$gte": "a", "$lt": "b", "$regex": "x"}, "expires_at": {"$gt": NOW}}
    assert (sent[0].fields["limit"], sent[0].fields["sort"]) == (50, {"expires_at": -1})


def test_two_caches_acquire_a_lease_first() -> None:
    """The one whose upsert loses tries once more, and no more often."""
    leases = Leases(lambda *_: None)
    lost, others = DuplicateKeyError("E11000", 11000), {"value": {"owner": "another", "taken": True}}
    sent, lease = driven(leases.acquire(KEY, True), {}, lost, others)
    assert (names(sent), lease) == (["createIndexes", "findAndModify", "findAndModify"], Lease(is_anothers=True))
    assert {command.beside for command in sent} == {"_leases"}
    with pytest.raises(DuplicateKeyError):
        driven(leases.acquire(KEY, True), lost, lost)


def test_a_lease_is_released_without_a_reply() -> None:
    """Neither releasing nor opening a lease waits for MongoDB."""
    leases = Leases(lambda *_: None)
    for operation in (leases.release(KEY, True, 2.0), leases.open(KEY)):
        (command,), _ = driven(operation, None)
        assert (command.name, command.beside, command.acknowledged) == ("update", "_leases", False)


class Database:
    """A database that replies as told, and raises errors."""

    def __init__(self, *replies: Any, retry_writes: bool = False) -> None:
        self.replies = list(replies)
        self.sent: list[dict[str, Any]] = []
        self.options: list[dict[str, Any]] = []
        self.write_concern = WriteConcern()
        self.client = SimpleNamespace(options=SimpleNamespace(retry_writes=retry_writes))

    def command(self, command: dict[str, Any], **options: Any) -> Any:
        self.sent.append(command)
        self.options.append(options)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def entries(self, concern: WriteConcern | None = None, level: str | None = None) -> Any:
        return SimpleNamespace(
            name="films",
            database=self,
            write_concern=concern or WriteConcern(1),
            read_concern=ReadConcern(level),
            read_preference=ReadPreference.SECONDARY,
        )


def one(command: Command) -> Generator[Command, Any, Any]:
    return (yield command)


WRITE = update({"_id": 1}, {"$set": {"a": 1}})
READ = Command("find", {"filter": {}})


@pytest.mark.parametrize(
    ("command", "concern"),
    [
        (WRITE, {"w": "majority"}),
        (delete({}, beside="_leases"), {"w": "majority"}),
        (update({}, {}, beside="_stats"), None),
        (update({}, {}, beside="_changes"), None),
        (READ, None),
    ],
)
def test_write_concern(command: Command, concern: Any) -> None:
    """Entries and leases are written with their collection's, counts and the change feed's state with the client's."""
    database = Database({"ok": 1})
    execute(one(command), database.entries(WriteConcern("majority"), "majority"))
    (sent,) = database.sent
    assert sent[command.name] == f"films{command.beside}"
    assert sent.get("writeConcern") == concern
    assert sent.get("readConcern") == ({"level": "majority"} if command is READ else None)
    assert ("read_preference" in database.options[0]) == (command is READ)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"writeErrors": [{"code": 11000, "errmsg": "E11000"}]}, DuplicateKeyError),
        ({"writeErrors": [{"code": 15, "errmsg": "nested"}]}, WriteError),
        ({"writeConcernError": {"code": 64, "errmsg": "late", "errInfo": {"wtimeout": True}}}, WTimeoutError),
        ({"writeConcernError": {"code": 100, "errmsg": "too few members"}}, WriteConcernError),
    ],
)
def test_errors_beside_ok(reply: dict[str, Any], error: type[Exception]) -> None:
    """What a write reports beside ``ok: 1`` is the error that pymongo's own methods raise."""
    with pytest.raises(error) as caught:
        execute(one(WRITE), Database({"ok": 1, **reply}).entries())
    assert type(caught.value) is error


def test_a_lease_that_one_member_has() -> None:
    """A concern that a lease does not meet is no failure."""
    reply = {"value": {}, "writeConcernError": {"code": 100, "errmsg": "too few members"}}
    assert execute(one(Command("findAndModify", {}, "_leases")), Database(reply).entries()) == reply


GONE, DOWN = AutoReconnect("gone"), OperationFailure("stepped down", 189)


@pytest.mark.parametrize(
    ("command", "errors", "retry_writes", "is_back", "times"),
    [
        (READ, [GONE], False, True, 2),
        (READ, [DOWN], False, True, 2),
        (READ, [GONE, GONE], False, True, 2),
        (READ, [GONE], False, False, 1),
        (READ, [NetworkTimeout("late")], False, True, 1),
        (READ, [REFUSED], False, True, 1),
        (WRITE, [GONE], True, False, 2),
        (WRITE, [DOWN, DOWN], True, False, 2),
        (WRITE, [GONE], False, True, 1),
        (update({}, {}, beside="_stats"), [GONE], True, True, 1),
        (Command("findAndModify", {}), [GONE], True, True, 1),
        (Command("createIndexes", {}), [GONE], True, True, 1),
    ],
)
def test_repeated(command: Command, errors: list[Exception], retry_writes: bool, is_back: bool, times: int) -> None:
    """A read is sent once more where a server is back, an idempotent write where the URI says ``retryWrites``."""
    database = Database(*errors, {"ok": 1}, retry_writes=retry_writes)
    if times > len(errors):
        execute(one(command), database.entries(), lambda: is_back)
    else:
        with pytest.raises(type(errors[-1])):
            execute(one(command), database.entries(), lambda: is_back)
    assert len(database.sent) == times


def test_errors_are_thrown_into_the_operation() -> None:
    """An operation decides what becomes of an error; what it does not handle is raised."""

    def operation() -> Generator[Command, Any, str]:
        with pytest.raises(OperationFailure):
            yield WRITE
        found = yield from find_one({"_id": 1})
        return str(found)

    assert execute(operation(), Database(REFUSED, {"cursor": {"firstBatch": []}}).entries()) == "None"
    with pytest.raises(OperationFailure):
        execute(one(WRITE), Database(REFUSED).entries())


def test_a_hit_by_its_key() -> None:
    """The find of a hit leaves ``data`` out, reads where the entries are read, and is one command."""
    database = Database({"cursor": {"firstBatch": [{"_id": KEY}]}}, {"cursor": {"firstBatch": []}})
    sessions: list[Any] = []

    class Session:
        def end_session(self) -> None:
            raise AssertionError("a session that worked is used again")

    def start_session(**_: Any) -> Session:
        sessions.append(Session())
        return sessions[-1]  # type: ignore[no-any-return]

    database.client.start_session = start_session
    find = Finder(database.entries(level="local"))
    assert [find(KEY, lambda: True), find("x", lambda: True)] == [{"_id": KEY}, None]
    assert [sent["filter"] for sent in database.sent] == [{"_id": KEY}, {"_id": "x"}]
    assert all(sent["projection"] == {"data": 0} for sent in database.sent)
    assert database.sent[0]["readConcern"] == {"level": "local"}
    assert [options["session"] for options in database.options] == sessions * 2
    assert database.options[0]["read_preference"] is ReadPreference.SECONDARY


def test_indexes_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child makes sure of the indexes itself."""
    indexes = Indexes(*INDEXES)
    assert names(driven(indexes.make(), {})[0]) == ["createIndexes"]
    driven_nothing(indexes.make())
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert names(driven(indexes.make(), {})[0]) == ["createIndexes"]
