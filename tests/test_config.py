"""The settings: frozen, keyword-only, checked when they are made, the same from the environment."""

from __future__ import annotations

import dataclasses
import math
import pickle
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pymongo
import pytest

from tmdb_mongo_cache import CacheConfig, CacheError, ConfigError, TMDBCache
from tmdb_mongo_cache.httpcache import expiration

NAMES = [
    "uri", "client", "database", "collection", "expire_after", "urls_expire_after", "cache_control", "stale_if_error",
    "stale_while_revalidate", "not_found_expire_after", "memory_ttl", "memory_max_bytes", "hosts", "store_timeout",
    "wait_on_rate_limit", "reuse_appended", "statistics", "on_event", "offline", "disabled",
]  # fmt: skip


def test_the_settings_are_those_of_the_design() -> None:
    """There are these settings and no others."""
    assert sorted(field.name for field in dataclasses.fields(CacheConfig)) == sorted(NAMES)


def test_the_defaults_are_those_of_the_design() -> None:
    """Nothing given means 24 h, a week of stale answers, an hour for a 404, and a quarter of a second for MongoDB."""
    config = CacheConfig()
    assert (config.uri, config.client) == (None, None)
    assert (config.database, config.collection) == ("tmdb_cache_db", "tmdb_cache")
    assert config.expire_after is None
    flags = (config.offline, config.disabled, config.cache_control, config.wait_on_rate_limit, config.reuse_appended)
    assert flags == (False,) * 5
    assert (config.memory_ttl, config.memory_max_bytes, config.store_timeout) == (30, 64 * 1024 * 1024, 0.25)
    assert set(config.hosts) == set()
    assert config.policy.stale_if_error == 7 * 86400
    assert config.policy.stale_while_revalidate == 0
    assert config.policy.not_found_expire_after == 3600
    assert expiration.DEFAULT == 86400


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_frozen(name: str) -> None:
    """No setting can be changed after it was made."""
    config = CacheConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, name, None)


@pytest.mark.parametrize("name", ["expire_after", "urls_expire_after"])
def test_a_mapping_that_changes_later_changes_no_settings(name: str) -> None:
    """The settings keep what a mapping held when they were made."""
    given: dict[Any, Any] = {"details": 5}
    config = CacheConfig(**{name: given})
    given["details"] = 7
    assert dict(getattr(config, name)) == {"details": 5}
    assert config == CacheConfig(**{name: {"details": 5}})


def test_settings_are_keyword_only() -> None:
    """A setting without its name is a TypeError."""
    with pytest.raises(TypeError):
        CacheConfig("mongodb://localhost")  # type: ignore[misc]


@pytest.mark.parametrize("make", [CacheConfig, CacheConfig.from_env, TMDBCache, CacheConfig().changed])
@pytest.mark.parametrize("name", ["expire_afterr", "URI", "stale", "backend"])
def test_an_unknown_name_is_a_type_error(make: Any, name: str) -> None:
    """A misspelt setting is refused by its name, whoever takes it."""
    with pytest.raises(TypeError, match=name):
        make(**{name: 60})


BAD: list[tuple[str, Any]] = [
    *[("uri", value) for value in ("localhost", "http://localhost", "", "mongodb://", "mongodb:/x", "mongodb://a b")],
    *[("uri", value) for value in (b"mongodb://localhost", "Embedded ", 7, ["mongodb://localhost"])],
    *[("client", value) for value in ("mongodb://u:p@h", 7, object(), pymongo.MongoClient)],
    *[("database", value) for value in ("", "a b", "a/b", "a.b", 'a"b', "a\\b", "a$b", "a\0b", None, 7, "x" * 64)],
    *[("collection", value) for value in ("", "a$b", "a\0b", None, 7, b"x", ".a", "a.", "a..b")],
    *[("expire_after", value) for value in ("1h", "", "3600", -2, -0.5, math.nan, True, False, [], {1}, b"1", 1j)],
    *[("expire_after", value) for value in (timedelta(days=-1), timedelta(seconds=-1), object(), "NEVER_EXPIRE")],
    *[("expire_after", value) for value in ({"detail": 1}, {"details": "1h"}, {1: 1}, {"search": -3})],
    *[("urls_expire_after", value) for value in ({"*": "1h"}, {7: 1}, {"*": True}, [("*", 1)], "*", None, 7)],
    *[("cache_control", value) for value in ("yes", 1, 0, None, "False")],
    *[("not_found_expire_after", value) for value in ("adaptive", {"unknown": "adaptive"})],
    *[("expire_after", value) for value in ("Adaptive", " adaptive", {"details": "Adaptive"}, b"adaptive")],
    *[("reuse_appended", value) for value in ("yes", 1, None)],
    *[("offline", value) for value in ("yes", 1, None)],
    *[("disabled", value) for value in ("0", 1, None)],
    *[("stale_if_error", value) for value in ("7d", -2, math.nan, datetime(2030, 1, 1), timedelta(-1), {}, object())],
    *[("stale_while_revalidate", value) for value in ("on", -2, datetime(2030, 1, 1), [])],
    *[("not_found_expire_after", value) for value in ("1h", -2, True, None, {"details": 1})],
    *[("memory_ttl", value) for value in ("30", -2, datetime(2030, 1, 1))],
    *[("memory_max_bytes", value) for value in (-1, 1.5, "64MB", True, None)],
    *[("hosts", value) for value in ("http://x", "x/3", "a b", ["x:port"], 7, None, ["x:123456"], "x?y", "u:p@x")],
    *[("store_timeout", value) for value in (0, -1, -0.1, "fast", math.inf, math.nan, None, datetime(2030, 1, 1))],
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_in_one_sentence_that_names_the_setting(name: str, value: Any) -> None:
    """A value that cannot be used is a ConfigError, which is a ValueError, and says which setting it is about."""
    with pytest.raises(ConfigError) as caught:
        CacheConfig(**{name: value})
    text = str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, CacheError)
    assert name in text
    assert "\n" not in text
    assert 20 < len(text) < 250
    assert not re.search(r"[a-z]\. [A-Z]", text)


