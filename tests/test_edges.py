"""Edges of the rules, seen through whole calls and the cache's own methods."""

from __future__ import annotations

import json
from datetime import timedelta

import bson
import pytest
import requests

from tmdb_mongo_cache import CacheConfig, enabled
from tmdb_mongo_cache.core.settings import Policy
from tmdb_mongo_cache.mongo.document import from_document, to_bson

from .entrykit import entry
from .flowkit import ANY_KEY, KEY, MOVIE, expire, get, make_tmdbs_own, replaced, status_of, warnings

SECRET = "5ecre7c0ffee5ecre7c0ffee5ecre7c0"


class TestKey:
    @pytest.mark.parametrize("value", ["", ",", ",,", "%20", "credits,", ",credits", "credits,,images"])
    def test_nothing_appended(self, tmdb, installed, film, value):
        """What names nothing to append, if only in part, is a call of its own, for servers differ in what they drop."""
        one = f"{film}?api_key=any&append_to_response={value}"
        others = [f"{film}?api_key=any{more}" for more in ("", "&append_to_response=credits")]
        for url in (*others, f"{others[-1]},images", one):
            assert not requests.get(url, timeout=5).from_cache
        assert requests.get(one, timeout=5).from_cache
        assert installed.key(one) == f"{KEY}?append_to_response={value}"

    def test_one_appended(self, cache, film):
        """Repeats are none among those appended, blanks are."""
        assert cache.key(film, {"append_to_response": "credits,credits"}) == f"{KEY}?append_to_response=credits"
        assert cache.key(film, {"append_to_response": "b, a,b"}) == f"{KEY}?append_to_response=%20a,b"

    @pytest.mark.parametrize(
        "params", [[1], [(1, 2, 3)], [None], [()], ["x"], [("a",)], 7, object(), {"a": 1}.items, [[1, 2, 3]]]
    )
    def test_params_that_requests_refuses(self, cache, film, params):
        """What requests would refuse has no key, and is no error."""
        with pytest.raises((ValueError, TypeError)):
            requests.Request("GET", film, params=params).prepare()
        assert cache.key(film, params) is None
        assert cache.key(film, params=params) is None

    @pytest.mark.parametrize(
        "ending", ["/.", "/%2E", "/%2e", "/./", "/%2E/", "/x/..", "/x/%2E%2e", "/x/../", "/x/%2e./"]
    )
    def test_a_path_that_ends_in_dots(self, cache, film, ending):
        """Dots that requests resolves are none; what it only decodes is sent, and such a call is never cached."""
        assert bool(cache.explain(film + ending).straight) == ("%" in ending)
        if "%" not in ending:
            assert cache.key(film + ending) == f"{KEY}/"

    @pytest.mark.parametrize("path", ["/..", "/%2E%2E", "/%2e%2e/..", "/x/%2E%2E/%2E%2E"])
    def test_a_path_that_goes_above_the_root(self, tmdb, cache, path):
        """What goes up from the root is resolved by requests, or never cached."""
        sent = requests.Request("GET", f"{tmdb.url}{path}{MOVIE}").prepare().url
        assert (cache.explain(f"{tmdb.url}{path}{MOVIE}").key == KEY) == (".." not in sent)

    @pytest.mark.parametrize("host", ["api.themoviedb.org", "api.tmdb.org", "API.TheMovieDB.org", "api.tmdb.org."])
    @pytest.mark.parametrize(
        ("port", "is_own"), [("", True), (":80", True), (":443", True), (":81", False), (":8443", False)]
    )
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_ports(self, cache, host, port, is_own, scheme):
        """TMDB's own hosts are TMDB at the ports of HTTP, named or not, and at no other; http has keys of its own."""
        own = f"GET {'http://' if scheme == 'http' else ''}api.themoviedb.org{MOVIE}"
        assert cache.key(f"{scheme}://{host}{port}{MOVIE}") == (own if is_own else None)

    @pytest.mark.parametrize("port", ["", ":443"])
    @pytest.mark.parametrize("query", ["", "?language=de", "?language=de&api_key=another"])
    def test_url_of_a_hit(self, tmdb, installed, collection, port, query):
        """A hit has the URL that was asked for, also that of TMDB's own host."""
        get(tmdb)
        get(tmdb, params={"language": "de"})
        make_tmdbs_own(collection)
        for params in (None, {"api_key": "more"}):
            prepared = requests.Request(
                "GET", f"https://api.themoviedb.org{port}{MOVIE}{query}", params=params
            ).prepare()
            response = requests.get(f"https://api.themoviedb.org{port}{MOVIE}{query}", params=params, timeout=5)
            assert (response.from_cache, response.url) == (True, prepared.url)
            assert response.request.url == prepared.url

    @pytest.mark.parametrize(
        "name", ["api_\N{KELVIN SIGN}ey", "\N{LATIN SMALL LETTER LONG S}ession_id", "API_\N{KELVIN SIGN}EY"]
    )
    def test_folded(self, tmdb, cache, film, collection, name):
        """A name that folds to a credential's is one: its value is in no key and no document."""
        assert SECRET not in str(cache.key(film, {name: SECRET}))
        with enabled(cache):
            get(tmdb, params={name: SECRET})
        for found in collection.database.list_collection_names():
            assert SECRET not in str(list(collection.database[found].find()))


