"""Whatever the attributes of a session or an adapter are, a call does what it does without the cache, and is cached."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.util.retry import Retry

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.standin import StandIn

from .flowkit import ANY_KEY

pytestmark = pytest.mark.any_database

Change = Callable[[requests.Session], None]


class Patient(Retry):
    """A Retry of the program's own."""


class Bare(HTTPAdapter):
    """An adapter that has nothing of what requests sets up but its connections."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.proxy_manager: dict[str, Any] = {}
        self.poolmanager = urllib3.PoolManager()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        raw = self.poolmanager.request("GET", request.url or "", preload_content=False, decode_content=False)
        return self.build_response(request, raw)


def of_adapter(**attributes: Any) -> Change:
    def change(session: requests.Session) -> None:
        for name, value in attributes.items():
            setattr(session.adapters["http://"], name, value)

    return change


def of_session(**attributes: Any) -> Change:
    def change(session: requests.Session) -> None:
        for name, value in attributes.items():
            setattr(session, name, value)

    return change


def without(name: str, *, of_its_adapter: bool = False) -> Change:
    return lambda session: delattr(session.adapters["http://"] if of_its_adapter else session, name)


# Not among them: what requests fails over when the answer is there already, for it leaves its connection open then.
CHANGES: dict[str, Change] = {
    "a number of retries": of_adapter(max_retries=1),
    "no number of retries": of_adapter(max_retries=0),
    "retries None": of_adapter(max_retries=None),
    "retries False": of_adapter(max_retries=False),
    "retries as text": of_adapter(max_retries="3"),
    "retries of one's own": of_adapter(max_retries=Patient(total=2)),
    "retries without a total": of_adapter(max_retries=Retry(total=None, connect=1)),
    "no retries at all": without("max_retries", of_its_adapter=True),
    "a bare adapter": lambda session: session.mount("http://", Bare()),
    "config None": of_adapter(config=None),
    "proxies None": of_session(proxies=None),
    "proxies of anything": of_session(proxies={"ftp": "ftp://127.0.0.1:9", 1: None}),
    "proxies in a mapping of its own": of_session(proxies=CaseInsensitiveDict({"no": "127.0.0.1"})),
    "headers None": of_session(headers=None),
    "headers plain": of_session(headers={"User-Agent": "mine", "X-Number": "1"}),
    "header None": lambda session: session.headers.update({"Accept": None}),
    "params None": of_session(params=None),
    "params a list": of_session(params=[("language", "de")]),
    "hooks None": of_session(hooks=None),
    "hooks empty": of_session(hooks={}),
    "auth empty": of_session(auth=()),
    "cert a pair": of_session(cert=("there.pem", "is-none.pem")),
    "cert None": of_session(cert=None),
    "verify None": of_session(verify=None),
    "verify a path": of_session(verify="/nowhere"),
    "stream None": of_session(stream=None),
    "stream a number": of_session(stream=0),
    "trust_env None": of_session(trust_env=None),
    "max_redirects None": of_session(max_redirects=None),
    "adapters plain": lambda session: setattr(session, "adapters", dict(session.adapters)),
    "adapters gone": without("adapters"),
    "adapters none": of_session(adapters={}),
    "no headers": without("headers"),
    "no proxies": without("proxies"),
    "no verify": without("verify"),
    "no cert": without("cert"),
    "no stream": without("stream"),
    "no hooks": without("hooks"),
    "no auth": without("auth"),
    "no trust_env": without("trust_env"),
    "no max_redirects": without("max_redirects"),
    "an attribute of its own": of_session(tmdb=object()),
}

OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "timeout None": {"timeout": None},
    "timeout a number": {"timeout": 5},
    "timeout a pair": {"timeout": (5, 5.5)},
    "timeout half a pair": {"timeout": (None, 5)},
    "timeout a list": {"timeout": [5, 5]},
    "timeout of urllib3": {"timeout": urllib3.Timeout(connect=5, read=5)},
    "timeout of urllib3, total": {"timeout": urllib3.Timeout(total=5)},
    "timeout empty": {"timeout": ()},
    "timeout of three": {"timeout": (1, 2, 3)},
    "timeout as text": {"timeout": "5"},
    "timeout True": {"timeout": True},
    "timeout negative": {"timeout": -1},
    "timeout the default": {"timeout": socket.getdefaulttimeout()},
    "proxies None": {"proxies": None},
    "proxies empty": {"proxies": {}},
    "proxies with None": {"proxies": {"http": None}},
    "cert a pair": {"cert": ("there.pem", "is-none.pem")},
    "verify None": {"verify": None},
    "headers None": {"headers": None},
    "hooks None": {"hooks": None},
    "stream None": {"stream": None},
    "redirects None": {"allow_redirects": None},
}


def outcome(session: requests.Session, url: str, prepared: bool, **options: Any) -> tuple[Any, ...]:
    """Make a call and say what came of it."""
    try:
        if prepared:
            request = requests.Request("GET", url, params=ANY_KEY).prepare()
            found = session.send(request, **options)
        else:
            found = session.get(url, params=ANY_KEY, **options)
        return found.status_code, found.json()["id"]
    except Exception as error:
        return (type(error),)


def compare(tmdb: StandIn, cache: TMDBCache, change: Change, number: int, prepared: bool, **options: Any) -> None:
    """Make the same call without the cache and with it, twice: the same comes of it, and the second needs no call."""
    url = f"{tmdb.url}/3/movie/{number}"
    with requests.Session() as session:
        adapters = dict(session.adapters)
        change(session)
        without = outcome(session, url, prepared, **options)
        before = tmdb.count
        with enabled(cache):
            found = [outcome(session, url, prepared, **options) for _ in range(2)]
        assert found == [without] * 2
        assert len(without) == 1 or tmdb.count - before == 1
        session.adapters = {**adapters, **getattr(session, "adapters", {})}
        for adapter in adapters.values():
            adapter.close()


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_attributes(tmdb: StandIn, cache: TMDBCache, name: str, prepared: bool) -> None:
    """A session or an adapter with any attribute changed or gone calls TMDB as without the cache, and once."""
    compare(tmdb, cache, CHANGES[name], 550, prepared)


@pytest.mark.parametrize("prepared", [False, True])
def test_options(tmdb: StandIn, cache: TMDBCache, prepared: bool) -> None:
    """So does a call with any form of an option that requests takes, or refuses."""
    for number, (name, options) in enumerate(OPTIONS.items(), start=1):
        if prepared and not {"headers", "hooks"}.isdisjoint(options):
            continue
        try:
            compare(tmdb, cache, lambda _: None, number, prepared, **options)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def test_a_request_without_headers(tmdb: StandIn, cache: TMDBCache, plain_session: requests.Session) -> None:
    """A prepared request whose headers are None, as one made by hand, is sent as without the cache, and cached."""
    for number, headers in enumerate((None, {}, {"Accept": "*/*"}, CaseInsensitiveDict()), start=1):
        request = requests.Request("GET", f"{tmdb.url}/3/movie/{number}", params=ANY_KEY).prepare()
        request.headers = headers  # type: ignore[assignment]
        live = plain_session.send(request)
        with enabled(cache):
            found = [plain_session.send(request) for _ in range(2)]
        assert [each.json() for each in found] == [live.json()] * 2
        assert [each.from_cache for each in found] == [False, True]  # type: ignore[attr-defined]
