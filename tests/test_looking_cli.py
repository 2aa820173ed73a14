"""``ls`` as a user types it, what is wrong use of it and its neighbours, and completion."""

from __future__ import annotations

import json

from click.shell_completion import ShellComplete

from tmdb_mongo_cache.cli.main import cli

from .clikit import PREFIX, filled_fixture, lines, run_fixture
from .flowkit import API_KEY

__all__ = ["filled_fixture", "run_fixture"]


def test_ls(run, filled):
    """The table has a row for each entry, with its key in one piece, however long."""
    done = run("ls")
    kept = sorted(document["_id"].removeprefix(PREFIX) for document in filled.find())
    assert [row[0] for row in lines(done)] == kept
    assert lines(done)[0][1:] == ["200", "24", "h", "stale", "since", "60", "s", "1.8", "kB"]
    assert lines(done)[1][4:6] == ["fresh", "for"]
    assert done.stderr == "page 1 of 1, 5 responses\n"
    assert "\x1b" not in done.stdout


FILTERS = [
    (["--type", "movie"], 3),
    (["--type", "movie", "--id", "550", "--stale"], 1),
    (["--fresh"], 4),
    (["--endpoint", "credits"], 1),
    (["--endpoint", "/3/movie/{movie_id}"], 2),
    (["--older", "1h"], 1),
    (["--newer", "1h"], 4),
    (["--status", "404"], 0),
]


def test_ls_filters(run, filled):
    """Each filter does what it says, and the number of all that match is said."""
    for options, count in FILTERS:
        found = json.loads(run("ls", *options, "--json").stdout)
        assert (found["total"], len(found["entries"])) == (count, count), options


def test_ls_pages(run, filled):
    """Pages are numbered; one that is not there is empty, and no error."""
    found = json.loads(run("ls", "--sort", "size", "--reverse", "--limit", 2, "--page", 2, "--json").stdout)
    assert (found["total"], found["page"], found["pages"], len(found["entries"])) == (5, 2, 3, 2)
    everything = json.loads(run("ls", "--sort", "size", "--reverse", "--json").stdout)["entries"]
    assert found["entries"] == everything[2:4]
    assert everything[0]["size"] == max(len(document["body"]) for document in filled.find())
    done = run("ls", "--limit", 2, "--page", 7)
    assert (done.stdout, done.stderr) == ("", "there is no page 7: 5 responses on 3 pages\n")


WRONG = [
    (["ls", "--type", "film"], "'movie'"),
    (["ls", "--endpoint", "creditz"], "no such endpoint"),
    (["ls", "--limit", "0", "--page", "2"], "--page"),
    (["show"], "Give a key"),
    (["show", "nonsense"], "Give a key"),
    (["show", "film", "550"], "Give a key"),
    (["show", f"movie/550?api_key={API_KEY}"], "Give a key"),
    (["show", "movie", "550", "--body", "--json"], "cannot be combined"),
    (["invalidate"], "Give a key"),
    (["explain"], "Give one URL"),
    (["explain", "x", f"https://api.themoviedb.org/3/movie/550?api_key={API_KEY}"], "Give one URL"),
    (["explain", "/3/movie/550", "--param", API_KEY], "NAME=VALUE"),
    (["explain", "/3/movie/550", "--header", API_KEY], "NAME: VALUE"),
    (["clear"], "--yes"),
]


def test_wrong_use(run, filled):
    """A mistake is told in a sentence that says what to do, and changes nothing."""
    for line, said in WRONG:
        assert said in run(*line, code=2).stderr
    assert filled.count_documents({}) == 5


def test_wrong_values(run, cache):
    """A time that is none, and an URL of another host, are wrong use as well."""
    assert "--older takes a duration" in str(run("ls", "--older", "soon", code=2).exception)
    for command in ("show", "invalidate"):
        done = run(command, f"https://example.com/3/movie/550?api_key={API_KEY}", code=2)
        assert "TMDB_CACHE_HOSTS" in str(done.exception)


def test_completion(filled):
    """The shell completes types and endpoints."""
    complete = ShellComplete(cli, {}, "tmdb-mongo-cache", "_X")
    values = lambda line, word: [item.value for item in complete.get_completions(line, word)]  # noqa: E731
    assert values(["ls", "--type"], "mo") == ["movie"]
    assert "movie_credits" in values(["ls", "--endpoint"], "movie_")
    assert "/3/movie/popular" in values(["ls", "--endpoint"], "/3/movie/p")
    assert values(["show"], "per") == ["person"]
    assert values(["invalidate", "movie"], "5") == []
