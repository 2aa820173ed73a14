"""What is given to commands by mistake: nothing, too much, other bytes, other names, credentials in the wrong place."""

from __future__ import annotations

from typing import Any

import click
import pytest

from tmdb_mongo_cache import CacheConfig, ConfigError
from tmdb_mongo_cache.cli.redaction import redact_typed

from .clikit import filled_fixture, run_fixture
from .commandspage import every_command
from .flowkit import API_KEY
from .flowkit import TMDBS_KEY as KEY
from .processkit import Runner

pytestmark = pytest.mark.any_database

__all__ = ["filled_fixture", "run_fixture"]

BYTES = b"5\xff".decode("utf-8", "surrogateescape")
SECRET = "5ecre7" * 5


@pytest.fixture
def runner(env: dict[str, str]) -> Runner:
    """Run commands in this process, as main() does."""
    return Runner({**env, "TMDB_API_KEY": API_KEY})


EMPTY = [
    ("clear", "--yes", "--database", ""),
    ("clear", "--yes", "--collection", ""),
    ("clear", "--yes", "--uri", ""),
    ("clear", "--yes", "--uri="),
    ("purge", "--all", "--yes", "--database", "  "),
    ("invalidate", "movie", "550", "--database", ""),
    ("stats", "--uri", ""),
    ("ls", "--id", ""),
    ("ls", "--older", ""),
    ("warm", "movie", "1", "--export", ""),
    ("warm", "movie", "1", "--param", "a=b", "--param", ""),
    ("explain", "/3/movie/550", "--expire-after", ""),
    ("run", "--database", "", "-c", "1"),
    ("run", "--uri", "", "-c", "1"),
    ("run", "--expire-after", "", "-c", "1"),
    ("export", "-", "--collection", ""),
    ("doctor", "--uri", ""),
]


@pytest.mark.parametrize("line", EMPTY, ids=" ".join)
def test_an_empty_option(line, runner, filled):
    """An option that is given an empty value is wrong use, and nothing is done: the default is not meant."""
    done = runner.here(*line, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is empty; is the variable that it comes from set?" in done.stderr
    assert filled.count_documents({}) == 5


def test_an_empty_default(runner, tmdb):
    """An option that is not given may be empty by default."""
    assert runner.here("warm", "movie", 1, "--base-url", tmdb.url).returncode == 0


OTHER_BYTES = [
    ("show", "movie", BYTES),
    ("show", f"/3/movie/{BYTES}"),
    ("invalidate", "movie", BYTES),
    ("invalidate", f"GET {BYTES}"),
    ("explain", f"/3/movie/{BYTES}"),
    ("ls", "--id", BYTES),
    ("ls", "--type", BYTES),
    ("ls", "--endpoint", BYTES),
    ("ls", "--database", BYTES),
    ("ls", "--collection", BYTES),
    ("warm", "movie", BYTES),
    ("warm", "movie", "1", "--param", f"a={BYTES}"),
    ("warm", "movie", "1", "--language", BYTES),
    ("explain", "/3/movie/1", "--param", f"a={BYTES}"),
]


@pytest.mark.parametrize("line", OTHER_BYTES, ids=lambda line: " ".join(line).replace(BYTES, "5"))
def test_arguments_that_are_no_text(line, runner):
    """Bytes that are no UTF-8 are wrong use, or a call that requests does not send; no traceback."""
    done = runner.here(*line, check=False)
    assert done.returncode == (0 if line[:2] == ("explain", "/3/movie/1") else 2), done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"tmdb_id": BYTES, "media_type": "movie"},
        {"key": BYTES},
        {"media_type": "movi", "tmdb_id": 550},
        {"media_type": "movie", "tmdb_id": 10**22},
    ],
)
def test_invalidate_what_cannot_be(wrong, cache):
    """A type that does not exist, and an id that MongoDB cannot have, are ConfigErrors; the types are named."""
    with pytest.raises(ConfigError, match="movie, " if wrong.get("media_type") == "movi" else r"\w"):
        cache.invalidate(**wrong)


@pytest.mark.parametrize(
    "line",
    [
        (f"https://api.themoviedb.org/3/movie/550?api_key={SECRET}",),
        ("ls", f"https://api.themoviedb.org/3/movie/550?api_key={SECRET}"),
        ("clear", f"mongodb://me:{SECRET}@127.0.0.1/"),
        ("clear", "--yes", f"mongodb://me:{SECRET}/x@127.0.0.1/?a=1"),
        ("ls", f"me:{SECRET}@127.0.0.1"),
        (f"--uri=mongodb://me:{SECRET}@127.0.0.1",),
        ("ls", f"mongodb://127.0.0.1/?tlsCertificateKeyFilePassword={SECRET}"),
        ("warm", "movie", "1", "--param", f"api_key:{SECRET}"),
        ("export", f"mongodb://me:{SECRET}@localhost/db"),
        ("import", f"mongodb://me:{SECRET}@localhost/db"),
        ("stats", "--plot", f"mongodb://me:{SECRET}@localhost/db"),
        ("run", f"mongodb://me:{SECRET}@localhost/db"),
        ("warm", "movie", "1", "--param", f"api_key={SECRET}"),
        ("completion", f"https://me:{SECRET}@example.org"),
    ],
)
def test_credentials_are_not_repeated(line, runner):
    """A credential in the wrong place is not repeated by what is said of it."""
    done = runner.here(*line, check=False)
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr
    assert SECRET[:12] not in done.stderr


