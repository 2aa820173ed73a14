"""An attack from outside on the cache's reading of URLs: spellings without number, against every router there is.

What it knows is RFC 3986, what servers and frameworks do with a target (`routers`), and what of TMDB's is private. It
knows nothing of how the package reads an URL.
"""

from __future__ import annotations

import pytest
import requests

from tmdb_mongo_cache import install

from .routers import Upstream, answer
from .rules.test_url_attack import CHUNKS, SIZE
from .spellingkit import sent, spellings


class TestUpstream:
    """The same through requests and MongoDB, with an upstream that is private to whoever any router is private to."""

    @pytest.fixture
    def upstream(self):
        with Upstream() as upstream:
            yield upstream

    @pytest.fixture
    def cached(self, make_cache, upstream):
        return install(make_cache(hosts=[upstream.host], memory_ttl=30))

    @pytest.fixture
    def callers(self):
        with requests.Session() as alice, requests.Session() as bob:
            for name, session in (("alice", alice), ("bob", bob)):
                session.trust_env = False
                session.headers.update({"X-Caller": name, "Authorization": f"Bearer {name * 8}"})
            yield {"alice": alice, "bob": bob}

    def attack(self, upstream, callers, seed, number):
        """Let two callers send spellings; return how many were sent, and how many answers were hits."""
        count = hits = 0
        wrong = []
        blank = requests.Request("GET", upstream.url)
        for url, untouched in spellings(seed, number, upstream.url):
            apart = url.partition("?") if not untouched and len(url) % 2 else (url, "", "")
            call = sent(apart[0], apart[2], untouched=untouched)
            if call is None or f"{call.host}:{call.port}" != upstream.host:
                continue
            count += 1
            for name, session in callers.items():
                if untouched:
                    request = session.prepare_request(blank)
                    request.url = call.url
                    response = session.send(request)
                else:
                    response = session.get(apart[0], params=apart[2])
                if response.content != answer(call.targets[0], name):
                    wrong.append((name, url, response.json()))
                hits += getattr(response, "from_cache", False)
        assert not wrong
        return count, hits

    @pytest.mark.parametrize("proxied", [False, True])
    def test_what_is_sent(self, upstream, proxied):
        """The attack knows what requests puts on the wire, to a server as to a proxy."""
        with requests.Session() as session:
            session.trust_env = False
            for url, untouched in spellings(103, 90, upstream.url):
                call = sent(url, untouched=untouched)
                if call is None or f"{call.host}:{call.port}" != upstream.host:
                    continue
                request = session.prepare_request(requests.Request("GET", upstream.url))
                request.url = call.url
                session.send(request, proxies={"http": upstream.url} if proxied else {})
                assert upstream.target.removeprefix(upstream.url) == call.targets[-1 if proxied else 0]

    @pytest.mark.parametrize("seed", [100, 101])
    def test_two_callers(self, upstream, cached, callers, collection, seed):
        """Each caller gets what TMDB has for him, whatever was asked for before, and nobody's is stored."""
        count, hits = self.attack(upstream, callers, seed, 1050)
        assert count >= 1000
        assert hits > count / 20
        assert self.stored(collection) > count / 20

    def test_redirected(self, upstream, cached, callers, collection):
        """So it is where TMDB redirects a public call to a spelling of something private."""
        hits = 0
        wrong = []
        targets = [
            url
            for url, _ in spellings(102, 240, upstream.url)
            if url.isprintable() and url.startswith(f"{upstream.url}/")
        ]
        for number, target in enumerate(targets, 1):
            upstream.redirects[f"/3/search/movie?query={number}"] = target
            for name, session in callers.items():
                response = session.get(f"{upstream.url}/3/search/movie?query={number}")
                if response.content != answer(sent(response.url, untouched=True).targets[0], name):
                    wrong.append((name, target, response.json()))
                hits += getattr(response, "from_cache", False)
        assert not wrong
        assert hits > len(targets) / 20
        assert self.stored(collection) > len(targets) / 20

    @pytest.mark.soak
    @pytest.mark.timeout(3600)
    @pytest.mark.parametrize("seed", range(CHUNKS))
    def test_sixty_thousand(self, upstream, cached, callers, collection, seed):
        """The same with all of them."""
        assert self.attack(upstream, callers, seed, SIZE)[0] >= 5000
        self.stored(collection)

    def stored(self, collection):
        """Return how many answers are stored; none is anybody's."""
        bodies = {found["_id"]: found["body"] for found in collection.find()}
        assert [key for key, body in bodies.items() if b"username" in body] == []
        return len(bodies)
