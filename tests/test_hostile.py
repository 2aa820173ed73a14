"""Generated documents that nobody should have written, put straight into the collection and met by real calls.

The oracle: what comes of a call is what TMDB gave for it, or nothing (offline a miss is an OfflineError).
"""

import contextlib
import copy
import random
import struct
from datetime import datetime, timedelta, timezone

import bson
import pymongo
import pytest
import requests
from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

from tmdb_mongo_cache import OfflineError, TMDBSession, enabled
from tmdb_mongo_cache.errors import StoreError

from .flowkit import ANY_KEY, expire, get

pytestmark = pytest.mark.any_database

FILMS = 60
REQUIRED = ("status", "reason", "headers", "body", "timestamp", "expires_at", "purge_at", "schema")
OPTIONAL = ("checksum", "validated_at", "url", "history", "tmdb_id", "media_type", "endpoint", "data", "extra", "_x")
DATES = ("timestamp", "expires_at", "purge_at", "validated_at")
ODD = [
    *(None, True, False, 0, -1, 1, 2, 200, 404, 2**31, -(2**63), 2**63 - 1, Int64(200), Int64(1), 1.0, 200.0),
    *(float("nan"), float("inf"), -0.0, "", "x", "200", "a\x00b", "\r\nX: y", "é千\U0001f600", "https://[", "\u2028"),
    *(b"", b"x", b"\x80\x05pickle.", Binary(b"{}", 5), Binary(b"{}", 128), Binary(bytes(16), 4), Binary(bytes(16), 3)),
    *(ObjectId(), Timestamp(2**32 - 1, 1), Regex("(", "x"), Regex("a", "ilmsux"), Code("x"), Code("x", {"a": 1})),
    *(DBRef("a", "b"), DBRef("a", "b", "c"), {"$ref": "a", "$id": 1}, Decimal128("NaN"), Decimal128("200")),
    *(MinKey(), MaxKey(), [], {}, [[]], [None], {"": ""}, {"a": {"b": []}}, {"$gt": ""}, ["https://x"], [{}]),
    *(DatetimeMS(2**63 - 1), DatetimeMS(-(2**63)), DatetimeMS(253402300800000), DatetimeMS(-62135596800001)),
    *(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999000), datetime(1970, 1, 1), "2026-11-22T10:00:00Z"),
]
HEADERS = [
    *({"ETag": '"\r\n'}, {"ETag": ""}, {"ETag": "é千"}, {"ETag": "x" * 100_000}, {"Age": "9" * 40}, {"Age": "-1"}),
    *({"Date": "x"}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "br, x"}, {"Content-Length": "1"}, {"": ""}),
    *({"Content-Type": ""}, {"Content-Type": "a/b;charset"}, {"Content-Type": "\xa0;=;"}, {"Link": "<"}, {"a": "\x00"}),
    *({"Cache-Status": ";;"}, {"Set-Cookie": "a=b"}, {"Location": "https://["}, {"etag": "1", "ETag": "2"}),
    *(
        {"Cache-Control": 'max-age="' + "9" * 5000},
        {"Expires": "Mon, 99 Foo 99999 99:99:99"},
        {"Transfer-Encoding": "x"},
    ),
]
HOP = {"url": "https://api.themoviedb.org/3/movie/1", "status": 301, "reason": "x", "headers": {}, "body": b""}
URLS = [
    *("", "x", "//", "http://[", "http://a:99999/", "http://a:b", "https://api.themoviedb.org", "\x00", "http:///x"),
    *("file:///etc/passwd", "https://user:pass@h/", "javascript:1", "http://h/?api_key=", "http://h/\x00", "https://é"),
]
NO_ANSWERS = [
    *(b"", b" ", b"null", b"1", b'"x"', b"{", b"[", b"[" * 100_000, b'{"a":' * 60_000, b"\xff\xfe", b"\x00" * 9, b"x"),
    *(b'{"success":false}', b'{"status_code":7,"status_message":"x"}', b'{"id":550}{', b'{"id":' + b"9" * 5000 + b"}"),
    *(b"<html>", b'\xef\xbb\xbf{"a"', b'{"a":"\xff"}', b'{"a":1,}', "{".encode("utf-16"), b"{}\x00", b"\x1f\x8b\x08"),
]


