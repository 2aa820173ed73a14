"""The settings as the environment gives them, and the secrets in a URI, which nobody gets to see."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

import pymongo
import pytest

from tmdb_mongo_cache import CacheConfig, CacheError, ConfigError, TMDBCache

ENV: list[tuple[str, str, Any]] = [
    ("uri", "mongodb://localhost:1", "mongodb://localhost:1"),
    ("uri", "embedded", "embedded"),
    ("database", "films", "films"),
    ("collection", "answers", "answers"),
    ("expire_after", "60", 60),
    ("expire_after", "-1", -1),
    ("expire_after", "90s", 90),
    ("expire_after", "5m", 300),
    ("expire_after", "36h", 36 * 3600),
    ("expire_after", "1.5h", 5400),
    ("expire_after", "30 d", 30 * 86400),
    ("expire_after", "2w", 14 * 86400),
    ("expire_after", '{"details": "30d", "search": 60}', {"details": 30 * 86400, "search": 60}),
    ("expire_after", "adaptive", "adaptive"),
    ("expire_after", '{"details": "adaptive", "lists": "1h"}', {"details": "adaptive", "lists": 3600}),
    ("urls_expire_after", '{"*/tv/*": "adaptive"}', {"*/tv/*": "adaptive"}),
    ("urls_expire_after", '{"*/movie/*": "1h", "*": -1}', {"*/movie/*": 3600, "*": -1}),
    ("cache_control", "1", True),
    ("cache_control", "False", False),
    ("stale_if_error", "2d", 2 * 86400),
    ("stale_if_error", "true", True),
    ("stale_if_error", "0", 0),
    ("stale_while_revalidate", "1h", 3600),
    ("stale_while_revalidate", "off", False),
    ("not_found_expire_after", "10m", 600),
    ("memory_ttl", "0", 0),
    ("memory_max_bytes", "1048576", 1048576),
    ("hosts", "localhost:8080, proxy", frozenset({"localhost:8080", "proxy"})),
    ("store_timeout", "0.5", 0.5),
    ("store_timeout", "2s", 2),
    ("wait_on_rate_limit", "true", True),
    ("reuse_appended", "1", True),
    ("reuse_appended", "off", False),
    ("statistics", "0", False),
    ("offline", "yes", True),
    ("offline", "0", False),
    ("disabled", "1", True),
    ("disabled", "TRUE", True),
    ("disabled", "on", True),
    ("disabled", "no", False),
]


@pytest.mark.parametrize(("name", "text", "value"), ENV)
@pytest.mark.parametrize("space", ["", " "])
def test_every_setting_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any, space: str
) -> None:
    """TMDB_CACHE_<NAME> sets the setting, durations in their units, mappings as JSON, flags in usual words."""
    monkeypatch.setenv(f"TMDB_CACHE_{name.upper()}", space + text + space)
    config = CacheConfig.from_env()
    assert getattr(config, name) == value
    assert getattr(TMDBCache().config, name) == value
    assert config == CacheConfig(**{name: value})


def test_every_setting_but_client_and_on_event_can_come_from_the_environment() -> None:
    """No setting was forgotten above."""
    assert {name for name, _, _ in ENV} | {"client", "on_event"} == set(CacheConfig.__dataclass_fields__)


@pytest.mark.parametrize("name", sorted(CacheConfig.__dataclass_fields__))
@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """A variable without a value changes nothing."""
    monkeypatch.setenv(f"TMDB_CACHE_{name.upper()}", text)
    assert CacheConfig.from_env() == CacheConfig()


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch, mongo: Any) -> None:
    """A keyword beats its variable, bad as that may be, and a client beats TMDB_CACHE_URI."""
    monkeypatch.setenv("TMDB_CACHE_EXPIRE_AFTER", "tomorrow")
    monkeypatch.setenv("TMDB_CACHE_URI", "mongodb://elsewhere")
    config = CacheConfig.from_env(expire_after=timedelta(hours=1), client=mongo)
    assert config.expire_after == timedelta(hours=1)
    assert config.uri is None


def test_plain_settings_do_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """CacheConfig() is what is written in it; the environment is read where it is asked for."""
    monkeypatch.setenv("TMDB_CACHE_OFFLINE", "1")
    assert CacheConfig().offline is False
    assert TMDBCache(CacheConfig()).config.offline is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uri", "localhost:27017"),
        ("database", "a b"),
        ("collection", "a$b"),
        ("expire_after", "tomorrow"),
        ("expire_after", "10 years"),
        ("expire_after", "-5"),
        ("expire_after", "1h30m"),
        ("expire_after", "{"),
        ("expire_after", '{"details": "soon"}'),
        ("expire_after", '{"nothing": 1}'),
        ("expire_after", '{"details": true}'),
        ("urls_expire_after", "[1]"),
        ("urls_expire_after", "*=1"),
        ("cache_control", "maybe"),
        ("stale_if_error", "long"),
        ("stale_while_revalidate", "-7"),
        ("not_found_expire_after", "true"),
        ("memory_ttl", "half"),
        ("memory_max_bytes", "64MB"),
        ("memory_max_bytes", "-1"),
        ("hosts", "http://localhost"),
        ("store_timeout", "0"),
        ("store_timeout", "quick"),
        ("offline", "2"),
        ("disabled", "y e s"),
    ],
)
def test_a_bad_variable_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """A variable that cannot be used is a ConfigError that names the setting, whoever reads it."""
    monkeypatch.setenv(f"TMDB_CACHE_{name.upper()}", text)
    for make in (CacheConfig.from_env, TMDBCache):
        with pytest.raises(ConfigError, match=f"(?i){name}") as caught:
            make()
        assert "\n" not in str(caught.value)


PASSWORDS = [
    "s3cr3tpassword", "s3cr3t%40pass%2Fword", "s3cr3t@passw0rd", "s3cr3t@@passw0rd", "s3cr3t/passw0rd",
    "s3cr3t:passw0rd", "s3cr3t?passw0rd", "s3cr3t#passw0rd", "s3cr3t/pass@w0rd", "@s3cr3t@passw0rd/",
    "s3cr3t?x=@passw0rd", "s3cr3t%passw0rd", "s3cr3t&passw0rd", "s3cr3t[passw0rd]", "s3cr3t,passw0rd",
]  # fmt: skip
SHAPES = [
    "mongodb://adm1n:{}@localhost:27017",
    "mongodb://adm1n:{}@localhost:27017,other:27018/films?replicaSet=rs0",
    "mongodb+srv://adm1n:{}@cluster0.example.invalid/?retryWrites=true",
    "MONGODB://adm1n:{}@localhost:27017",
    "http://adm1n:{}@localhost:27017",
    "adm1n:{}@localhost:27017",
    "mongodb://adm1n:{}@local host",
    "mongodb://adm1n:{}@localhost\n",
    "mongodb://adm1n:{}@localhost:port/?nonsense=1",
    "mongodb://localhost/?tlsCertificateKeyFilePassword={}",
    "mongodb://localhost/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:{}",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_text_shows_the_password_of_a_uri(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shape: str
) -> None:
    """A password, however it is written, is in no repr, no text, no log line and no error message."""
    caplog.set_level(logging.DEBUG)
    secret = re.compile("s3cr3t|passw0rd|passw|w0rd|w%2Frd|2Fword")
    for password in PASSWORDS:
        if "@" not in shape and re.search("[&#@]", password):
            continue  # an option ends at these: such a password is written with escapes
        uri = shape.format(password)
        monkeypatch.setenv("TMDB_CACHE_URI", uri)
        for make in (CacheConfig.from_env, lambda uri=uri: CacheConfig(uri=uri), TMDBCache):
            try:
                made = make()
            except ConfigError as error:
                shown = f"{error} {error!r} {error.__cause__!r}"
            else:
                shown = f"{made} {made!r} {getattr(made, 'config', made)!r}"
                assert "uri='mongodb" in shown.lower()
            for text in (shown, caplog.text):
                assert not secret.search(text.replace("tlsCertificateKeyFilePassword", "")), password


@pytest.mark.parametrize("password", ["s3cr3t/passw0rd", "s3cr3t@passw0rd", "s3cr3t%passw0rd", "s3cr3t:passw0rd"])
def test_an_error_of_the_database_does_not_show_the_password(password: str) -> None:
    """Whoever uses a cache whose URI pymongo refuses gets one sentence without the password."""
    with pytest.raises(CacheError) as caught:
        TMDBCache(uri=f"mongodb://adm1n:{password}@localhost:1").clear()
    cause = caught.value.__cause__
    assert not re.search("s3cr3t|passw0rd", f"{caught.value!r} {cause!r}")
    assert "\n" not in str(caught.value)


def test_a_client_shows_no_secret() -> None:
    """The repr of settings with a ready client has none of the client's options."""
    uri = "mongodb://localhost/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:s3cr3t"
    with pymongo.MongoClient(uri, username="adm1n", password="passw0rd", connect=False) as client:
        shown = repr(CacheConfig(client=client))
    assert "client=" in shown
    assert not re.search("s3cr3t|passw0rd", shown)
