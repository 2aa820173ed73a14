"""``reuse_appended`` under whole calls: what a fresh answer contains is served, and nothing that only looks like it."""

import gzip
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pymongo
import pytest
import requests
from requests_cache import DO_NOT_CACHE

from tmdb_mongo_cache import OfflineError, TMDBSession, cached_tmdb, enabled, install
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.tmdb.appended import NOT_SERVED, PARTS, sources
from tmdb_mongo_cache.tmdb.cache_key import key_of_url

from .flowkit import ANY_KEY, DAY, KEY, MOVIE, expire, get, near, now, status_of, warnings

pytestmark = pytest.mark.any_database

RECORDINGS = Path(__file__).parents[2] / "shared" / "recordings" / "exchanges.jsonl"
CREDITS = f"{MOVIE}/credits"
HELD = f"{KEY}?append_to_response=credits,images"
PATHS = {
    "/3/movie/{movie_id}": MOVIE,
    "/3/person/{person_id}": "/3/person/31",
    "/3/tv/{series_id}": "/3/tv/1399",
    "/3/tv/{series_id}/season/{season_number}": "/3/tv/1399/season/2",
    "/3/tv/{series_id}/season/{season_number}/episode/{episode_number}": "/3/tv/1399/season/2/episode/3",
}


@pytest.fixture
def reuse(make_cache):
    """A cache that reuses what was appended."""
    return make_cache(reuse_appended=True)


def ask(tmdb, cache, path=CREDITS, *, session=requests, **params):
    with enabled(cache):
        return get(tmdb, path, session=session, params=params)


def fill(tmdb, cache, *parts, path=MOVIE, **params):
    """Have an answer with parts appended; return it."""
    response = ask(tmdb, cache, path, append_to_response=",".join(parts or ("credits", "images")), **params)
    assert response.status_code == 200
    return response


def reused(response):
    """Say whether a response came out of another answer."""
    status = status_of(response)
    if status.get("detail") != "reused":
        return False
    assert (response.from_cache, response.status_code, status["hit"], int(status["ttl"]) >= 0) == (True, 200, "", True)
    return True


def aged(collection, seconds=100, key=HELD, **changes):
    """Let an answer have been fetched some seconds ago."""
    changes = {"timestamp": now() - timedelta(seconds=seconds), **changes}
    assert collection.update_one({"_id": key}, {"$set": changes}).matched_count == 1