class TestStraight:
    @pytest.mark.parametrize("query", ["a\0b", "\0", "x\0"])
    def test_nul(self, tmdb, installed, collection, query):
        """A NUL in the query goes straight through."""
        for _ in range(2):
            response = requests.get(f"{tmdb.url}/3/search/movie", params={**ANY_KEY, "query": query}, timeout=5)
            assert not response.from_cache
            assert status_of(response) == {"fwd": "bypass"}
        assert tmdb.count == 2
        assert list(collection.find()) == []

    @pytest.mark.parametrize(
        "query", ["callback+=x", "+callback=x", "a=1&+jsonp+=x", "callback+[]=x", "a=1&%20callback%20=x"]
    )
    def test_callback_between_spaces(self, cache, film, query):
        """A JSONP callback with spaces around its name is one, however they are written."""
        assert cache.key(f"{film}?{query}") != KEY
        assert not cache.explain(f"{film}?{query}").key

    def test_no_nul(self, tmdb, installed):
        """What only looks like one does not."""
        for _ in range(2):
            response = requests.get(f"{tmdb.url}/3/search/movie", params={**ANY_KEY, "query": "100 %0"}, timeout=5)
        assert response.from_cache

    @pytest.mark.parametrize(
        "name",
        [
            *("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range", "Origin"),
            *("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override"),
        ],
    )
    def test_headers(self, tmdb, installed, stored, name):
        """A call that asks for something other than the plain answer, in capitals or not, goes straight through."""
        for spelt in (name, name.upper(), name.lower()):
            before = tmdb.count
            response = get(tmdb, headers={spelt: "x"})
            assert status_of(response) == {"fwd": "bypass"}
            assert tmdb.count == before + 1