def test_what_is_said_of_a_mistake_stays(runner):
    """What has no credential is repeated as it was typed."""
    assert redact_typed("No such option: --colour. (Possible: --collection)") == (
        "No such option: --colour. (Possible: --collection)"
    )
    assert "'lst': did you mean 'ls'?" in runner.here("lst", check=False).stderr
    assert "https://example.org/x" in runner.here("ls", "https://example.org/x", check=False).stderr


def test_a_credential_in_hosts():
    """Hosts with a user in them are not repeated; what has none is."""
    for hosts in (f"me:{SECRET}@localhost", f"https://localhost/?api_key={SECRET}"):
        with pytest.raises(ConfigError, match="the value given") as caught:
            CacheConfig(hosts=[hosts])
        assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError, match="not 'http://localhost'"):
        CacheConfig(hosts=["http://localhost"])


def test_mistyped_variables(runner):
    """A variable that is no setting is named once, whatever the command; doctor has a verdict on it."""
    for number, command in enumerate((["ls"], ["stats"], ["explain", "/3/movie/1"], ["server", "path"])):
        name = f"TMDB_CACHE_EXPIRE_AFTRE{number}"
        said = runner.here(*command, **{name: "60"}).stderr
        assert said.count(f"tmdb-mongo-cache: {name} is set, but there is no such setting\n") == 1
    assert "is set" not in runner.here("completion", "bash", TMDB_CACHE_EXPIRE_AFTREX="60").stderr


def test_mistyped_variables_of_a_program(runner):
    """A program that is run says it itself, once."""
    done = runner.run("-c", "import tmdb_mongo_cache as t; t.TMDBCache()", TMDB_CACHE_EXPIRE_AFTREY="60")
    assert done.stderr.count("TMDB_CACHE_EXPIRE_AFTREY") == 1


def test_an_unknown_option_of_the_uri(runner, env):
    """An option of the URI that does not exist is wrong use in one sentence, and no warning of Python's."""
    uri = f"{env['TMDB_CACHE_URI'].partition('?')[0]}?nonsense=1"
    for line in (["ls"], ["clear", "--yes"]):
        done = runner.here(*line, "--uri", uri, check=False)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert "nonsense" in done.stderr


WRONG: list[tuple[tuple[Any, ...], str]] = [
    (("explain", "/3/movie/1", "--expire-after", "5x"), "--expire-after: invalid value '5x'"),
    (("warm", "movie", 1, "--expire-after", "5x"), "--expire-after: invalid value '5x'"),
    (("run", "--stale-if-error", "5x", "-c", "1"), "--stale-if-error: invalid value '5x'"),
    (("stats", "--days", 100_000), "from 1 to 36500"),
    (("ls", "--limit", 10**22), "--limit"),
    (("ls", "--page", 10**22), "--page"),
    (("ls", "--id", 10**22), "nothing that matches is cached"),
]


def test_what_is_wrong_is_named(runner):
    """An option that cannot be used is named as it was given, with what it may be."""
    for line, said in WRONG:
        done = runner.here(*line, check=False)
        assert done.returncode == (0 if "--id" in line else 2), done.stderr
        assert said in done.stderr, done.stderr
    done = runner.here("explain", "/3/movie/1", check=False, TMDB_CACHE_EXPIRE_AFTER="5x")
    assert "TMDB_CACHE_EXPIRE_AFTER: invalid" in done.stderr


HINTS = {
    **{"36h": "timedelta(hours=36)", "1.5d": "timedelta(days=1.5)", "2w": "timedelta(weeks=2)", "60": "write 60;"},
    **{"5 m": "timedelta(minutes=5)", "90s": "timedelta(seconds=90)"},
}


def test_durations_in_python():
    """What the environment takes is told as what a program has to write."""
    for given, hint in HINTS.items():
        for name in ("expire_after", "stale_if_error", "not_found_expire_after"):
            with pytest.raises(ConfigError, match="in Python write") as caught:
                CacheConfig(**{name: given})
            assert hint in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        CacheConfig(expire_after="soon")
    assert "Python" not in str(caught.value)


def test_advice_that_works(run, filled):
    """Only what warm can fetch is said to be fetched by it."""
    assert "to fetch it: tmdb-mongo-cache warm person 5" in run("show", "person", "5", code=1).stderr
    for media_type, tmdb_id in (("credit", "5"), ("episode", "3"), ("movie", "tt0137523"), ("movie", "0")):
        said = run("show", media_type, tmdb_id, code=1).stderr
        assert f"nothing is cached about {media_type} {tmdb_id}; ls lists" in said


def test_an_empty_list(run, filled, env):
    """A list with nothing in it says where there is nothing; a page that is not there says how many there are."""
    where = f"in {env['TMDB_CACHE_DATABASE']}.tmdb_cache at "
    assert f"nothing that matches is cached {where}" in run("ls", "--type", "network").stderr
    assert run("ls", "--page", 99).stderr == "there is no page 99: 5 responses on 1 page\n"
    filled.delete_many({"_id": {"$ne": KEY}})
    assert "page 99: 1 response" in run("ls", "--page", 99).stderr
    filled.delete_many({})
    assert f"nothing is cached {where}" in run("ls").stderr


def test_every_command_is_for_programs_too():
    """Every command has --json, but for run and completion, whose output is not theirs."""
    without = [
        name.removeprefix("tmdb-mongo-cache ")
        for name, command in every_command()
        if not isinstance(command, click.Group) and not any("--json" in option.opts for option in command.params)
    ]
    assert without == ["run", "completion"]