class TestServed:
    @pytest.mark.parametrize("params", [{}, {"language": "de", "include_image_language": "en,null"}])
    @pytest.mark.parametrize("template", PARTS)
    def test_every_part(self, tmdb, reuse, template, params):
        """Each sub-resource, and each answer with fewer parts, is what TMDB says itself, without a call to it."""
        path, parts = PATHS[template], [*PARTS[template], *NOT_SERVED[template]]
        holder = fill(tmdb, reuse, *parts, path=path, **params)
        number = holder.json()["id"]
        for part in PARTS[template]:
            own, before = get(tmdb, f"{path}/{part}", params=params), tmdb.count
            found = ask(tmdb, reuse, f"{path}/{part}", **params)
            assert reused(found), part
            assert (found.json(), tmdb.count) == (own.json(), before), part
            inner = found.content.removeprefix(b'{"id":%d,' % number).removesuffix(b',"id":%d}' % number)
            assert inner.strip(b"{}") in holder.content, part
        for fewer in ([], parts[:1], parts[1::2], parts[:-1]):
            given = {**params, **({"append_to_response": ",".join(fewer)} if fewer else {})}
            own, before = get(tmdb, path, params=given), tmdb.count
            found = ask(tmdb, reuse, path, **given)
            assert reused(found), fewer
            assert (found.content, tmdb.count) == (own.content, before), fewer

    @pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not beside the checkout")
    def test_recorded(self, tmdb, reuse):
        """What TMDB's recorded answers contain, or were put into as TMDB does, comes out of them as it was."""
        seen = 0
        for line in RECORDINGS.read_text("utf-8").splitlines():
            recorded = json.loads(line)
            path, params, body = recorded["path"], dict(recorded["query"]), recorded["body"]
            found = sources(key_of_url(tmdb.url.replace(tmdb.host, "api.themoviedb.org") + path, params) or "")
            if recorded["status"] != 200 or not found or not (found[0].part or found[0].appended):
                continue
            parts = params.pop("append_to_response", found[0].part).split(",")
            if found[0].part:
                inner = {name: value for name, value in body.items() if name != "id"}
                told = {"id": body.get("id", int(path.split("/")[3])), "season_number": 1}
                wanted, whole = {path: body}, {**told, "title": "ä", found[0].part: inner}
            else:
                wanted = {f"{path}/{part}": {"id": body["id"], **body[part]} for part in parts}
                wanted[path], whole = {k: v for k, v in body.items() if k not in parts}, body
            tmdb.answer(found[0].path, body=json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode())
            fill(tmdb, reuse, *parts, path=found[0].path, **params)
            before = tmdb.count
            for each, expected in wanted.items():
                response = ask(tmdb, reuse, each, **params)
                assert (reused(response), response.json(), tmdb.count) == (True, expected, before), each
                seen += 1
            reuse.clear()
        assert seen >= 15

    def test_off(self, tmdb, cache):
        """Unless reuse_appended is set, each call is made."""
        fill(tmdb, cache)
        assert not reused(ask(tmdb, cache))
        assert not reused(ask(tmdb, cache, MOVIE))
        assert tmdb.count == 3

    def test_what_it_says(self, tmdb, reuse, collection):
        """It is as old as the answer that contains it, fresh no longer, and has its own key and nobody's ETag."""
        fill(tmdb, reuse)
        aged(collection, expires_at=now() + timedelta(hours=1))
        document = collection.find_one()
        found = ask(tmdb, reuse)
        assert near(found.created_at.replace(tzinfo=None) - document["timestamp"], timedelta(0))
        assert near(found.expires.replace(tzinfo=None) - document["expires_at"], timedelta(0))
        assert (found.is_expired, found.revalidated, found.cache_key) == (False, False, f"{KEY}/credits")
        assert 100 <= int(found.headers["Age"]) <= 130
        left = (document["expires_at"] - now()).total_seconds()
        assert -1 <= int(status_of(found)["ttl"]) - left <= 30
        assert "ETag" not in found.headers
        assert found.url == found.request.url == f"{tmdb.url}{CREDITS}?api_key=0123456789abcdef0123456789abcdef"
        assert (found.history, found.reason, found.encoding) == ([], "OK", "utf-8")

    @pytest.mark.parametrize("accepted", ["gzip", "identity"])
    def test_body(self, tmdb, reuse, accepted):
        """Headers, raw, stream and chunks agree with the body, however the containing answer was encoded."""
        headers = {"Accept-Encoding": accepted}
        with enabled(reuse):
            get(tmdb, params={"append_to_response": "credits"}, headers=headers)
            one, two, three = (get(tmdb, CREDITS, headers=headers, stream=True) for _ in range(3))
        own = get(tmdb, CREDITS).content
        packed = one.raw.read()
        assert one.headers.get("Content-Encoding", "identity") == accepted
        assert (gzip.decompress(packed) if accepted == "gzip" else packed) == own
        assert b"".join(two.iter_content(7)) == own
        assert three.content == own
        assert all(reused(found) for found in (one, two, three))
        assert int(three.headers.get("Content-Length", len(packed))) == len(packed)

    def test_every_spelling(self, tmdb, reuse):
        """The order of params and parts, page=1 and another user's key make no difference."""
        fill(tmdb, reuse, "images", "credits", language="de", region="DE")
        found = requests.get  # the order of a URL is the caller's
        with enabled(reuse):
            one = found(f"{tmdb.url}/3/movie/550/credits?region=DE&page=1&language=de&api_key=x", timeout=5)
            two = found(f"{tmdb.url}/3/../3/movie/550?region=DE&append_to_response=images&language=de", timeout=5)
        assert [reused(one), reused(two), tmdb.count] == [True, True, 1]

    def test_many_languages(self, tmdb, reuse, collection):
        """Among sixty languages the right one is found, the one that is fresh the shortest too."""
        languages = [f"{a}{b}" for a in "abcdef" for b in "opqrstuvwx"]
        for number, language in enumerate(languages):
            fill(tmdb, reuse, "credits", language=language)
            key = f"{KEY}?append_to_response=credits&language={language}"
            collection.update_one({"_id": key}, {"$set": {"expires_at": now() + timedelta(hours=1 + number)}})
        for language in (languages[0], languages[-1]):
            assert reused(ask(tmdb, reuse, language=language)), language
        assert tmdb.count == 60

    def test_many_appended(self, tmdb, reuse, collection):
        """Among sixty answers with other parts the one that has the part is found, though it is fresh the shortest."""
        fill(tmdb, reuse)
        document = collection.find_one()
        later = {"expires_at": document["expires_at"] + timedelta(minutes=1)}
        keys = [f"{KEY}?append_to_response=season/{number},videos" for number in range(60)]
        collection.insert_many([{**document, **later, "_id": key} for key in keys])
        assert reused(ask(tmdb, reuse))

    def test_a_broken_one_hides_no_other(self, tmdb, reuse, collection):
        """Of several answers that contain it, the next is taken where the first is not what it should be."""
        fill(tmdb, reuse)
        fill(tmdb, reuse, "credits", "videos")
        broken = {"body": b'{"id":550,"credits":null}', "expires_at": now() + timedelta(days=9)}
        collection.update_one({"_id": HELD}, {"$set": broken})
        assert reused(ask(tmdb, reuse))

    def test_counted(self, tmdb, reuse):
        """It counts as a hit, and is stored nowhere."""
        fill(tmdb, reuse)
        ask(tmdb, reuse)
        stats = reuse.stats()
        assert (stats.hits, stats.misses, stats.stored) == (1, 1, 1)
        assert [entry.key for entry in reuse.entries()] == [HELD]

    def test_at_once(self, tmdb, make_cache):
        """Fifty threads at once get the same answer, and TMDB no call."""
        cache = make_cache(reuse_appended=True, memory_ttl=3600)
        fill(tmdb, cache)
        start = threading.Barrier(50)

        def call(_):
            start.wait()
            return ask(tmdb, cache)

        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(call, range(50)))
        assert all(map(reused, found))
        assert (len({response.content for response in found}), tmdb.count, cache.stats().hits) == (1, 1, 50)


