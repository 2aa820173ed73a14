"""``show``, ``explain``, ``invalidate`` and ``clear``, as a user types them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tmdb_mongo_cache import enabled
from tmdb_mongo_cache.tmdb.hosts import BASE_URL

from .clikit import PREFIX, filled_fixture, lines, run_fixture
from .flowkit import API_KEY, MOVIE, get, now
from .flowkit import TMDBS_KEY as KEY
from .test_odd_ids import unreadable

pytestmark = pytest.mark.any_database

__all__ = ["filled_fixture", "run_fixture"]


@pytest.mark.parametrize(
    "named",
    [
        "{short}?language=de",
        "{key}?language=de",
        "GET {place}?language=de",
        "{url}?api_key={API_KEY}&language=de&page=1",
        "{alias}?language=de&api_key={API_KEY}",
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_names_of_an_entry(run, filled, tmdb, cache, named, own):
    """An entry of TMDB's own, or of another host, is named by its key, in part too, or by an URL in any spelling."""
    place = f"api.themoviedb.org{MOVIE}"
    names = {"short": MOVIE, "key": f"GET {place}", "place": place, "url": f"https://{place}"}
    names["alias"] = f"api.tmdb.org{MOVIE}"
    if not own:
        with enabled(cache):
            get(tmdb, params={"language": "de"})
        place = tmdb.host + MOVIE
        names = {"short": place, "key": f"GET {place}", "place": place, "url": f"http://{place}", "alias": place}
    words = named.format(API_KEY=API_KEY, **names)
    named = words.split(" ") if named.startswith("GET ") else [words]
    assert json.loads(run("show", *named, "--json").stdout)["key"] == f"GET {place}?language=de"
    assert run("invalidate", *named).stdout == "1 response deleted\n"
    assert filled.find_one({"_id": f"GET {place}?language=de"}) is None
    assert run("invalidate", *named).stdout == "0 responses deleted\n"


def test_a_key_that_ends_in_a_digest(run, filled):
    """A long key, as ls prints it, is the entry's name too."""
    row = next(row for row in lines(run("ls")) if row[0].startswith("/3/search/"))
    assert json.loads(run("show", row[0], "--json").stdout)["key"] == PREFIX + row[0]
    assert json.loads(run("invalidate", row[0], "--json").stdout) == {"deleted": 1}


def test_show(run, filled, tmdb):
    """An entry is shown with its times and what TMDB said, and then its answer."""
    filled.update_one({"_id": KEY}, {"$set": {"validated_at": now(), "changed_at": now()}})
    document = filled.find_one({"_id": KEY})
    out = run("show", MOVIE).stdout
    head, _, answer = out.partition("\n\n")
    assert json.loads(answer) == document["data"] == json.loads(document["body"])
    rows = {line[:15].strip(): line[15:] for line in head.splitlines()}
    assert (rows["key"], rows["about"], rows["endpoint"]) == (KEY, "movie 550", "/3/movie/{movie_id}")
    assert (rows["status"], rows["size"]) == ("200 OK", f"{len(document['body'])} bytes")
    assert rows["fetched"].startswith(f"{document['timestamp']:%Y-%m-%d %H:%M:%S} UTC, 24 h")
    assert rows["stale since"].startswith(f"{document['expires_at']:%Y-%m-%d %H:%M:%S} UTC, ")
    assert rows["deleted"].startswith(f"{document['purge_at']:%Y-%m-%d %H:%M:%S} UTC, in ")
    assert rows["etag"] == document["headers"]["ETag"]
    assert rows["served stale"].startswith("until ")
    assert "change feed" in rows["changed"]
    assert "revalidated" in rows


def test_show_as_json(run, filled):
    """--json is one document with all that is known, and the answer parsed."""
    found = json.loads(run("show", MOVIE, "--json").stdout)
    document = filled.find_one({"_id": KEY})
    assert found["data"] == document["data"]
    assert found["headers"] == document["headers"]
    assert (found["fresh"], found["size"], found["status"]) == (False, len(document["body"]), 200)
    assert found["expires_at"].endswith("Z")


def test_show_a_title(run, filled):
    """A title is shown with all its entries, and its details."""
    out = run("show", "movie", "550").stdout
    table, _, rest = out.partition("\n\n")
    assert [line.split()[0] for line in table.splitlines()[1:]] == [MOVIE, f"{MOVIE}/credits", f"{MOVIE}?language=de"]
    assert rest.startswith(f"key            {KEY}\n")
    found = json.loads(run("show", "movie", "550", "--json").stdout)
    assert [entry["key"] for entry in found["entries"]] == [KEY, f"{KEY}/credits", f"{KEY}?language=de"]
    assert found["details"]["data"]["id"] == 550
    filled.delete_many({"_id": {"$in": [KEY, f"{KEY}?language=de"]}})
    assert json.loads(run("show", "movie", "550", "--json").stdout)["details"] is None
    assert "its details are not cached" in run("show", "movie", "550", "--body", code=1).stderr


