"""``MongoBackend``: a requests-cache backend that shares TMDB's responses with every other integration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, Request, Response
from requests_cache.backends.base import BaseCache
from requests_cache.cache_keys import get_matched_headers
from requests_cache.models.response import CachedResponse
from requests_cache.policy import DEFAULT_IGNORED_PARAMS
from requests_cache.policy.settings import CacheSettings
from requests_cache.session import CachedSession

from ...config import CacheConfig
from ...errors import ConfigError
from ...mongo.breakers import Breakers
from ...mongo.client import client_options
from ...tmdb import cache_key as keys
from ...tmdb import call as calls
from ...tmdb import leak_check, urls
from ...tmdb.credentials import is_credential
from ...tmdb.invalidation import is_unsafe, is_write, touched_by
from ..requests import mock_detection
from .responses import UNVERIFIED, WriteFollower, find_for, is_whole, redacted, storage_key, usable_after_expiry
from .storage import MongoStorage

if TYPE_CHECKING:
    from pymongo import MongoClient


NOT_CACHED = "tmdb-mongo-cache: not cached"
"""The key of a call to TMDB that is neither looked up nor stored."""

_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(CachedSession.__init__).parameters.items()
    if parameter.default is not parameter.empty
}
_RENAMED = {"old_data_on_error": "stale_if_error", "include_get_headers": "match_headers"}
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")
_SETTINGS = frozenset(inspect.signature(CacheSettings.__init__).parameters) - {"self"} | set(_RENAMED)


class MongoBackend(BaseCache):
    """A requests-cache backend on MongoDB: ``requests_cache.CachedSession(backend=MongoBackend(...))``.

    Every feature of requests-cache works, for any host. Responses of TMDB are stored
    in the documents and under the keys of this package, so that every integration
    finds what another stored; what is private at TMDB is not stored. Responses of
    other hosts are in the same collection under requests-cache's keys. While MongoDB
    fails, a lookup is a miss and a write does nothing.

    A session without an ``expire_after`` stores other hosts' responses for ever, as
    requests-cache does, and TMDB's for as long as every other integration
    (``TMDB_CACHE_EXPIRE_AFTER``, else 24 hours), for all of them share them.

    Args:
        db_name: name of the database.
        connection: a ready ``MongoClient``, which is left open. None makes one of
            the options; without ``host`` and ``port`` it is the database that all
            other integrations use.
        decode_content: as in requests-cache, for other hosts; False keeps bodies
            byte for byte.
        serializer: requests-cache's, for other hosts.
        options: requests-cache's settings, which a session's own go before, and
            ``MongoClient``'s options.

    Raises:
        TypeError: an option that neither library knows.
        ConfigError: an option that cannot be used.
    """

    _tmdb_own_cache = True

    def __init__(
        self,
        db_name: str | None = None,
        connection: MongoClient[dict[str, Any]] | None = None,
        decode_content: bool = False,
        serializer: Any = None,
        **options: Any,
    ) -> None:
        config = CacheConfig.from_env()
        name = db_name or config.database
        for_client = {option: value for option, value in options.items() if option not in _SETTINGS}
        unknown = client_options(for_client)
        if unknown:
            raise TypeError(f"neither requests-cache nor MongoClient has an option {unknown[0]!r}")
        self._given = {_RENAMED.get(option, option): value for option, value in options.items() if option in _SETTINGS}
        if connection is not None and not hasattr(connection, "get_database"):
            raise ConfigError("connection must be a pymongo.MongoClient")
        self._rules = config.policy
        super().__init__(cache_name=name)
        self._breakers = Breakers(lambda: None, float(config.store_timeout))  # type: ignore[arg-type]
        chosen = {"serializer": serializer} if serializer else {}
        self.responses: MongoStorage = MongoStorage(
            name,
            config.collection,
            config,
            connection=connection,
            decode_content=decode_content,
            **chosen,
            **for_client,
        )
        self.redirects: MongoStorage = MongoStorage(
            name, f"{config.collection}_redirects", config, connection=self.responses.connection, serializer=None
        )

    @property
    def _settings(self) -> CacheSettings:
        return self._current

    @_settings.setter
    def _settings(self, value: CacheSettings) -> None:
        # A session assigns its own settings here. Those given to the backend apply wherever
        # the session's are defaults.
        for name, given in self._given.items():
            if getattr(value, name) == _DEFAULTS.get(name, getattr(CacheSettings(), name)):
                setattr(value, name, given)
        self._current = value
        if hasattr(self, "responses"):
            longest = max(usable_after_expiry(value), self._rules.stale_if_error)
            self.responses.rules = self._rules._replace(stale_if_error=longest)

    def create_key(self, request: Any, match_headers: Iterable[str] | None = None, **kwargs: Any) -> str:
        """Make the key of a request: this package's for TMDB, requests-cache's for the rest."""
        # A caller of Session.send need not pass it. A response that came unverified is not stored then.
        call = self._classify(request, verified=bool(kwargs.get("verify", True)))
        if call is None:
            return str(super().create_key(request, match_headers, **kwargs))
        if call.bypass or mock_detection.is_mocked():
            if isinstance(request, PreparedRequest) and is_unsafe(request.method):
                WriteFollower(self._note_write).begin(request)
            return NOT_CACHED
        if match_headers is not None:
            # requests-cache compares keys by the headers that a response's Vary names. Those stored of
            # TMDB name Accept-Encoding and Origin alone, and have the same body for all of them.
            return keys.FIRST
        if self._settings.key_fn is not None:
            own = str(super().create_key(request, match_headers, **kwargs))
            key = own + UNVERIFIED if call.verified_key else own
        else:
            key = self._variant(call, request)
        if leak_check.bypass_reason("", key, call.credentials):
            return NOT_CACHED
        self.responses.note_credentials(key, call.credentials)
        return key

    def _note_write(self, response: Response) -> None:
        url = response.request.url if is_write(response.request.method, response.status_code) else None
        touched, documents = touched_by(url) if url else (), self.responses.documents
        if touched:
            now = datetime.now(timezone.utc)
            self._run(touched[0].keys[0], lambda probing: documents.mark_stale(touched, now, probing=probing))

    def _run(self, key: str, write: Callable[[bool], Any]) -> None:
        read, breakers = partial(self._probe, key), self._breakers
        breakers.run(breakers.writes, write, read, lambda: self.responses.documents.has_secondaries_alone)

    def _classify(self, request: Any, *, verified: bool = True) -> calls.Call | None:
        prepared = request.prepare() if isinstance(request, Request) else request
        return calls.classify(
            prepared.method,
            prepared.url,
            prepared.headers or {},
            has_body=bool(prepared.body),
            hosts=self.responses.hosts,
            verified=verified,
        )

    def _variant(self, call: calls.Call, request: Any) -> str:
        """Return the key with what the session's own matching adds, so that no other session finds what it matched."""
        target = urls.split(call.url)
        ignored = {name for name in self._settings.ignored_parameters or () if name not in DEFAULT_IGNORED_PARAMS}
        present = {name for name, _ in urls.pairs(target.query if target else "") if not is_credential(name)}
        key, left_out = call.key, sorted(ignored & present)
        parts = keys.parts_of(call.key)
        if target is not None and parts is not None and left_out:
            items = target.query.split("&")
            rest = [item for item in items if all(name not in ignored for name, _ in urls.pairs(item))]
            key = keys.make_key(parts.start, target.path, keys.query_part("&".join(rest)))
            key += f"#without={','.join(left_out)}"
        if self._settings.match_headers:
            matched = get_matched_headers(request.headers, self._settings.match_headers)
            key += "".join(f"#{item}" for item in matched if item.partition("=")[0] not in _CREDENTIALS)
        return key

    def get_response(self, key: str, default: Any = None) -> Any:
        """Look up a response; a database that fails, and a document that cannot be read, are misses."""
        if key == NOT_CACHED:
            return default
        found, _ = self._breakers.reads.run(self._read, key, probe=self._probe)
        return found if is_whole(found) else default

    def _read(self, key: str, *, probing: bool = False) -> Any:
        with self.responses.bounded(probing=probing):
            return find_for(key, self.responses.get) if keys.is_of_tmdb(key) else super().get_response(key)

    def _probe(self, key: str) -> None:
        self._read(key, probing=True)

    def save_response(self, response: Response, cache_key: str | None = None, expires: datetime | None = None) -> None:
        """Save a response, its redirects redacted too; a database that fails saves nothing."""
        try:
            key: str | None = cache_key or self.create_key(response.request)
            call = self._classify(response.request)
            if key and key != NOT_CACHED and call is not None:
                key = storage_key(key, response, call, self.create_key(response.request))
                self._note_credentials(key, response)
        except Exception:  # noqa: BLE001  the cache is never why a program fails
            return
        if key is None or key == NOT_CACHED:
            return
        self._run(key, partial(self._write, response, key, expires))

    def _note_credentials(self, key: str | None, response: Response) -> None:
        """Note what was sent on the way to a response, with what an adapter or a redirect has added."""
        if key is not None and not isinstance(response, CachedResponse):
            for step in (response, *response.history):
                self.responses.note_credentials(key, calls.credentials_of(step.request.url, step.request.headers))

    def _write(self, response: Response, cache_key: str, expires: datetime | None, probing: bool) -> None:
        with self.responses.bounded(writing=True, probing=probing):
            cached = redacted(response, self._settings)
            if keys.is_of_tmdb(cache_key) and getattr(response, "revalidated", False):
                cached.expires = expires
                self.responses.confirm(cache_key, cached)
            else:
                super().save_response(cached, cache_key, expires)

    def update(self, other: BaseCache) -> None:
        """Take over the responses of another cache, TMDB's under this package's keys."""
        for key, response in other.responses.items():
            if not is_whole(response):
                continue
            call = self._classify(response.request)
            if call is None:
                self.responses[key] = response
            elif not call.bypass:
                self.responses[self.create_key(response.request)] = response
        self.redirects.update(other.redirects)

    def recreate_keys(self) -> None:
        """Recreate the keys of other hosts' responses; TMDB's stay."""
        for key in list(self.responses.keys()):
            if keys.is_of_tmdb(key):
                continue
            response = self.responses.get(key)
            if not is_whole(response):
                continue
            new = self.create_key(response.request)
            if new != key:
                self.responses[new] = response
                del self.responses[key]

    def _prune_redirects(self) -> None:
        redirects = list(self.redirects.items())
        # Another program may have written keys and targets of any type.
        present = self.responses.present({target for _, target in redirects if type(target) is str})
        self.redirects.bulk_delete(
            [key for key, target in redirects if type(target) is not str or target not in present]
        )

    def get_ttl(self) -> int | None:
        """Return the TTL in seconds set by :meth:`set_ttl`, if any."""
        found = self.responses.get_ttl()
        return None if found is None else int(found)

    def set_ttl(self, ttl: int | timedelta | None, overwrite: bool = False) -> None:
        """Let MongoDB delete other hosts' responses some time after they were stored, as requests-cache's backend does.

        TMDB's are deleted at the time each of them names.
        """
        self.responses.set_ttl(ttl, overwrite=overwrite)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<MongoBackend(name={self.cache_name})>"