class TestDoors:
    def test_install(self, tmdb, reuse):
        """install() serves what is contained."""
        install(reuse)
        get(tmdb, params={"append_to_response": "credits"})
        assert reused(get(tmdb, CREDITS))

    def test_session(self, tmdb, reuse):
        """A TMDBSession serves what is contained, to send() too."""
        fill(tmdb, reuse)
        with TMDBSession(reuse) as session:
            assert reused(get(tmdb, CREDITS, session=session))
            request = requests.Request("GET", tmdb.url + CREDITS, params=ANY_KEY)
            assert reused(session.send(session.prepare_request(request)))

    def test_decorator(self, tmdb, cache, reuse):
        """cached_tmdb(reuse_appended=…) is for the calls within, whatever the cache's own setting."""
        fill(tmdb, cache)
        assert reused(cached_tmdb(cache=cache, reuse_appended=True)(get)(tmdb, CREDITS))
        assert not reused(cached_tmdb(cache=reuse, reuse_appended=False)(get)(tmdb, f"{MOVIE}/images"))
        assert tmdb.count == 2

    def test_runner(self, tls_tmdb, runner, tmp_path):
        """An old program reuses what was appended where its environment says so."""
        program = tmp_path / "program.py"
        program.write_text(
            "import requests\n"
            "for tail in ('?append_to_response=credits&', '/credits?', '?'):\n"
            "    url = 'https://api.themoviedb.org/3/movie/550' + tail + 'api_key=any'\n"
            "    print(requests.get(url).headers['Cache-Status'].rpartition('=')[2])\n"
        )
        shown = runner.run(program, TMDB_CACHE_REUSE_APPENDED="1").stdout.split()
        assert (shown[1:], tls_tmdb.count) == (["reused", "reused"], 1)

    def test_requests_cache(self, tmdb, reuse, make_session, monkeypatch):
        """What a requests-cache session has stored is reused as well."""
        monkeypatch.setenv("TMDB_CACHE_HOSTS", tmdb.host)
        monkeypatch.setenv("TMDB_CACHE_STORE_TIMEOUT", "10")
        get(tmdb, session=make_session(), params={"append_to_response": "credits"})
        assert (reused(ask(tmdb, reuse)), tmdb.count) == (True, 1)