@pytest.mark.parametrize(
    "value",
    [
        10**400,
        -(10**400),
        datetime.max,
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        timedelta.max,
        math.inf,
        1e300,
    ],
)
def test_enormous_values_are_taken_or_refused_but_never_crash(value: Any) -> None:
    """A number or a date at the edge of what Python can hold is an expiration or a ConfigError."""
    try:
        found = CacheConfig(expire_after=value).policy.expire_after
    except ConfigError:
        return
    now = datetime(2026, 11, 22, tzinfo=timezone.utc)
    expires = expiration.expires_at(found, now, now)  # type: ignore[arg-type]
    assert expires <= now + timedelta(days=180)


def test_uri_and_client_exclude_each_other(mongo: Any) -> None:
    """A client and a URI at once are a ConfigError."""
    with pytest.raises(ConfigError, match=r"uri.*client"):
        CacheConfig(uri="mongodb://localhost", client=mongo)
    assert CacheConfig(client=mongo).client is mongo


GOOD = {
    "uri": "mongodb://localhost:27017",
    "database": "films",
    "collection": "answers.of.tmdb",
    "expire_after": {"details": timedelta(days=30), "search": 60},
    "urls_expire_after": {"*/movie/*": 60, "*/tv/*": -1},
    "cache_control": True,
    "stale_if_error": timedelta(hours=2),
    "stale_while_revalidate": 60,
    "not_found_expire_after": 0,
    "memory_ttl": 0,
    "memory_max_bytes": 0,
    "hosts": ["localhost:8080", "proxy", "[::1]:80"],
    "store_timeout": timedelta(milliseconds=100),
    "offline": True,
    "disabled": True,
}


def test_settings_survive_pickling() -> None:
    """Unpickled settings are equal to what was pickled, and decide alike."""
    config = CacheConfig(**GOOD)  # type: ignore[arg-type]
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert again.policy.stale_if_error == config.policy.stale_if_error
    assert again.policy.url_expiration("https://api.themoviedb.org/3/movie/1") == 60
    assert repr(again) == repr(config)


@pytest.mark.parametrize("name", GOOD)
def test_settings_are_equal_when_every_setting_is(name: str) -> None:
    """Settings compare by value; a single other value makes them differ."""
    config = CacheConfig(**GOOD)  # type: ignore[arg-type]
    assert config == CacheConfig(**GOOD)  # type: ignore[arg-type]
    default = {field.name: field for field in dataclasses.fields(CacheConfig)}[name]
    other = default.default_factory() if default.default is dataclasses.MISSING else default.default  # type: ignore[misc]
    assert config.changed(**{name: other}) != config
    assert config == CacheConfig(**GOOD)  # type: ignore[arg-type]


@pytest.mark.parametrize("hosts", ["Localhost:8080, proxy", ["localhost:8080", "PROXY"], {"proxy", "localhost:8080"}])
def test_hosts_are_taken_in_any_form(hosts: Any) -> None:
    """Hosts may be a text with commas or any collection, in any case."""
    assert set(CacheConfig(hosts=hosts).hosts) == {"localhost:8080", "proxy"}


def test_a_repr_shows_the_settings() -> None:
    """The repr names every setting that is not None."""
    shown = repr(CacheConfig(**GOOD))  # type: ignore[arg-type]
    assert all(f"{name}=" in shown for name in GOOD)
    assert "localhost:27017" in shown
