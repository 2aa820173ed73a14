"""The settings: a frozen value, validated once, when it is created.

Names are those of requests-cache where it has the setting. Durations are seconds
or ``timedelta``; ``stale_if_error`` and ``stale_while_revalidate`` also take
True (no limit) and False (never).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from .core.settings import Policy
from .environment import read_environment
from .errors import ConfigError
from .fork import importing
from .httpcache import expiration
from .httpcache.expiration import ExpirationSetting
from .tmdb.url_patterns import matches

if TYPE_CHECKING:
    from pymongo import MongoClient

    from .metrics.counters import CacheEvent

ExpireAfter = float | timedelta | datetime
"""One expiration, as a user gives it."""

ExpireAfterOrAdaptive = ExpireAfter | Literal["adaptive"]
"""The same, or one that depends on the age of the film or show."""

_HOST = re.compile(r"[a-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9a-f:.]+\](?::[0-9]{1,5})?")
_URI = re.compile(r"mongodb(?:\+srv)?://\S+")


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """The settings of a cache.

    Args:
        uri: MongoDB URI, or ``"embedded"``. None: ``TMDB_CACHE_URI``; else the
            embedded server if its extra is installed; else
            ``mongodb://localhost:27017``.
        client: an open ``MongoClient`` to use instead; it is not closed.
        database: name of the database.
        collection: name of the collection.
        expire_after: how long a response is fresh. None: by the class of its
            endpoint (:data:`tmdb_mongo_cache.tmdb.freshness.TABLE`), 24 hours for
            titles and people. One value applies to everything, a mapping changes
            single classes, ``"adaptive"`` depends on the age of the film or show.
            More than an hour gets a jitter of up to 10 %, derived from the key.
        urls_expire_after: URL patterns to expirations, as in requests-cache;
            takes precedence over ``expire_after``.
        cache_control: let TMDB's ``Cache-Control`` decide freshness.
        stale_if_error: how long past its expiration a response may be served when TMDB fails.
        stale_while_revalidate: how long past its expiration a response may be
            served while it is refreshed in the background.
        not_found_expire_after: how long TMDB's 404 (code 34) is fresh.
        memory_ttl: seconds a response is kept in the memory of this process before MongoDB is read again.
        memory_max_bytes: size of that memory; 0 turns it off.
        hosts: what counts as TMDB besides its own hosts: ``host`` or ``host:port``.
        store_timeout: seconds that one MongoDB operation may delay a call.
        wait_on_rate_limit: if TMDB limits the rate (429) and there is no older
            response, wait as long as TMDB demands, within the call's ``timeout``, and
            retry; calls made in the meantime wait as well.
        reuse_appended: also serve a call from a fresh response that contains it: the
            same call with more in ``append_to_response``, or the title's details with
            the sub-resource appended.
        statistics: add the counts of this process to the collection ``<collection>_stats``,
            periodically and at exit, for ``usage()`` and ``tmdb-mongo-cache stats``.
        on_event: called with a :class:`~tmdb_mongo_cache.CacheEvent` for each call to TMDB, in
            the thread of the call; an exception in it is logged once as a warning.
        offline: never call TMDB; a miss raises :class:`~tmdb_mongo_cache.OfflineError`.
        disabled: the off switch: every call bypasses the cache.

    Raises:
        TypeError: an unknown name.
        ConfigError: an invalid value; the text says what is valid.
    """

    uri: str | None = None
    client: MongoClient[dict[str, Any]] | None = None
    database: str = "tmdb_cache_db"
    collection: str = "tmdb_cache"
    expire_after: ExpireAfterOrAdaptive | Mapping[str, ExpireAfterOrAdaptive] | None = None
    urls_expire_after: Mapping[str | re.Pattern[str], ExpireAfterOrAdaptive] = field(default_factory=dict)
    cache_control: bool = False
    stale_if_error: float | timedelta | bool = timedelta(days=7)
    stale_while_revalidate: float | timedelta | bool = False
    not_found_expire_after: ExpireAfter = timedelta(hours=1)
    memory_ttl: float | timedelta = 30.0
    memory_max_bytes: int = 64 * 2**20
    hosts: Iterable[str] = frozenset()
    store_timeout: float | timedelta = 0.25
    wait_on_rate_limit: bool = False
    reuse_appended: bool = False
    statistics: bool = True
    on_event: Callable[[CacheEvent], object] | None = None
    offline: bool = False
    disabled: bool = False

    def __post_init__(self) -> None:
        for name in ("cache_control", "wait_on_rate_limit", "reuse_appended", "statistics", "offline", "disabled"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.uri is not None:
            _check_uri(self.uri)
        for name in ("database", "collection"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value or re.search("[\0$\ud800-\udfff]", value):
                raise ConfigError(f"{name} must be a MongoDB name: a non-empty string in UTF-8, without '$'")
        if re.search(r'[/\\. "]', self.database) or len(self.database) > 63:
            raise ConfigError('database must be a MongoDB name: up to 63 characters, none of them / \\ . " or a space')
        if self.collection[0] == "." or self.collection[-1] == "." or ".." in self.collection:
            raise ConfigError("collection must be a MongoDB name: no '.' at its beginning or end, no '..' in it")
        if self.client is not None and (
            isinstance(self.client, type) or not callable(getattr(self.client, "get_database", None))
        ):
            raise ConfigError(f"client must be a MongoClient that is ready for use, not {type(self.client).__name__}")
        if self.on_event is not None and not callable(self.on_event):
            raise ConfigError(f"on_event must be a function of one argument, not {self.on_event!r}")
        if self.uri is not None and self.client is not None:
            raise ConfigError("give either uri or client, not both")
        size = self.memory_max_bytes
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ConfigError(f"memory_max_bytes must be a number of bytes, 0 or more, not {size!r}")
        object.__setattr__(self, "hosts", _hosts(self.hosts))
        try:
            policy = _policy(self)
            timeout = expiration.duration(self.store_timeout, "store_timeout")
            memory_ttl = expiration.duration(self.memory_ttl, "memory_ttl")
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if not 0 < timeout < math.inf:
            raise ConfigError("store_timeout must be more than 0 seconds: it limits one MongoDB operation")
        for name in ("expire_after", "urls_expire_after"):
            given = getattr(self, name)
            if isinstance(given, Mapping):
                object.__setattr__(self, name, dict(given))  # the caller may change it later
        object.__setattr__(self, "store_timeout", timeout)
        object.__setattr__(self, "memory_ttl", memory_ttl)
        object.__setattr__(self, "_policy", policy)

    @property
    def policy(self) -> Policy:
        """The settings that decisions depend on, in normal form."""
        found: Policy = self.__dict__["_policy"]
        return found

    @classmethod
    def from_env(cls, **config: Any) -> CacheConfig:
        """Read ``TMDB_CACHE_<NAME>`` for every setting; keywords take precedence.

        Durations are seconds or a number with s, m, h, d or w (``TMDB_CACHE_EXPIRE_AFTER=36h``);
        mappings are JSON; hosts are separated by commas. An empty variable counts as unset.

        Raises:
            TypeError: an unknown keyword.
            ConfigError: a variable with an invalid value.
        """
        # A URI from the environment must not conflict with an explicit client.
        without = {*config, "uri"} if config.get("client") is not None else set(config)
        return cls._of({**read_environment(without), **config})

    @classmethod
    def _of(cls, settings: Mapping[str, Any]) -> CacheConfig:
        known = {item.name for item in fields(cls)}
        for name in settings:
            if name not in known:
                raise TypeError(f"unknown setting {name!r}; there are: {', '.join(sorted(known))}")
        return cls(**settings)

    def changed(self, **config: Any) -> CacheConfig:
        """Return a copy with some settings changed."""
        return self._of({**{item.name: getattr(self, item.name) for item in fields(self)}, **config})

    def overridden(self) -> CacheConfig:
        """Return a copy with the MongoDB of :data:`overrides`, if they name one."""
        if overrides.database is None:
            return self
        return self.changed(uri=overrides.uri, client=None, database=overrides.database)

    def matching_pattern(self, url: str) -> str | None:
        """Return the pattern of ``urls_expire_after`` that matches a URL without credentials, or None."""
        found = next((pattern for pattern in self.urls_expire_after if matches(url, pattern)), None)
        return found.pattern if isinstance(found, re.Pattern) else found

    def __reduce__(self) -> tuple[Any, ...]:
        # Validated again when it is unpickled; derived values are not pickled.
        return type(self)._of, ({item.name: getattr(self, item.name) for item in fields(self)},)

    def __hash__(self) -> int:
        return hash((self.uri, self.database, self.collection, self.hosts))

    def __repr__(self) -> str:
        shown = {item.name: repr(getattr(self, item.name)) for item in fields(self)}
        shown["hosts"] = repr(sorted(self.hosts))
        shown["uri"] = repr(None if self.uri is None else mask(self.uri))
        if self.client is not None:
            shown["client"] = "MongoClient(…)"  # its own repr shows some secrets
        return f"CacheConfig({', '.join(f'{name}={value}' for name, value in shown.items())})"


@dataclass(slots=True)
class Overrides:
    """Values that take precedence over the settings of every cache in this process; for tests."""

    uri: str | None = None
    database: str | None = None
    offline: bool = False
    offline_hint: str = ""
    """Appended to the text of an ``OfflineError``."""

    def redirects(self, database: str) -> bool:
        """Whether operations on a database go to another one."""
        return self.database is not None and self.database != database


overrides = Overrides()


def mask(uri: str) -> str:
    """Return a MongoDB URI without user, password and secret options, for logs and errors."""
    uri = re.sub(r"^([a-z0-9+]+://)?.*@", r"\1***@", uri, flags=re.DOTALL | re.IGNORECASE)
    return re.sub("[?&;][^&;]*", _masked, uri)


def _masked(option: re.Match[str]) -> str:
    name = re.search("(?i)password|token|secret|properties", option[0])
    value = 0 if name is None else option[0].find("=", name.end()) + 1
    return f"{option[0][:value]}***" if value else option[0]


def _check_uri(uri: object) -> None:
    if not isinstance(uri, str) or (uri != "embedded" and not _URI.fullmatch(uri)):
        shown = mask(uri) if isinstance(uri, str) and "@" not in uri else "the value given"
        raise ConfigError(
            f"uri must be a MongoDB URI like mongodb://localhost:27017, or 'embedded'; {shown} is neither"
        )
    if "@" in uri.partition("://")[2].partition("?")[0].partition("/")[2]:
        raise ConfigError("uri has a '/' before its '@': in a credential, '/' is written %2F and '@' %40")


def _hosts(value: Any) -> frozenset[str]:
    items = value.split(",") if isinstance(value, str) else value
    try:
        found = frozenset(str(item).strip().lower() for item in items if str(item).strip())
    except TypeError:
        raise ConfigError(f"hosts must be names like 'localhost:8080', not {value!r}") from None
    for host in found:
        if not _HOST.fullmatch(host):
            shown = repr(host) if re.fullmatch(r"[\w.:/\[\] -]{1,80}", host) else "the value given"  # no credential
            raise ConfigError(f"hosts must be 'host' or 'host:port' without scheme, user or path, not {shown}")
    return found


def _policy(config: CacheConfig) -> Policy:
    return Policy(
        expire_after=_expire_after(config.expire_after),
        url_expiration=_url_expiration(config.urls_expire_after),
        cache_control=config.cache_control,
        stale_if_error=expiration.duration(config.stale_if_error, "stale_if_error"),
        stale_while_revalidate=expiration.duration(config.stale_while_revalidate, "stale_while_revalidate"),
        not_found_expire_after=expiration.normalise(config.not_found_expire_after, "not_found_expire_after"),
        offline=config.offline,
        wait_on_rate_limit=config.wait_on_rate_limit,
        reuse_appended=config.reuse_appended,
    )


def _expire_after(value: Any) -> ExpirationSetting | dict[str, ExpirationSetting] | None:
    if value is None or not isinstance(value, Mapping):
        return None if value is None else expiration.normalise_setting(value, "expire_after")
    with importing():
        from .tmdb.freshness import by_class  # imports the table of all endpoints, which few settings need

    return by_class(value, "expire_after")


def _url_expiration(patterns: Any) -> Callable[[str], ExpirationSetting | None] | None:
    if not isinstance(patterns, Mapping):
        raise ConfigError("urls_expire_after must map URL patterns to expirations, as in requests-cache")
    if not patterns:
        return None
    normal: dict[Any, Any] = {}
    for pattern, value in patterns.items():
        if not isinstance(pattern, str | re.Pattern):
            raise ConfigError(f"urls_expire_after: a pattern is a string or a compiled regex, not {pattern!r}")
        shown = pattern if isinstance(pattern, str) else pattern.pattern
        normal[pattern] = expiration.normalise_setting(value, f"urls_expire_after[{shown!r}]")

    def find(url: str) -> ExpirationSetting | None:
        return next((wanted for pattern, wanted in normal.items() if matches(url, pattern)), None)

    return find