class TestStored:
    @pytest.mark.parametrize(
        "name",
        ["Authorization", "AUTHENTICATION-INFO", "Proxy-Authorization", "Cookie", "Set-Cookie", "Set-Cookie2"],
    )
    def test_credentials_of_the_answer(self, tmdb, cache, collection, name):
        """Headers of an answer that are there for credentials are never stored, whatever they say."""
        tmdb.answer(MOVIE, headers={name: "x", "X-Other": "y"}, body=b'{"id": 550}')
        with enabled(cache):
            assert get(tmdb).headers[name] == "x"
            again = get(tmdb)
        assert again.from_cache
        assert again.headers["X-Other"] == "y"
        assert name not in again.headers
        assert name.lower() not in {header.lower() for header in collection.find_one()["headers"]}

    def test_a_header_that_is_no_string(self, tmdb, cache, collection, superseded):
        """A header's value of one of BSON's own kinds of strings makes the document no entry."""
        collection.update_one({"_id": KEY}, {"$set": {"headers.X-Code": bson.Code("x")}})
        assert replaced(tmdb, cache, collection)

    @pytest.mark.parametrize(
        "said", [f"Sun, 01 Mar {'9' * 30} 12:00:00 GMT", f"Sun, 01 Mar 2026 12:00:00 +{'9' * 30}", "soon", "0"]
    )
    def test_expires_at_no_time(self, tmdb, make_cache, caplog, said):
        """An Expires that names no time there is means expired (RFC 9111 section 5.3), and fails nothing."""
        cache = make_cache(cache_control=True)
        tmdb.answer(MOVIE, headers={"Expires": said}, body=b'{"id": 550}')
        with enabled(cache):
            first, second = get(tmdb), get(tmdb)
        assert (first.from_cache, second.from_cache, tmdb.count) == (False, False, 2)
        assert [info.expires_at <= info.timestamp for info in cache.entries()] == [True]
        assert warnings(caplog) == []

    @pytest.mark.parametrize("number", [1, 2**31 - 1, 2**31, 2**40, 2**53])
    def test_ids(self, tmdb, cache, make_cache, collection, tmp_path, number):
        """An id comes back as the plain number that it is, however large."""
        tmdb.answer(f"/3/movie/{number}", body=b'{"id": %d}' % number)
        with enabled(cache):
            get(tmdb, f"/3/movie/{number}")
        cache.export_entries(tmp_path / "all")
        other = make_cache(collection="other")
        other.import_entries(tmp_path / "all")
        for one in (cache, other):
            (found,) = one.entries(media_type="movie", tmdb_id=number)
            assert (type(found.tmdb_id), found.tmdb_id) == (int, number)
            assert one.invalidate(media_type="movie", tmdb_id=number) == 1

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            *((0, 0), (550, 550), (2**63 - 1, 2**63 - 1), (2**63, None), (2**64, None)),
        ],
    )
    def test_labelled_by_the_answer(self, tmdb, cache, collection, given, kept):
        """What is asked for by another database's id is labelled with the answer's own, if that has 64 bits at most."""
        path = "/3/movie/tt0137523/credits"
        tmdb.answer(path, body=json.dumps({"id": given, "cast": []}).encode())
        with enabled(cache):
            get(tmdb, path)
        found = collection.find_one({"media_type": "movie"})
        assert (found["tmdb_id"], found["endpoint"]) == (kept, "/3/movie/{movie_id}/credits")

    def test_the_longest_time(self, tmdb, make_cache, tmp_path):
        """What is kept for as long as TMDB's terms allow, to the moment, may be imported."""
        cache, other = make_cache(expire_after=-1, stale_if_error=True), make_cache(collection="other")
        with enabled(cache):
            get(tmdb)
        cache.export_entries(tmp_path / "all")
        other.import_entries(tmp_path / "all")
        (found,) = other.entries()
        assert found.expires_at == found.purge_at == found.timestamp + timedelta(days=180)

    def test_redirected(self, tmdb, cache, collection):
        """After a redirect whose Location repeats params a hit names all of them, with the caller's own credential."""
        there = f"{tmdb.url}{MOVIE}?language=de&api_key={{}}&region=US&empty="
        tmdb.answer("/3/movie/1", status=301, headers={"Location": there.format(SECRET)})
        with enabled(cache):
            live, hit = (get(tmdb, "/3/movie/1", params={"api_key": key}) for key in (SECRET, "another"))
        assert (live.url, live.from_cache) == (there.format(SECRET), False)
        assert (hit.url, hit.from_cache) == (there.format("another"), True)
        assert SECRET not in str(list(collection.find()))

    def test_not_to_be_stored(self, tmdb, cache, collection):
        """An answer that MongoDB does not take says neither that it was stored nor how long it is fresh."""
        collection.database.create_collection(collection.name, validator={"never": 1})
        with enabled(cache):
            response = get(tmdb)
        assert response.status_code == 200
        assert status_of(response) == {"fwd": "uri-miss"}


def test_the_largest_document():
    """A document is made as large as MongoDB takes it, with some room for the command around it."""
    limit = 16 * 2**20
    assert to_bson(entry(body=b"x" * (limit - 18 * 2**10)), None)[0] is not None
    assert to_bson(entry(body=b"x" * (limit - 8 * 2**10)), None)[0] is None
    raw, with_data = to_bson(entry(body=b"x" * (limit - 18 * 2**10)), {"x": "x" * 4000})
    assert (raw is not None, with_data) == (True, False)


@pytest.mark.parametrize("found", [None, "text", b"", 1, [], [KEY], object()])
def test_no_document(found):
    """What is no document holds no entry."""
    assert from_document(found, KEY) is None


def test_the_rules_by_themselves():
    """Where no settings are given the rules are those of the settings' defaults."""
    assert Policy() == CacheConfig().policy


class TestStaleIfError:
    @pytest.mark.parametrize("value", [None, False, 0])
    def test_none(self, tmdb, make_cache, collection, value):
        """stale_if_error=None is none, as False and 0 are: what has expired stands in for no failure."""
        cache = make_cache(stale_if_error=value)
        assert cache.config.policy.stale_if_error == 0
        with enabled(cache):
            get(tmdb)
            expire(collection)
            tmdb.fail("503")
            assert get(tmdb).status_code == 503