NEVER = {
    "stale": lambda tmdb, collection: expire(collection, HELD),
    "not fresh yet": lambda tmdb, collection: aged(collection, -300),
    "seven months old": lambda tmdb, collection: aged(collection, 181 * DAY),
    "to be deleted": lambda tmdb, collection: aged(collection, purge_at=now() - timedelta(seconds=1)),
    "another schema": lambda tmdb, collection: aged(collection, schema=99),
    "another host's": lambda tmdb, collection: moved(collection, HELD.replace("GET ", "GET https://")),
    "another film": lambda tmdb, collection: moved(collection, HELD.replace("550", "5500")),
    "a language": lambda tmdb, collection: moved(collection, f"{HELD}&language=de"),
    "a page": lambda tmdb, collection: moved(collection, f"{HELD}&page=2"),
    "cut off": lambda tmdb, collection: aged(collection, body=b'{"id":550,"credits":{"cast":[],"crew":['),
    "an error": lambda tmdb, collection: aged(collection, body=b'{"id":550,"credits":{"success":false}}'),
}


def moved(collection, key):
    """Let an answer be another call's."""
    document = collection.find_one_and_delete({"_id": HELD})
    collection.insert_one({**document, "_id": key})


class TestNever:
    def test_from(self, tmdb, reuse, collection):
        """What may not be served, or answers another call, is not reused."""
        fill(tmdb, reuse)
        document, own = collection.find_one(), get(tmdb, CREDITS).content
        for what, make in NEVER.items():
            collection.delete_many({})
            collection.insert_one(document)
            assert reused(ask(tmdb, reuse)), what
            make(tmdb, collection)
            before, found = tmdb.count, ask(tmdb, reuse)
            assert (reused(found), found.from_cache, tmdb.count, found.content) == (False, False, before + 1, own), what

    def test_stale_for_a_failing_tmdb(self, tmdb, reuse, collection):
        """When TMDB fails, the caller gets its failure: a stale answer stands in for its own call alone."""
        fill(tmdb, reuse)
        expire(collection, HELD)
        tmdb.fail("503")
        assert ask(tmdb, reuse).status_code == 503

    def test_redirected(self, tmdb, reuse):
        """An answer that a redirect led to is not reused."""
        location = f"{tmdb.url}/3/movie/551?append_to_response=credits,images&api_key=any"
        tmdb.answer(MOVIE, status=302, headers={"Location": location})
        fill(tmdb, reuse)
        assert ask(tmdb, reuse, MOVIE, append_to_response="credits,images").from_cache
        assert not reused(ask(tmdb, reuse))

    def test_not_found(self, tmdb, reuse):
        """A film that TMDB does not have has no sub-resources to reuse, and its 404s are TMDB's own."""
        missing = "/3/movie/999000001"
        for path in (f"{missing}?append_to_response=credits", f"{missing}/credits", missing):
            assert ask(tmdb, reuse, path).status_code == 404
        assert tmdb.count == 3

    def test_private(self, tmdb, reuse, collection):
        """A user's own calls are neither answered so nor used for others."""
        fill(tmdb, reuse, session_id="s")
        assert (collection.count_documents({}), reused(ask(tmdb, reuse))) == (0, False)
        fill(tmdb, reuse)
        assert status_of(ask(tmdb, reuse, session_id="s"))["fwd"] == "bypass"
        assert not reused(ask(tmdb, reuse, append_to_response="account_states"))
        assert not reused(ask(tmdb, reuse, f"{MOVIE}/account_states"))

    def test_unknown_parts(self, tmdb, reuse):
        """What is not known to be a part is neither served nor left out."""
        for parts in ("credits,season/1", "casts,images"):
            ask(tmdb, reuse, append_to_response=parts, path=MOVIE)
        for path in (MOVIE, f"{MOVIE}/casts", f"{MOVIE}/season/1", f"{MOVIE}/changes", f"{CREDITS}/"):
            assert not reused(ask(tmdb, reuse, path)), path

    def test_pages(self, tmdb, reuse):
        """Of what has pages the first one is reused, and no other."""
        fill(tmdb, reuse, "reviews")
        for page, served in ((1, True), (2, False), ("01", False)):
            assert reused(ask(tmdb, reuse, f"{MOVIE}/reviews", page=page)) is served, page

    def test_changed(self, tmdb, make_cache):
        """What the change feed or invalidate() has put away is reused no more, from no memory either."""
        cache = make_cache(reuse_appended=True, memory_ttl=3600)
        fill(tmdb, cache)
        assert reused(ask(tmdb, cache))
        tmdb.change(MOVIE)
        tmdb.change(CREDITS)
        cache.refresh_changes(base_url=tmdb.url, api_key="any", rate=1000)
        found = ask(tmdb, cache)
        assert (reused(found), found.content) == (False, get(tmdb, CREDITS).content)
        for what in ({"media_type": "movie", "tmdb_id": 550}, {"url": f"{tmdb.url}/3/movie/550?{HELD.split('?')[1]}"}):
            cache.clear()
            fill(tmdb, cache)
            assert reused(ask(tmdb, cache))
            assert cache.invalidate(**what) == 1
            assert not reused(ask(tmdb, cache)), what

    def test_own_answer_first(self, tmdb, reuse, collection):
        """A call's own fresh answer goes before; when that is stale, a fresh one that contains it does."""
        own = ask(tmdb, reuse)
        tmdb.change(CREDITS)
        fill(tmdb, reuse)
        for options in ({}, {"stream": True}):
            with enabled(reuse):
                found = get(tmdb, CREDITS, **options)
            assert (status_of(found)["detail"], found.content) == ("mongodb", own.content)
        expire(collection, f"{KEY}/credits")
        found = ask(tmdb, reuse)
        assert (reused(found), found.content != own.content, tmdb.count) == (True, True, 2)