def deep(dice):
    """Return what is nested nearly as deeply as a server takes."""
    found = "x"
    for _ in range(dice.randint(20, 90)):
        found = [found] if dice.random() < 0.5 else {dice.choice(["a", "", "$or", "a.b"]): found}
    return found


def odd(dice):
    """Return a value that no field is meant for; sometimes a large one."""
    chance = dice.random()
    if chance < 0.1:
        return deep(dice)
    if chance < 0.12:
        return dice.choice(["x" * 300_000, ["x"] * 9000, {str(n): "x" for n in range(3000)}, b"{" * 300_000])
    return copy.deepcopy(dice.choice(ODD))


# Each changes a good document; what it returns goes into the collection.


def one_field(dice, document, _):
    document[dice.choice(REQUIRED + OPTIONAL)] = odd(dice)
    return document


def many_fields(dice, document, _):
    for name in dice.sample(REQUIRED + OPTIONAL, dice.randint(2, 6)):
        document[name] = odd(dice)
    return document


def nothing_right(dice, document, _):
    return {name: odd(dice) for name in REQUIRED + OPTIONAL if dice.random() < 0.8} | {"_id": document["_id"]}


def missing(dice, document, _):
    for name in dice.sample(REQUIRED, dice.randint(1, 3)):
        del document[name]
    return document


def other_schema(dice, document, _):
    document["schema"] = dice.choice([0, 2, -1, 2**40, "1", True, 1.5, None, [1], Int64(2)])
    document["body"] = b'{"id": 666}'
    return document


def cut_body(dice, document, _):
    document["body"] = document["body"][: dice.randrange(len(document["body"]))]
    return document


def no_answer(dice, document, _):
    document["body"] = dice.choice(NO_ANSWERS)
    if dice.random() < 0.3:
        document["checksum"] = odd(dice)
    return document


def other_status(dice, document, _):
    document["status"] = dice.choice([404, 404, 201, 204, 301, 304, 401, 500, 0, -200, 2**40, Int64(404), 200.0, "200"])
    return document


def dates(dice, document, _):
    now = datetime.now(timezone.utc)
    for name in dice.sample(DATES, dice.randint(1, 4)):
        span = dice.choice([1, 60, 3600, 86400, 10**7, 10**10])
        ahead = DatetimeMS(int(now.timestamp() * 1000) + dice.randint(-span * 1000, span * 1000))
        document[name] = dice.choice([ahead, odd(dice)])
    return document


def headers(dice, document, _):
    changed = {**document["headers"], **dice.choice(HEADERS)}
    if dice.random() < 0.4:
        changed[dice.choice(["ETag", "Date", "x", "a.b", "$x", "é", "x" * 9999])] = odd(dice)
    document["headers"] = changed if dice.random() < 0.9 else odd(dice)
    return document


def redirects(dice, document, _):
    hops = [
        {**HOP, dice.choice(list(HOP)): odd(dice)} if dice.random() < 0.7 else HOP for _ in range(dice.randint(1, 3))
    ]
    hops[0] = {**hops[0], "headers": dice.choice([{}, {"Location": dice.choice(URLS)}, {"location": "/3/movie/2"}])}
    document["history"] = hops if dice.random() < 0.9 else [*hops, odd(dice)]
    document["url"] = dice.choice([*URLS, odd(dice), HOP["url"], document.get("url")])
    if dice.random() < 0.3:
        document["history"][0]["url"] = dice.choice(URLS)
    return document


def another_films(dice, document, documents):
    other = copy.deepcopy(documents[dice.choice(list(documents))])
    other["_id"] = document["_id"]
    # Whole it would be believed, as what somebody has edited by hand.
    return cut_body(dice, other, None)


