"""The storage behind ``MongoBackend``: requests-cache's mapping over the shared collection.

TMDB's answers live in it as every door keeps them; everything else as
requests-cache's own MongoDB backend writes it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError
from requests import Response
from requests_cache.backends.mongodb import MongoDict
from requests_cache.serializers import SerializerType, bson_document_serializer

from ..config import mask
from ..errors import ConfigError
from ..tmdb import calls, policy
from ..tmdb.keys import is_key_at, is_of_tmdb
from ..tmdb.rules import Policy
from ..tmdb.writes import Touched
from . import memory
from .cached_response import to_cached, to_entry
from .client import close_with, open_client, resolve_uri
from .deadline import Deadline, has_secondaries_alone
from .document import CODEC, RAW, UNREADABLE, from_document, readable, to_bson
from .failures import EMBEDDED, failed
from .indexes import INDEXES, Indexes
from .staleness import Staleness

_MOST_KEYS, _MOST_CARRIED = 256, 32
"""Calls under way whose credentials are known, and how many for one key: callers may have keys of their own."""


class MongoStorage(MongoDict):
    """A mapping over one collection, as requests-cache's ``MongoDict``.

    Args:
        db_name: name of the database.
        collection_name: name of the collection.
        connection: a ready ``MongoClient``; it is left open. None makes one.
        serializer: requests-cache's, for what is not TMDB's.
        decode_content: as in requests-cache; False keeps bodies byte for byte.
        hosts: what counts as TMDB besides its own hosts.
        rules: the settings for TMDB's answers; its expirations count where the session has none.
        store_timeout: seconds that :meth:`bounded` allows.
        options: for ``MongoClient``; None as a value leaves its default.

    Raises:
        KeyError: there is no such key.
        StoreError: MongoDB failed.
    """

    def __init__(
        self,
        db_name: str,
        collection_name: str = "tmdb_cache",
        connection: MongoClient[dict[str, Any]] | None = None,
        serializer: SerializerType | None = bson_document_serializer,
        decode_content: bool = False,
        hosts: frozenset[str] = frozenset(),
        rules: Policy | None = None,
        store_timeout: float = 0.25,
        **options: Any,
    ) -> None:
        client, self.where = (connection, "the client given") if connection is not None else _connect(options)
        self._close = None if connection is not None else close_with(self, client, threading.Event())
        super().__init__(
            db_name,
            collection_name,
            connection=client,
            serializer=serializer,
            decode_content=decode_content,
        )
        self.collection = client[db_name].get_collection(collection_name, codec_options=CODEC)
        self.hosts = hosts
        self.rules = rules or Policy()
        self._deadline = Deadline(store_timeout, looks=connection is None)
        self._indexes = Indexes(*INDEXES)
        self._carried: dict[str, frozenset[str]] = {}

    def note_credentials(self, key: str, carried: frozenset[str]) -> None:
        """Note what a call with a key carries: requests-cache takes it out of a request before that is to be stored."""
        noted = self._carried.get(key, frozenset()) | carried
        self._carried[key] = noted if len(noted) <= _MOST_CARRIED else carried
        if len(self._carried) > _MOST_KEYS:
            self._carried.pop(next(iter(self._carried)), None)

    @contextmanager
    def bounded(self, *, writing: bool = False, probing: bool = False) -> Iterator[None]:
        """Give operations within the deadline that one call may cost; probing when no call waits for them."""
        with self._operation():
            limit = self._deadline.limit(self.connection, writing=writing, probing=probing)
            with pymongo.timeout(limit):
                yield
        self._deadline.reached()

    def make_stale(self, touched: Sequence[Touched], *, probing: bool = False) -> None:
        """Make stale what a write has touched, within the deadline that one call may cost."""
        Staleness(self._bounded_collection, self._indexes).of_touched(
            touched, datetime.now(timezone.utc), probing=probing
        )

    @contextmanager
    def _bounded_collection(self, *, writing: bool, probing: bool) -> Iterator[Collection[dict[str, Any]]]:
        with self.bounded(writing=writing, probing=probing):
            yield self.collection

    @property
    def has_secondaries_alone(self) -> bool:
        """Whether there are servers to read from, and none that takes writes."""
        return has_secondaries_alone(self.connection)

    @contextmanager
    def _operation(self) -> Iterator[Collection[dict[str, Any]]]:
        try:
            yield self.collection
        except PyMongoError as error:
            raise failed(error, self.where, self._deadline) from error

    def __getitem__(self, key: str) -> Any:
        with self._operation():
            try:
                # "data" is for other people's queries; what is served is "body".
                fields = {"data": 0} if is_of_tmdb(key) else None
                document = self.collection.find_one({"_id": key}, fields)
            except PyMongoError:
                raise
            except UNREADABLE as error:
                raise KeyError(key) from error
        if document is None:
            raise KeyError(key)
        # Under a key of any other host may lie what a session's own key_fn has made.
        if "schema" in document or is_key_at(key, self.hosts):
            entry = policy.usable(from_document(document, key), policy.Ask(), datetime.now(timezone.utc))
            if entry is None:
                raise KeyError(key)
            return to_cached(entry)
        value = document.get("data", document)
        try:
            return self.deserialize(key, value)
        except Exception:  # noqa: BLE001  whatever cattrs makes of a document that is not its own
            return None

    def __setitem__(self, key: str, value: Any) -> None:
        if not self._keep(key, value):
            with self._operation():
                super().__setitem__(key, value)  # type: ignore[no-untyped-call]

    def confirm(self, key: str, value: Response) -> None:
        """Store an answer of which TMDB has just said that nothing has changed."""
        self._keep(key, value, confirmed=datetime.now(timezone.utc))

    def _keep(self, key: str, value: Any, confirmed: datetime | None = None) -> bool:
        """Store what is TMDB's, if it may be; False for what is not TMDB's."""
        if not isinstance(value, Response):
            return False
        call = calls.classify(value.request.method, value.request.url, value.request.headers, hosts=self.hosts)
        if call is None:
            return False
        carried = self._carried.get(key, frozenset())
        entry, data = to_entry(key, value, call, self.rules, confirmed, carried)
        raw, _ = (None, False) if entry is None else to_bson(entry, data)
        if raw is not None:
            try:
                with self._operation():
                    self._indexes.make(self.collection)
                    self.collection.replace_one({"_id": key}, raw, upsert=True)
            finally:
                memory.forget_key(key)
        return True

    def __delitem__(self, key: str) -> None:
        try:
            with self._operation():
                super().__delitem__(key)  # type: ignore[no-untyped-call]
        finally:
            memory.forget_key(key)

    def __len__(self) -> int:
        with self._operation():
            return int(super().__len__())  # type: ignore[no-untyped-call]

    def __iter__(self) -> Iterator[str]:
        with self._operation():
            found = list(self.collection.with_options(codec_options=RAW).find({}, {"_id": True}))
        for document in readable(found):
            yield document["_id"]

    def bulk_delete(self, keys: Iterable[str]) -> None:
        """Delete keys; missing ones are no error."""
        found = list(keys)
        try:
            with self._operation():
                super().bulk_delete(found)
        finally:
            for key in found:
                memory.forget_key(key)

    def present(self, keys: Iterable[str]) -> set[str]:
        """Return those of the keys that exist, in one query."""
        with self._operation():
            found = self.collection.find({"_id": {"$in": list(keys)}}, {"_id": True})
            return {document["_id"] for document in found}

    def clear(self) -> None:
        """Delete everything; indexes stay."""
        try:
            with self._operation():
                self.collection.delete_many({})
        finally:
            memory.forget_everything()

    def close(self) -> None:
        """Close the client, unless it was given."""
        if self._close is not None:
            self._close()


def _connect(options: Mapping[str, Any]) -> tuple[MongoClient[dict[str, Any]], str]:
    """Make a client of options; return it, and where that is, as people may see it."""
    given = {name: value for name, value in options.items() if value is not None}
    host = given.pop("host", None)
    if host is None:
        uri = resolve_uri(None) if "port" not in given else "localhost"
        return open_client(uri, **given), EMBEDDED if uri == "embedded" else mask(uri)
    if not isinstance(host, str) and not (isinstance(host, Sequence) and all(isinstance(one, str) for one in host)):
        raise ConfigError("host must be a MongoDB URI, a host, or a list of hosts")
    return open_client(host, **given), mask(host) if isinstance(host, str) else ", ".join(map(mask, host))