CALLS = [
    ({}, True),
    ({"only_if_cached": True}, True),
    ({"refresh": True}, False),
    ({"force_refresh": True}, False),
    ({"expire_after": 50}, False),
    ({"expire_after": 0}, False),
    ({"expire_after": 3000}, True),
    ({"expire_after": DO_NOT_CACHE}, False),
    ({"headers": {"Cache-Control": "no-cache"}}, False),
    ({"headers": {"Cache-Control": "no-store"}}, False),
    ({"headers": {"Cache-Control": "max-age=50"}}, False),
    ({"headers": {"Cache-Control": "max-age=3000"}}, True),
    ({"headers": {"Cache-Control": "min-fresh=999999"}}, False),
    ({"headers": {"Cache-Control": "min-fresh=3000"}}, True),
    ({"headers": {"Cache-Control": "only-if-cached"}}, True),
    ({"headers": {"Range": "bytes=0-1"}}, False),
    ({"headers": {"If-None-Match": '"x"'}}, False),
]
SETTINGS = [
    ({"offline": True}, True),
    ({"disabled": True}, False),
    ({"expire_after": {"details": 50}}, False),
    ({"urls_expire_after": {"*/credits": 50}}, False),
    ({"urls_expire_after": {"*/credits": 0}}, False),
    ({"urls_expire_after": {"*/credits": DO_NOT_CACHE}}, False),
    ({"urls_expire_after": {"*/credits": 3000, "*": 0}}, True),
    ({"cache_control": True}, True),
    ({"stale_while_revalidate": 1000}, True),
    ({"stale_if_error": 0}, True),
]