def of_requests_cache(dice, document, _):
    found = {"_id": document["_id"], "content": b'{"id": 666}', "_content": b'{"id": 666}', "status_code": 200}
    found |= {"url": "https://x", "headers": {}, "request": {"method": "GET", "url": "https://x"}, "encoding": "utf-8"}
    found |= {"created_at": datetime.now(timezone.utc), "cookies": [], "reason": "OK", "history": [], "elapsed": 0.1}
    changed = {dice.choice(list(found)): odd(dice) for _ in range(dice.randint(0, 2))} | {"_id": document["_id"]}
    return {**found, **changed} if dice.random() < 0.5 else {"_id": document["_id"], "data": {**found, **changed}}


RAW = [(0x06, b""), (0x0E, b"\x02\x00\x00\x00x\x00"), (0x0C, b"\x02\x00\x00\x00x\x00" + bytes(12)), (0x7F, b"")]
RAW += [(0x02, b"\x04\x00\x00\x00\xff\xc0\xaf\x00"), (0x05, b"\x06\x00\x00\x00\x02\x02\x00\x00\x00{}"), (0x08, b"\x01")]


def odd_bytes(dice, document, _):
    """Types that BSON has given up, text that is no UTF-8, and fields that are there twice."""
    name, (kind, value) = dice.choice(REQUIRED + OPTIONAL), dice.choice(RAW)
    if dice.random() < 0.7:
        document.pop(name, None)
    inner = bson.encode(document)[4:-1] + bytes([kind]) + name.encode() + b"\x00" + value
    return RawBSONDocument(struct.pack("<i", len(inner) + 5) + inner + b"\x00")


def damaged_bytes(dice, document, _):
    """A document of which bytes were changed or cut off in storage; most are refused by the server."""
    document["body"] = b'{"id": 666'
    encoded = bytearray(bson.encode({**document, "data": None}))
    start = encoded.index(document["_id"].encode()) + len(document["_id"]) + 1
    for _ in range(dice.randint(1, 3)):
        encoded[dice.randrange(start, len(encoded) - 1)] = dice.randrange(256)
    if dice.random() < 0.2:
        cut = dice.randrange(start, len(encoded))
        encoded = struct.pack("<i", cut + 1) + encoded[4:cut] + b"\x00"
    return RawBSONDocument(bytes(encoded))


def harmless(dice, document, _):
    """What other versions or people may add; it is an entry all the same."""
    document.update({f"note{n}": odd(dice) for n in range(dice.randint(0, 3))})
    return document


KINDS = [
    *(one_field, one_field, many_fields, nothing_right, missing, other_schema, cut_body, no_answer, other_status),
    *(dates, headers, redirects, another_films, of_requests_cache, odd_bytes, odd_bytes, harmless),
]
UNREADABLE = (odd_bytes, damaged_bytes)
MISSES = (nothing_right, missing, other_schema, cut_body, no_answer, other_status, another_films, of_requests_cache)