def test_show_nothing(run, filled):
    """What is not there is a sentence with what is near it, or what to do, and the code 1."""
    filled.insert_one(unreadable(filled.find_one({"_id": KEY}), f"{KEY}?MARKED"))  # is not named, and hides no other
    said = run("show", f"{MOVIE}?language=fr&api_key={API_KEY}", code=1).stderr
    assert said.count("\n") == 1
    assert said.endswith(f"entries with the same path: {MOVIE}, {MOVIE}?language=de\n")
    assert "ls lists" in run("show", "/3/movie/551", code=1).stderr
    assert "tmdb-mongo-cache warm movie 551" in run("show", "movie", "551", code=1).stderr
    assert "never cached" in run("show", "/3/account/1", code=1).stderr
    filled.update_one({"_id": KEY}, {"$set": {"body": b"{", "status": 200}})
    assert f"invalidate '{MOVIE}'" in run("show", MOVIE, code=1).stderr


def test_show_odd_answers(run, filled):
    """Half a character, a number that is none and a deep answer are shown, in each form."""
    for body in (
        b'{"id":550,"a":"\\ud800"}',
        b'{"id":550,"a":1e999}',
        b"[" * 600 + b"]" * 600,
    ):
        filled.update_one({"_id": KEY}, {"$set": {"body": body}})
        assert run("show", MOVIE).stdout.startswith("key ")
        assert json.loads(run("show", MOVIE, "--json").stdout)["size"] == len(body)


def test_invalidate_a_title(run, filled):
    """All about a title goes, and nothing else; what is never cached is said to be so."""
    assert run("invalidate", "movie", "550").stdout == "3 responses deleted\n"
    assert filled.count_documents({}) == 2
    done = run("invalidate", "/3/account/1")
    assert (done.stdout, "never cached" in done.stderr) == ("0 responses deleted\n", True)


def test_explain(run, filled, tmdb):
    """What the method says is printed in lines, or as JSON; params and headers count."""
    called = tmdb.count
    out = run("explain", BASE_URL + MOVIE, "--param", f"api_key={API_KEY}", "--param", "language=de").stdout
    assert f"{KEY}?language=de" in out
    assert "responds from MongoDB" in out
    assert "expire_after is not set" in out
    found = json.loads(run("explain", MOVIE, "--header", "Cache-Control: no-cache", "--json").stdout)
    assert (found["key"], found["found"], found["step"]) == (KEY, "stale", "validate")
    assert json.loads(run("explain", f"/3/account/1?session_id={API_KEY}", "--json").stdout)["step"] == "bypass"
    assert tmdb.count == called


def test_the_readme_shows_explain(run, filled):
    """The README shows what explain prints, but for numbers and line breaks."""
    times = {"timestamp": now(), "expires_at": now() + timedelta(hours=22, minutes=37.5)}
    filled.update_one({"_id": KEY}, {"$set": times})
    command = "$ tmdb-mongo-cache explain 'https://api.themoviedb.org/3/movie/550'\n"
    shown = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8").partition(command)[2]
    words = [re.sub("[0-9.]+", "0", word) for word in shown.partition("```")[0].split()]
    assert [re.sub("[0-9.]+", "0", word) for word in run("explain", MOVIE).stdout.split()] == words


def test_clear(run, filled, env):
    """A clear says what it would delete and where, asks on standard error, and does nothing without a yes."""
    line = [sys.executable, "-W", "error", "-m", "tmdb_mongo_cache", "clear"]
    for answer, code, left in ((b"\n", 1, 5), (b"y\n", 0, 0)):
        user, terminal = pty.openpty()
        pipe = subprocess.PIPE
        process = subprocess.Popen(line, env={**os.environ, **env}, stdin=terminal, stdout=pipe, stderr=pipe, text=True)
        os.write(user, answer)
        out, err = process.communicate(timeout=60)
        os.close(user)
        os.close(terminal)
        assert (process.returncode, filled.count_documents({})) == (code, left), err
        assert f"Delete 5 responses in {env['TMDB_CACHE_DATABASE']}.tmdb_cache at " in err
        assert out == ("5 responses deleted\n" if left == 0 else "")
    assert json.loads(run("clear", "--yes", "--json").stdout) == {"deleted": 0}


def test_pipes(filled, env):
    """The body is byte for byte the one that came; who stops reading gets no traceback."""
    command = f"{sys.executable} -W error -m tmdb_mongo_cache"
    body = subprocess.run(f"{command} show {MOVIE} --body", shell=True, env={**os.environ, **env}, capture_output=True)
    assert (body.returncode, body.stderr) == (0, b"")
    assert body.stdout == filled.find_one({"_id": KEY})["body"]
    line = f"{command} show {MOVIE}/credits | head -n 1"
    done = subprocess.run(line, shell=True, env={**os.environ, **env}, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_mongodb_that_is_away(run, monkeypatch):
    """A MongoDB that is away is an error with the code 1, without its password; explain still explains."""
    monkeypatch.setenv("TMDB_CACHE_URI", "mongodb://a:pa55word@127.0.0.1:9/?serverSelectionTimeoutMS=200")
    monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "0.2")
    for line in (["ls"], ["invalidate", "movie", "550"]):
        said = str(run(*line, code=1).exception)
        assert "does not answer" in said
        assert "pa55word" not in said
    explained = run("explain", "/3/movie/550").output
    assert "MongoDB is not available" in explained
    assert "pa55word" not in explained


@pytest.mark.parametrize(("command", "where"), [("explain", "stdout"), ("invalidate", "stderr")])
def test_the_same_path_with_other_params(run, filled, command, where):
    """What is asked for and not there is told together with what there is of the same path."""
    said = " ".join(getattr(run(command, "https://api.themoviedb.org/3/movie/550?language=fr"), where).split())
    assert "entries with the same path: /3/movie/550, /3/movie/550?language=de" in said
