"""Requests reloaded, or dropped from sys.modules and imported anew: caught again, and never lost in silence."""

from __future__ import annotations

import pytest

from tmdb_mongo_cache.standin import StandIn

from .processkit import Runner

EACH = "[n for n in list(sys.modules) if n.partition('.')[0] == 'requests' and 'packages' not in n]"

WAYS = {
    "sessions": "importlib.reload(requests.sessions)",
    "sessions, api, requests": "[importlib.reload(m) for m in (requests.sessions, requests.api, requests)]",
    "every module": f"[importlib.reload(sys.modules[n]) for n in [*sorted({EACH}, reverse=True), 'requests']]",
    "anew": f"[sys.modules.pop(n) for n in {EACH}]; import requests",
}

# What a program has before and what it gets afterwards; whether calls come from the cache, and are of its classes.
PROGRAM = """
import importlib, sys
from unittest import mock
import requests
import tmdb_mongo_cache
from tmdb_mongo_cache import CacheError
URL = "https://api.themoviedb.org/3/movie/1?api_key=any"

def look(requests, *gets):
    for get in gets:
        found = [get(URL) for _ in "12"]
        assert all(isinstance(one, requests.Response) for one in found), (get, [type(one).__mro__ for one in found])
        yield getattr(found[1], "from_cache", None)

before = requests
old = requests.Session()
{begin}
assert all(look(requests, requests.get, old.get)) == {is_begun}
{way}
"""
INSTALL = "tmdb_mongo_cache.install()"
AGAIN = """
tmdb_mongo_cache.install()
new = requests.sessions.Session()
print(tmdb_mongo_cache.is_installed(), *look(requests, requests.get, new.get))
print(*look(before, old.get))
with tmdb_mongo_cache.TMDBSession() as session:
    print(isinstance(session, requests.sessions.Session), *look(requests, session.get))
print(isinstance(requests.get(URL), tmdb_mongo_cache.TMDBResponse))
with tmdb_mongo_cache.enabled(offline=True):
    try:
        requests.get(URL.replace("movie/1", "movie/2"))
    except requests.ConnectionError as error:
        print(isinstance(error, CacheError), type(error).__name__)
tmdb_mongo_cache.uninstall()
print(*look(requests, requests.get, new.get), *look(before, old.get))
"""


SOME = [
    way if way in ("sessions, api, requests", "anew") else pytest.param(way, marks=pytest.mark.soak) for way in WAYS
]


@pytest.mark.parametrize("way", SOME)
def test_caught_again(runner: Runner, tls_tmdb: StandIn, way: str) -> None:
    """After a reload is_installed() says no; the next install() catches old sessions and new, each with its classes."""
    code = PROGRAM.format(begin=INSTALL, is_begun=True, way=WAYS[way])
    done = runner.start("-c", code + "print(tmdb_mongo_cache.is_installed())" + AGAIN)
    assert done.stderr == ""
    expected = ["False", "True True True", "True", "True True", "True", "True OfflineError", "None None None"]
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("way", SOME)
@pytest.mark.parametrize("loaded", [True, False])
def test_caught_by_the_first_install(runner: Runner, tls_tmdb: StandIn, way: str, loaded: bool) -> None:
    """What is reloaded before the first install(), this package being imported, is caught by that."""
    begin = "tmdb_mongo_cache.TMDBSession().close()" if loaded else ""
    code = PROGRAM.format(begin=begin, is_begun=False, way=WAYS[way])
    code += "tmdb_mongo_cache.install()\nprint(tmdb_mongo_cache.is_installed(), *look(requests, requests.get))"
    done = runner.start("-c", code)
    assert (done.stdout, done.stderr) == ("True True\n", "")


@pytest.mark.parametrize("way", SOME)
def test_doors_of_single_calls(runner: Runner, tls_tmdb: StandIn, way: str) -> None:
    """enabled() and cached_tmdb catch what has been reloaded, entered before or after it."""
    code = PROGRAM.format(begin="f = tmdb_mongo_cache.cached_tmdb(look)", is_begun=False, way=WAYS[way])
    code += "print(*f(requests, requests.get))\nwith tmdb_mongo_cache.enabled(): print(*look(requests, requests.get))"
    done = runner.start("-c", code)
    assert (done.stdout, done.stderr) == ("True\nTrue\n", "")


@pytest.mark.parametrize("way", SOME)
def test_under_run(runner: Runner, tls_tmdb: StandIn, way: str) -> None:
    """Under run what is reloaded is caught without a line of the program's."""
    code = PROGRAM.format(begin="", is_begun=True, way=WAYS[way])
    done = runner.run("-c", code + "print(*look(requests, requests.get), *look(before, old.get))")
    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_there_and_back(runner: Runner, tls_tmdb: StandIn) -> None:
    """An import of requests that holds for a while (mock.patch.dict) is caught, and so is the first one afterwards."""
    way = f"""
with mock.patch.dict(sys.modules):
    {WAYS["anew"]}
    tmdb_mongo_cache.install()
    print(tmdb_mongo_cache.is_installed(), *look(requests, requests.get))
    print(*look(before, old.get))
    other, requests = requests, before
print(tmdb_mongo_cache.is_installed(), *look(requests, requests.get))
tmdb_mongo_cache.install()
print(*look(other, other.get), *look(requests, requests.get, tmdb_mongo_cache.TMDBSession().get))
tmdb_mongo_cache.uninstall()
print(*look(other, other.get), *look(requests, requests.get))
"""
    done = runner.start("-c", PROGRAM.format(begin=INSTALL, is_begun=True, way=way))
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["True True", "True", "True True", "True True True", "None None"]


def test_this_package_imported_anew(runner: Runner, tls_tmdb: StandIn) -> None:
    """A second copy of this package caches by its own install(), beside the first one's, and goes without a trace."""
    way = """
own = vars(requests.Session)["send"]
[sys.modules.pop(n) for n in list(sys.modules) if n.partition(".")[0] == "tmdb_mongo_cache"]
import tmdb_mongo_cache as second
print(second.is_installed())
second.install()
print(*look(requests, requests.get))
tmdb_mongo_cache.uninstall()
print(*look(requests, requests.get))
second.uninstall()
print(*look(requests, requests.get))
"""
    done = runner.start("-c", PROGRAM.format(begin=INSTALL, is_begun=True, way=way))
    assert (done.stdout.splitlines(), done.stderr) == (["False", "True", "True", "None"], "")