class Attack:
    """Good documents of real answers, and what is made of them; the same for the same seed."""

    def __init__(self, tmdb, cache, collection, seed, films=FILMS):
        self.tmdb, self.collection, self.dice = tmdb, collection, random.Random(seed)
        self.wanted, self.good, self.served, self.missed = {}, {}, 0, 0
        tmdb.answer("/3/movie/1", status=301, headers={"Location": "/3/movie/2?api_key=any"})
        paths = ["/3/movie/1", "/3/movie/999999999", *(f"/3/movie/{n}" for n in range(3, films + 1))]
        with enabled(cache):
            for path in paths:
                response = get(tmdb, path, params=ANY_KEY)
                key = response.cache_key
                self.wanted[key] = (path, response.status_code, response.content, response.json())
                self.good[key] = collection.find_one({"_id": key})
        assert len(self.good) == films
        assert all(self.good.values())
        self.calls = tmdb.count

    def batch(self, kinds=KINDS):
        """Put one hostile document under each key; return what kind each is."""
        made = {key: self.dice.choice(kinds) for key in self.good}
        documents = [kind(self.dice, copy.deepcopy(self.good[key]), self.good) for key, kind in made.items()]
        self.collection.delete_many({})
        whole = [one for one, kind in zip(documents, made.values(), strict=True) if kind is not damaged_bytes]
        if whole:
            with contextlib.suppress(pymongo.errors.BulkWriteError):  # not even MongoDB takes them all
                self.collection.insert_many(whole, ordered=False)
            assert self.collection.count_documents({}) > len(whole) * 0.75
        for one, kind in zip(documents, made.values(), strict=True):
            if kind is damaged_bytes:
                with contextlib.suppress(pymongo.errors.PyMongoError, bson.errors.BSONError):
                    self.collection.insert_one(one)
        return made

    def judge(self, key, kind, response):
        """Hold what came of a call against what TMDB gave; None is a miss."""
        if response is None:
            self.missed += 1
            assert kind is not harmless, key
            return
        self.served += 1
        _, status, content, data = self.wanted[key]
        assert (response.status_code, response.content) == (status, content), (key, kind.__name__)
        assert kind not in MISSES or kind is other_status, (key, kind.__name__)
        # All that a program may look at can be looked at.
        seen = (response.headers, response.url, response.reason, response.links, response.encoding, response.cookies)
        assert isinstance(dict(seen[0]), dict)
        assert isinstance(seen[1], str)
        assert isinstance(seen[2], str)
        assert response.request.url
        assert all(isinstance(hop.url + repr(hop.headers), str) for hop in response.history)
        assert response.raw.read() == b""
        assert response.is_expired in (True, False)
        assert repr(response)
        if kind is not headers and kind not in UNREADABLE:
            assert response.json() == data


def offline(session, attack, path, *, plain=True):
    """Make a call that never reaches TMDB; None where the cache has no answer."""
    request = requests.Request("GET", attack.tmdb.url + path, params=ANY_KEY)
    try:
        if plain:
            return session.get(request.url, params=ANY_KEY)
        return session.send(session.prepare_request(request))
    except OfflineError:
        return None


def flood(attack, session, number):
    """Meet so many hostile documents, every other batch by the slow way; list and empty the collection as well."""
    for batch in range(number // FILMS):
        made = attack.batch([damaged_bytes] if batch % 16 == 15 else KINDS)
        for key, kind in made.items():
            attack.judge(key, kind, offline(session, attack, attack.wanted[key][0], plain=batch % 4 != 1))
        if batch % 8 == 0:
            try:
                found = [info.key for info in session.cache.entries()]
            except StoreError:
                found = []  # see test_entries_unreadable
            assert set(found) <= set(made)
    assert attack.tmdb.count == attack.calls
    assert attack.served > number / 20
    assert attack.missed > number / 3


@pytest.fixture
def attack(tmdb, cache, collection):
    return Attack(tmdb, cache, collection, 550)


@pytest.fixture
def few(tmdb, cache, collection):
    """The same for single documents."""
    return Attack(tmdb, cache, collection, 550, 12)


@pytest.fixture
def offline_session(make_cache):
    with TMDBSession(make_cache(offline=True)) as session:
        yield session


def test_hostile(attack, offline_session):
    """A hostile document is a miss or TMDB's own answer, and raises nothing, whoever reads it."""
    flood(attack, offline_session, 480)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(4))
def test_hostile_soak(tmdb, cache, collection, offline_session, part):
    """100,000 hostile documents are misses or TMDB's own answers, and raise nothing."""
    flood(Attack(tmdb, cache, collection, 1000 + part), offline_session, 25_020)


@pytest.mark.soak
def test_hostile_live(attack, make_cache, collection):
    """Where TMDB answers, a hostile document under the key changes nothing of what the caller gets."""
    with TMDBSession(make_cache(store_timeout=10)) as session:
        for _ in range(4):
            made = attack.batch()
            # Some are stale, so that TMDB is asked whether what is there has changed.
            moment = datetime.now(timezone.utc) - timedelta(minutes=1)
            collection.update_many({"status": 200, "expires_at": {"$type": "date"}}, {"$set": {"expires_at": moment}})
            for key, kind in made.items():
                path, status, content, _ = attack.wanted[key]
                response = session.get(attack.tmdb.url + path, params=ANY_KEY, timeout=20)
                assert (response.status_code, response.content) == (status, content), (key, kind.__name__)
        assert attack.tmdb.count > attack.calls + 2 * FILMS