class TestRules:
    @pytest.fixture
    def served(self, tmdb, cache, collection):
        """Say whether a function's answer, and no call to TMDB, came of one that is 100 seconds old."""
        fill(tmdb, cache)
        aged(collection)

        def served(call):
            collection.delete_one({"_id": f"{KEY}/credits"})
            before, found = tmdb.count, call()
            hit = "detail=reused" in found.headers.get("Cache-Status", "")
            assert tmdb.count == before + (not hit)
            return hit

        return served

    def test_of_the_call(self, tmdb, reuse, served):
        """What a single call asks for holds for an answer out of another one, by the age of that."""
        with TMDBSession(reuse) as session:
            for arguments, expected in CALLS:
                assert served(lambda: get(tmdb, CREDITS, session=session, **arguments)) is expected, arguments  # noqa: B023

    def test_of_the_cache(self, tmdb, make_cache, served):
        """A cache's settings for the call hold, its expiration for that URL too."""
        for settings, expected in SETTINGS:
            cache = make_cache(reuse_appended=True, **settings)
            assert served(lambda: ask(tmdb, cache)) is expected, settings  # noqa: B023

    def test_shorter_expiration(self, tmdb, cache, make_cache, collection):
        """Where the settings say less for the sub-resource, it is fresh for that since the fetch."""
        fill(tmdb, cache)
        aged(collection)
        found = ask(tmdb, make_cache(reuse_appended=True, urls_expire_after={"*/credits": 3000}))
        assert near(found.expires - found.created_at, timedelta(seconds=3000))
        assert 2850 <= int(status_of(found)["ttl"]) <= 2900

    def test_cache_control(self, tmdb, cache, make_cache, collection):
        """With cache_control the containing answer's own header says for how long."""
        body = get(tmdb, params={"append_to_response": "credits,images"}).content
        control = {"Content-Type": "application/json", "Cache-Control": "public, max-age=150"}
        tmdb.answer(MOVIE, headers=control, body=body)
        fill(tmdb, cache)
        other = make_cache(reuse_appended=True, cache_control=True)
        assert reused(ask(tmdb, other))
        aged(collection, 200)
        assert not reused(ask(tmdb, other))
        assert reused(ask(tmdb, make_cache(reuse_appended=True), f"{MOVIE}/images"))

    def test_offline(self, tmdb, reuse, make_cache, collection):
        """Offline what is contained is served without TMDB; what is not, or is stale there, is an OfflineError."""
        fill(tmdb, reuse)
        offline = make_cache(reuse_appended=True, offline=True)
        assert reused(ask(tmdb, offline))
        aged(collection)
        with pytest.raises(OfflineError):
            ask(tmdb, make_cache(reuse_appended=True, offline=True, urls_expire_after={"*/credits": 50}))
        with pytest.raises(OfflineError):
            ask(tmdb, offline, f"{MOVIE}/videos")
        expire(collection, HELD)
        with pytest.raises(OfflineError):
            ask(tmdb, offline)

    @pytest.mark.parametrize("how", ["offline", "only_if_cached"])
    def test_without_tmdb_the_fresh_one(self, tmdb, reuse, make_cache, collection, how):
        """Where TMDB must not be asked, a fresh answer out of another one goes before a stale one of the call's own."""
        ask(tmdb, reuse)
        expire(collection, f"{KEY}/credits")
        fill(tmdb, reuse)
        with TMDBSession(make_cache(reuse_appended=True, offline=how == "offline")) as session:
            assert reused(get(tmdb, CREDITS, session=session, only_if_cached=how == "only_if_cached"))


