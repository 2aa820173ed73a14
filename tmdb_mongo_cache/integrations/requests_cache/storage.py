"""The storage behind ``MongoBackend``: requests-cache's mapping over the shared collection.

TMDB's responses are stored in it as by every integration; everything else as by
requests-cache's own MongoDB backend.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from requests import Response
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from requests_cache.backends.mongodb import MongoDict
from requests_cache.models.request import CachedRequest
from requests_cache.models.response import CachedResponse
from requests_cache.serializers import SerializerType, bson_document_serializer

from ...config import CacheConfig, overrides
from ...core import memory, policy
from ...core.entries import make_entry, renewed_entry
from ...core.settings import Policy
from ...httpcache import expiration
from ...httpcache.models import Entry, Hop
from ...httpcache.storable_headers import storable
from ...mongo.bounded_collection import BoundedCollection
from ...mongo.client import close_with, connect
from ...mongo.document import from_document
from ...tmdb import call as calls
from ...tmdb import redaction
from ...tmdb.cache_key import is_key_at, is_of_tmdb, parts_of
from ...tmdb.call import Request
from ...tmdb.shared_cache import why_not_shared
from ..requests.response_builder import to_reply

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.collection import Collection

_MOST_KEYS, _MOST_CARRIED = 256, 32
"""Calls in flight whose credentials are remembered, and how many for one key: callers may have keys of their own."""


class MongoStorage(MongoDict):
    """A mapping over one collection, as requests-cache's ``MongoDict``.

    Args:
        db_name: name of the database.
        collection_name: name of the collection.
        config: has the hosts, the timeout of an operation, and the settings for TMDB's responses; its
            expirations count where the session has none.
        connection: a ready ``MongoClient``; it is left open. None makes one.
        serializer: requests-cache's, for what is not TMDB's.
        decode_content: as in requests-cache; False keeps bodies byte for byte.
        options: for ``MongoClient``; None as a value leaves its default.

    Raises:
        KeyError: there is no such key.
        StoreError: MongoDB failed.
    """

    def __init__(
        self,
        db_name: str,
        collection_name: str,
        config: CacheConfig,
        connection: MongoClient[dict[str, Any]] | None = None,
        serializer: SerializerType | None = bson_document_serializer,
        decode_content: bool = False,
        **options: Any,
    ) -> None:
        if overrides.database is not None:
            db_name, connection, options = overrides.database, None, {"host": overrides.uri}
        client, where = (connection, "the client given") if connection is not None else connect(options)
        self._close = None if connection is not None else close_with(self, client, threading.Event())
        timeout = float(config.store_timeout)  # type: ignore[arg-type]
        self.documents = BoundedCollection(client, db_name, collection_name, where, timeout, looks=connection is None)
        super().__init__(
            db_name, collection_name, connection=client, serializer=serializer, decode_content=decode_content
        )
        self.hosts, self.rules = frozenset(config.hosts), config.policy
        self.bounded, self.present = self.documents.bounded, self.documents.present
        self._carried: dict[str, frozenset[str]] = {}

    @property
    def collection(self) -> Collection[dict[str, Any]]:
        """The documents."""
        return self.documents.collection

    @collection.setter
    def collection(self, _: Collection[dict[str, Any]]) -> None:
        """Leave what ``MongoDict`` sets: it decodes times without their zone."""

    def note_credentials(self, key: str, carried: frozenset[str]) -> None:
        """Remember the credentials of a call with a key: requests-cache redacts the request before it is stored."""
        noted = self._carried.get(key, frozenset()) | carried
        self._carried[key] = noted if len(noted) <= _MOST_CARRIED else carried
        if len(self._carried) > _MOST_KEYS:
            self._carried.pop(next(iter(self._carried)), None)

    def __getitem__(self, key: str) -> Any:
        # "data" is for other people's queries; what is served is "body".
        document = self.documents.find(key, with_data=not is_of_tmdb(key))
        if document is None:
            raise KeyError(key)
        # What is stored under a key of any other host may be of a session's own key_fn.
        if "schema" in document or is_key_at(key, self.hosts):
            entry = policy.usable(from_document(document, key), Request(), datetime.now(timezone.utc))
            if entry is None:
                raise KeyError(key)
            return _to_cached(entry)
        value = document.get("data", document)
        try:
            return self.deserialize(key, value)
        except Exception:  # noqa: BLE001  whatever cattrs raises for a document of another program
            return None

    def __setitem__(self, key: str, value: Any) -> None:
        if not self._store_of_tmdb(key, value):
            with self.documents.translated():
                super().__setitem__(key, value)  # type: ignore[no-untyped-call]

    def confirm(self, key: str, value: Response) -> None:
        """Store a response that TMDB has just confirmed."""
        self._store_of_tmdb(key, value, confirmed=datetime.now(timezone.utc))

    def _store_of_tmdb(self, key: str, value: Any, confirmed: datetime | None = None) -> bool:
        """Store what is TMDB's, if it may be; False for what is not TMDB's."""
        if not isinstance(value, Response):
            return False
        call = calls.classify(value.request.method, value.request.url, value.request.headers, hosts=self.hosts)
        if call is None:
            return False
        carried = self._carried.get(key, frozenset())
        entry, data = _to_entry(key, value, call, self.rules, confirmed, carried)
        if entry is not None:
            self.documents.store(entry, data)
        return True

    def __delitem__(self, key: str) -> None:
        try:
            with self.documents.translated():
                super().__delitem__(key)  # type: ignore[no-untyped-call]
        finally:
            memory.forget_key(key)

    def __len__(self) -> int:
        with self.documents.translated():
            return int(super().__len__())  # type: ignore[no-untyped-call]

    def __iter__(self) -> Iterator[str]:
        yield from self.documents.keys()  # not without this object, which closes the client when it is dropped

    def bulk_delete(self, keys: Iterable[str]) -> None:
        """Delete keys; missing ones are no error."""
        found = list(keys)
        try:
            with self.documents.translated():
                super().bulk_delete(found)
        finally:
            for key in found:
                memory.forget_key(key)

    def clear(self) -> None:
        """Delete everything; indexes stay."""
        self.documents.clear()

    def close(self) -> None:
        """Close the client, unless it was given."""
        if self._close is not None:
            self._close()


def _to_cached(entry: Entry) -> CachedResponse:
    """Build what requests-cache serves from an entry; its URL is redacted."""
    parts = parts_of(entry.key)
    # A key by a session's own rules contains no URL; one that ends in a digest contains the beginning.
    by_key = (parts.url if parts is not None else entry.key).partition("#")[0]
    first = by_key if entry.url is None or entry.history else entry.url
    response = _cached(entry, entry.url or first)
    response.history = [_cached(hop, hop.url if index else first) for index, hop in enumerate(entry.history)]
    now = datetime.now(timezone.utc)
    response.created_at = entry.timestamp
    response.expires = entry.expires_at if policy.is_fresh_by_time(entry, now) else min(entry.expires_at, now)
    response.cache_key = entry.key
    return response


def _cached(entry: Entry | Hop, url: str) -> CachedResponse:
    headers = CaseInsensitiveDict(storable(entry.headers))
    return CachedResponse(
        content=entry.body,
        encoding=get_encoding_from_headers(headers),  # type: ignore[arg-type]
        headers=headers,
        reason=entry.reason,
        request=CachedRequest(method="GET", url=url),
        status_code=entry.status,
        url=url,
    )


def _to_entry(
    key: str, value: Any, call: calls.Call, rules: Policy, confirmed: datetime | None, carried: frozenset[str]
) -> tuple[Entry | None, Any]:
    """Turn what requests-cache wants stored into an entry; None when it may not be stored."""
    if call.bypass:
        return None, None
    reply = to_reply(value, value.content or b"")._replace(
        native=None,
        storable=True,
        identifies_user=any(calls.may_identify_user(step.request.url, step.request.headers) for step in value.history),
        credentials=carried,
    )
    # Under the key of its first request a response includes the redirects; the call is that of the last one.
    if key != call.key and any(why_not_shared(hop.headers, None) for hop in reply.history):
        return None, None
    fetched = value.created_at if value.created_at.tzinfo else value.created_at.replace(tzinfo=timezone.utc)
    judged = policy.judge(reply, call.request, None, rules, False, fetched)
    form = calls.storable_form(call, reply)
    if judged.verdict is not policy.Verdict.STORE or not form.storable:
        return None, None
    made = make_entry(call, rules, form, judged.data, fetched)
    if confirmed is not None:
        made = renewed_entry(call, rules, reply, made, confirmed)
    expires = made.expires_at if value.expires is None else expiration.expires_at(value.expires, fetched, fetched)
    entry = made._replace(
        key=key,
        expires_at=expires,
        purge_at=expiration.purge_at(expires, fetched, policy.retention(rules)),
        # A key that a session makes by its own rules does not contain the URL.
        url=made.url or (None if key == call.key else redaction.strip_url(call.url)),
    )
    return entry, judged.data