@pytest.fixture
def cached_session(make_tmdb_session):
    return make_tmdb_session(expire_after=3600, stale_if_error=True)


def flood_cached(attack, session, kinds, number):
    for batch in range(number // FILMS):
        made = attack.batch([damaged_bytes] if batch % 8 == 7 else kinds)
        for key, kind in made.items():
            url = attack.tmdb.url + attack.wanted[key][0]
            response = session.get(url, params=ANY_KEY, only_if_cached=True)
            if response.status_code == 504:
                attack.missed += 1
                continue
            attack.served += 1
            _, status, content, _ = attack.wanted[key]
            assert (response.status_code, response.content) == (status, content), (key, kind.__name__)
            assert repr(response)
            assert str(response)
            assert isinstance(dict(response.headers), dict)
    assert attack.tmdb.count == attack.calls
    assert attack.served > number / 20
    assert attack.missed > number / 3


def test_requests_cache(attack, cached_session):
    """Under a session of requests-cache a hostile document is a miss or TMDB's own answer, and raises nothing."""
    flood_cached(attack, cached_session, KINDS, 240)


def test_requests_cache_own_form(attack, cached_session):
    """What has requests-cache's form but not ours is no answer of TMDB to a session of requests-cache either."""
    flood_cached(attack, cached_session, [of_requests_cache, harmless], 120)


def test_requests_cache_by_hand(attack, cached_session):
    """What people do by hand to a session's cache works with hostile documents in it, whatever their _id is."""
    attack.batch()
    attack.collection.insert_many([{"_id": one} for one in (1, {"a": 1}, b"x", None, 2.5, "x", ObjectId())])
    cache = cached_session.cache
    assert len(cache.responses) > FILMS / 2
    assert all(isinstance(response, requests.Response) for response in cache.filter(expired=True, invalid=True))
    cache.delete(expired=True, invalid=True)
    cache.clear()
    assert attack.collection.count_documents({}) == 0


def test_by_hand(attack, cache):
    """entries() lists hostile documents or passes over them, invalidate() and clear() delete them."""
    kinds = [kind for kind in KINDS if kind not in UNREADABLE]
    for _ in range(4):
        attack.batch(kinds)
        attack.collection.insert_many([{"_id": one, "schema": 1} for one in (1, {"a": 1}, b"x", None, 2.5, ObjectId())])
        found = list(cache.entries())
        assert {info.key for info in found} <= set(attack.good)
        assert len({info.key for expired in (True, False) for info in cache.entries(expired=expired)}) == len(found)
        assert all(repr(info) and info.purge_at.tzinfo for info in found)
        for key in list(attack.good)[:9]:
            there = attack.collection.count_documents({"_id": key})
            assert cache.invalidate(f"{attack.tmdb.url}{attack.wanted[key][0]}?api_key=any") == there
        there = attack.collection.count_documents({"media_type": "movie", "tmdb_id": 30})
        assert cache.invalidate(media_type="movie", tmdb_id="30") == there
        there = attack.collection.count_documents({})
        assert (cache.clear(), attack.collection.count_documents({})) == (there, 0)


def test_entries_unreadable(few, cache):
    """One document that cannot be read keeps no other from being listed."""
    few.batch([harmless])
    few.collection.delete_one({"_id": list(few.good)[5]})
    inner = bson.encode({"_id": list(few.good)[5], "media_type": "xx"})
    few.collection.insert_one(RawBSONDocument(inner.replace(b"xx\x00", b"\xff\xfe\x00")))
    assert len(list(cache.entries())) == 12 - 1


def test_code_for_an_url(few, offline_session):
    """A JavaScript value in place of an URL makes a miss, and no failure of the database is counted."""
    few.batch([harmless])
    key = list(few.good)[3]
    few.collection.update_one({"_id": key}, {"$set": {"history": [{**HOP, "url": Code("x")}], "url": HOP["url"]}})
    assert offline(offline_session, few, few.wanted[key][0]) is None
    assert offline_session.cache.stats().store_errors == 0


LEASES = ("owner", "until", "rest_until", "open_until", "purge_at", "taken", "open", "rest", "after", "extra")


def lease(dice, key):
    """Return a lease as nobody should have left it."""
    now = int(datetime.now(timezone.utc).timestamp() * 1000)
    found = {"_id": key}
    for name in LEASES:
        if dice.random() < 0.6:
            far = DatetimeMS(now + dice.choice([-1, 1]) * dice.choice([10**5, 10**9, 10**13]))
            found[name] = far if dice.random() < 0.3 else odd(dice)
    return found


def flood_leases(attack, cache, number):
    with TMDBSession(cache) as session:
        for _ in range(number // FILMS):
            attack.collection.delete_many({})
            leases = attack.collection.database["tmdb_cache_leases"]
            leases.delete_many({})
            leases.insert_many([lease(attack.dice, key) for key in attack.good])
            before = attack.tmdb.count
            for path, status, content, _ in attack.wanted.values():
                response = session.get(attack.tmdb.url + path, params=ANY_KEY, timeout=20)
                assert (response.status_code, response.content) == (status, content), path
            assert attack.tmdb.count == before + FILMS + 1  # one of them is redirected
            assert attack.collection.count_documents({}) == FILMS
    assert session.cache.stats().stored >= number


def test_leases(attack, make_cache):
    """Whatever a lease says, each call is answered by TMDB, once, and stored; nothing is raised."""
    flood_leases(attack, make_cache(), 120)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_leases_soak(attack, make_cache, cached_session):
    """The same for 3,000 leases, and for 3,000 documents under a session of requests-cache."""
    flood_leases(attack, make_cache(), 3_000)
    attack.calls, attack.served, attack.missed = attack.tmdb.count, 0, 0
    flood_cached(attack, cached_session, KINDS, 3_000)


@pytest.mark.parametrize("value", [DatetimeMS(2**62), "bytes", "huge"])
def test_leases_unreadable(few, make_cache, value):
    """A lease that cannot be read, or is as large as documents get, stops no other call's answer from being stored."""
    key = list(few.good)[3]
    document = bson.encode({"_id": key, "until": "xx", "huge": b"x" * (2**24 - 80) if value == "huge" else value})
    raw = document.replace(b"xx\x00", b"\xff\xfe\x00") if value == "bytes" else document
    leases = few.collection.database["tmdb_cache_leases"]
    leases.delete_many({})
    leases.insert_one(RawBSONDocument(raw))
    few.collection.delete_many({})
    with TMDBSession(make_cache()) as session:
        for key in list(few.good)[3:6]:
            path, status, content, _ = few.wanted[key]
            response = session.get(few.tmdb.url + path, params=ANY_KEY, timeout=20)
            assert (response.status_code, response.content) == (status, content)
    assert few.collection.count_documents({}) >= 2


def test_renewing(few, make_cache, collection):
    """A stale document whose headers MongoDB does not take in an update stops no other answer from being stored."""
    key = list(few.good)[3]
    expire(collection, key)
    document = collection.find_one({"_id": key})
    document["headers"] |= {"$x": "1"}
    collection.replace_one({"_id": key}, document)
    collection.delete_one({"_id": list(few.good)[4]})
    with TMDBSession(make_cache()) as session:
        for key in list(few.good)[3:5]:
            assert session.get(few.tmdb.url + few.wanted[key][0], params=ANY_KEY).content == few.wanted[key][2]
    assert collection.count_documents({}) == 12


def test_requests_cache_url(few, cached_session):
    """An url that is none, in a document without redirects, raises nothing in a session of requests-cache."""
    key = list(few.good)[3]
    path, status, content, _ = few.wanted[key]
    raised = {}
    for url in [*URLS, *ODD]:
        few.collection.update_one({"_id": key}, {"$set": {"url": url}})
        try:
            response = cached_session.get(few.tmdb.url + path, params=ANY_KEY, only_if_cached=True)
            assert (response.status_code, response.content) in ((status, content), (504, b""))
        except Exception as error:
            raised[repr(url)] = repr(error)
    assert raised == {}