class TestMongoDB:
    def test_operations(self, tmdb, make_cache, client, commands):
        """A miss costs one query more, a hit none, and where it is off or nothing can contain it nothing does."""
        cost = {}
        for on in (False, True):
            cache = make_cache(uri=None, client=client, reuse_appended=on)
            ask(tmdb, cache, "/3/movie/1")
            commands.take()
            for path in (CREDITS, "/3/movie/popular", MOVIE):
                ask(tmdb, cache, path)
                cost[on, path] = commands.take()
            ask(tmdb, cache)
            assert commands.take() == ["find"]
            cache.clear()
        assert cost[True, "/3/movie/popular"] == cost[False, "/3/movie/popular"]
        assert cost[True, CREDITS] == sorted([*cost[False, CREDITS], "find"])
        assert cost[True, MOVIE] == sorted([*cost[False, MOVIE], "find"])
        fill(tmdb, cache, path="/3/movie/2")
        commands.take()
        assert reused(ask(tmdb, cache, "/3/movie/2/credits"))
        assert commands.take() == ["find"] * 3

    @pytest.mark.parametrize("asked", [{"refresh": True}, {"headers": {"Cache-Control": "max-age=0"}}], ids=str)
    def test_what_cannot_be_served_is_not_read(self, tmdb, make_cache, client, commands, asked):
        """Who wants TMDB's own answer pays no look-up for each of the answers that contain it."""
        cache = make_cache(uri=None, client=client, reuse_appended=True)
        for part in list(PARTS["/3/movie/{movie_id}"])[:12]:
            fill(tmdb, cache, *{"credits", part})
        commands.take()
        with TMDBSession(cache) as session:
            assert not reused(get(tmdb, CREDITS, session=session, **asked))
        assert commands.take().count("find") <= 3

    def test_index(self, tmdb, make_cache, client, commands, collection):
        """The query looks at the keys of that path alone, whatever else is there."""
        cache = make_cache(uri=None, client=client, reuse_appended=True)
        fill(tmdb, cache)
        document = collection.find_one()
        start = HELD.partition("/3/")[0]
        others = [f"{start}/3/movie/{number}{tail}" for number in range(600) for tail in ("", "?append_to_response=x")]
        collection.insert_many([{**document, "_id": key, "n": 1} for key in others if "/550" not in key])
        commands.take()
        commands.seen.clear()
        assert reused(ask(tmdb, cache))
        query = next(command for command in commands.seen if "sort" in command)
        plain = {name: query[name] for name in ("find", "filter", "sort", "limit", "projection")}
        told = collection.database.command("explain", plain, verbosity="executionStats")
        assert told["executionStats"]["totalKeysExamined"] <= 3
        assert told["executionStats"]["totalDocsExamined"] <= 3

    def test_away(self, tmdb, make_cache, caplog):
        """With MongoDB away each call is TMDB's, at once and without an exception."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            uri = f"mongodb://127.0.0.1:{bound.getsockname()[1]}"
            cache = make_cache(uri=uri, store_timeout=0.1, reuse_appended=True, memory_ttl=3600)
            fill(tmdb, cache)
            began = time.monotonic()
            found = [ask(tmdb, cache) for _ in range(5)]
        assert [response.status_code for response in found] == [200] * 5
        assert time.monotonic() - began < 3
        assert len(warnings(caplog)) == 1

    def test_stopped_under_way(self, tmdb, make_cache, commands, tmp_path, caplog):
        """A MongoDB that hangs between the look-up and the query costs store_timeout once, and the answer is TMDB's."""
        with EmbeddedServer(tmp_path / "mongod") as server:
            client = pymongo.MongoClient(server.uri, event_listeners=[commands])
            with client:
                cache = make_cache(uri=None, client=client, store_timeout=0.5, reuse_appended=True)
                fill(tmdb, cache)
                assert reused(ask(tmdb, cache))
                commands.after["find"] = lambda: os.kill(server.pid, signal.SIGSTOP)
                pid, began = server.pid, time.monotonic()
                try:
                    found = ask(tmdb, cache)
                    took = time.monotonic() - began
                finally:
                    os.kill(pid, signal.SIGCONT)
                assert (found.status_code, reused(found)) == (200, False)
                assert 0.4 < took < 4
                cache.close()
