"""Following TMDB's feed of changes: what becomes stale, what is left alone, and what a failure leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from tmdb_mongo_cache import ConfigError, StoreError, StoreUnavailable, enabled
from tmdb_mongo_cache.errors import UpstreamError
from tmdb_mongo_cache.standin import StandIn

from .flowkit import START, get, now, sent, status_of

KINDS = ("movie", "tv", "person")
LAG = timedelta(hours=8)
HOUR = timedelta(hours=1)
SECRET = "5ecre7" * 5


@pytest.fixture(autouse=True)
def _short_feed(tmdb: StandIn) -> None:
    tmdb.feed_pages = dict.fromkeys(KINDS, 0)


@pytest.fixture
def state(collection: Any) -> Any:
    """The collection that says how far the feed was followed."""
    return collection.database["tmdb_cache_changes"]


@pytest.fixture
def follow(cache: Any, tmdb: StandIn) -> Any:
    """Follow the feed with this test's cache, or another."""

    def follow(own: Any = None, **options: Any) -> Any:
        return (own or cache).refresh_changes(**{"api_key": SECRET, "base_url": tmdb.url, "rate": 5000, **options})

    return follow


@pytest.fixture
def keep(cache: Any, tmdb: StandIn, collection: Any) -> Any:
    """Fetch answers into the cache, let them be some time old and fresh for long; return their keys."""

    def keep(*paths: str, own: Any = None, old: timedelta = timedelta(days=3), **times: datetime) -> list[str]:
        keys = []
        with enabled(own or cache):
            for path in paths:
                keys.append(get(tmdb, path).cache_key)
        where = collection.database[own.config.collection] if own else collection
        times = {"timestamp": now() - old, "expires_at": now() + timedelta(days=30), **times}
        where.update_many({"_id": {"$in": keys}}, {"$unset": {"validated_at": ""}})  # its fetch may have been a 304
        assert where.update_many({"_id": {"$in": keys}}, {"$set": times}).matched_count == len(keys)
        return keys

    return keep


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def done_day() -> date:
    """A day that is over, at whatever time this test runs."""
    return datetime.now(timezone.utc).date() - timedelta(days=2)


def stale(collection: Any) -> list[str]:
    return sorted(item["_id"] for item in collection.find({"expires_at": {"$lte": now()}}))


def key(path: str) -> str:
    return f"{START}{path}"


def pages_read(tmdb: StandIn, since: int = 0) -> list[tuple[str, str, str]]:
    """What was read of the feed: kind, day and page."""
    feed = [call for call in tmdb.calls[since:] if call.path.endswith("/changes")]
    return [(c.path.split("/")[2], c.arguments["start_date"], c.arguments["page"]) for c in feed]


def own_feed(tmdb: StandIn, of_page: Any) -> None:
    """Let films have a feed of the test's own: ``of_page(day, page)`` gives ids (None: null), total_pages and rows."""

    def answer(call: Any) -> None:
        if call.path == "/3/movie/changes":
            ids, total, *count = of_page(call.arguments["start_date"], int(call.arguments["page"]))
            rows = None if ids == ["no row"] else [{"id": number, "adult": None} for number in ids]
            tmdb.answer(
                call.path, body=json.dumps({"results": rows, "total_pages": total, "total_results": count}).encode()
            )

    tmdb.on_call = answer


ABOUT = (
    "/3/movie/550",
    "/3/movie/550?language=de",
    "/3/movie/550?append_to_response=credits,images",
    "/3/movie/550-fight-club/credits",
    "/3/movie/404404",
    "/3/movie/tt0137523",
    "/3/tv/1399",
    "/3/tv/1399/season/1?language=de",
    "/3/tv/1399/season/1/episode/2/credits",
    "/3/person/287/movie_credits",
)
OTHERS = ("/3/movie/551", "/3/tv/550", "/3/person/550", "/3/movie/popular", "/3/search/movie?query=550")


def test_all_about_what_changed_and_nothing_else(tmdb, keep, follow, collection):
    """All entries about a changed film, show or person become stale, 404s and other ids included; and no other."""
    tmdb.answer("/3/movie/tt0137523", body=b'{"id": 550, "imdb_id": "tt0137523"}')
    tmdb.fail("404", path="/404404")
    about = keep(*ABOUT)
    tmdb.heal()
    keep(*OTHERS)
    for path in ("/3/movie/550", "/3/movie/404404", "/3/tv/1399/season/1", "/3/person/287"):
        tmdb.change(path)
    report = follow()
    assert stale(collection) == sorted(about)
    assert (report.followed, report.changed, report.stale) == (True, 4, len(ABOUT))
    assert (report.unknown, report.fetched, report.failed) == (0, 0, ())
    assert report.pages == len(pages_read(tmdb))


def test_a_part_asked_for_by_another_id(tmdb, keep, follow, collection):
    """A film's sub-resource that was asked for by another database's id becomes stale with the film."""
    tmdb.answer("/3/movie/tt0137523/credits", body=b'{"id": 550, "cast": [], "crew": []}')
    found = keep("/3/movie/tt0137523/credits")
    tmdb.change("/3/movie/550")
    follow()
    assert stale(collection) == found


def test_a_stale_entry_is_validated(tmdb, keep, follow, cache, collection):
    """The next call asks TMDB with the entry's ETag, a 304 makes it fresh, and it counts as fetched then."""
    (found,) = keep("/3/movie/550")
    tmdb.change("/3/movie/551")
    tmdb.change("/3/movie/550")
    body = get(tmdb, "/3/movie/550").content
    collection.update_one({"_id": found}, {"$set": {"headers.ETag": get(tmdb, "/3/movie/550").headers["ETag"]}})
    follow()
    assert collection.find_one({"_id": found})["changed_at"] <= now()
    with enabled(cache):
        assert get(tmdb, "/3/movie/550").status_code == 200
    assert "if-none-match" in sent(tmdb)
    assert tmdb.calls[-1].status == 304
    assert "changed_at" not in collection.find_one({"_id": found})
    assert body
    assert follow().stale == 0
    assert stale(collection) == []


def test_a_stale_entry_stands_in(tmdb, keep, follow, cache):
    """Where TMDB fails, what a change made stale is still served."""
    keep("/3/movie/550")
    tmdb.change("/3/movie/550")
    follow()
    tmdb.fail("503", path="/3/movie/550")
    with enabled(cache):
        answer = get(tmdb, "/3/movie/550")
    assert (answer.status_code, answer.from_cache, answer.is_expired) == (200, True, True)
    assert status_of(answer)["fwd"] == "stale"


def test_what_was_fetched_long_after_a_day(tmdb, keep, follow, collection):
    """Fetched or confirmed more than eight hours after the end of the change's day is known to be good."""
    late = midnight(done_day()) + timedelta(days=1) + LAG
    keep("/3/movie/1", timestamp=late)
    keep("/3/movie/2", validated_at=late)
    early = keep("/3/movie/3", timestamp=late - timedelta(seconds=1))
    early += keep("/3/movie/4", validated_at=late - timedelta(seconds=1))
    for number in (1, 2, 3, 4):
        tmdb.change(f"/3/movie/{number}", day=done_day())
    follow()
    assert stale(collection) == early


def test_second_look(tmdb, keep, follow, collection, state):
    """What was fetched within eight hours after an id was first seen is stale once those are over, and once only."""
    keep("/3/movie/1", "/3/movie/2", "/3/movie/3")
    for number in (1, 2, 3):
        tmdb.change(f"/3/movie/{number}")
    assert follow().stale == 3
    keep("/3/movie/1", old=2 * HOUR)
    keep("/3/movie/2", old=HOUR / 2)
    keep("/3/movie/3", validated_at=now() - HOUR / 2)
    assert follow().stale == 0
    for note in list(state.find({"seen": {"$exists": True}})):
        assert [sorted(batch["ids"]) for batch in note["seen"]] == [[1, 2, 3]]
        state.update_one({"_id": note["_id"]}, {"$set": {"seen.0.at": now() - LAG - HOUR}})
    assert follow().stale == 1
    assert stale(collection) == [key("/3/movie/1")]
    keep("/3/movie/1", old=2 * HOUR)
    assert follow().stale == 0


def test_last_look(tmdb, keep, follow, collection, state):
    """When a day is over, all that was ever seen on it and fetched before that is stale, and its note is gone."""
    day = done_day()
    end = midnight(day) + timedelta(days=1)
    early = keep("/3/movie/1", timestamp=end + LAG - HOUR)
    keep("/3/movie/2", timestamp=end + LAG + HOUR)
    state.insert_one({"_id": "movie", "done_until": midnight(day)})
    seen = [{"at": midnight(day), "ids": [1, 2], "settled": True}]
    state.insert_one({"_id": f"movie {day}", "seen": seen})
    tmdb.change("/3/movie/3", day=day)
    follow()
    assert stale(collection) == early
    assert state.find_one({"_id": f"movie {day}"}) is None
    assert state.find_one({"_id": "movie"})["done_until"] > midnight(day)


def test_a_rerun_changes_nothing(tmdb, keep, follow, cache, collection):
    """A rerun changes no entry, reads no page of a day that is done, and leaves alone what was fetched meanwhile."""
    tmdb.feed_pages = {"movie": 2, "tv": 1, "person": 1}
    keep("/3/movie/1", "/3/movie/2", "/3/tv/3")
    tmdb.change("/3/movie/1")
    tmdb.change("/3/movie/2", day=done_day())
    assert follow().stale == 2
    before, read = list(collection.find()), tmdb.count
    assert follow().stale == 0
    assert list(collection.find()) == before
    today = datetime.now(timezone.utc)
    not_done = (today - LAG).date().isoformat()
    assert {day for _, day, _ in pages_read(tmdb, read)} <= {not_done, today.date().isoformat()}
    with enabled(cache):
        get(tmdb, "/3/movie/1")
        get(tmdb, "/3/movie/2")
    assert follow().stale == 0
    assert stale(collection) == []


def test_fourteen_days(tmdb, keep, follow, collection):
    """The feed is read fourteen days back, each day by itself and to the next; what is older than that is stale."""
    old = keep("/3/movie/1", old=timedelta(days=40))
    keep("/3/movie/2", old=timedelta(days=5))
    report = follow()
    asked = [call.arguments for call in tmdb.calls if call.path == "/3/movie/changes"]
    days = [date.fromisoformat(item["start_date"]) for item in asked]
    assert len(days) == 14
    assert days == [days[-1] - timedelta(days=13 - number) for number in range(14)]
    assert all(date.fromisoformat(i["end_date"]) == d + timedelta(days=1) for i, d in zip(asked, days, strict=True))
    assert (report.stale, report.unknown) == (1, 1)
    assert stale(collection) == old


def test_a_long_absence(tmdb, keep, follow, collection, state):
    """After a longer absence what was fetched before 08:00 of the first day that can be read is stale."""
    keep("/3/movie/3", old=HOUR)
    follow()
    first = midnight(datetime.now(timezone.utc).date() - timedelta(days=13))
    old = keep("/3/movie/1", timestamp=first + LAG - HOUR)
    keep("/3/movie/2", timestamp=first + LAG + timedelta(days=1))
    keep("/3/tv/1", timestamp=first + LAG - HOUR)
    state.replace_one({"_id": "movie"}, {"done_until": first - timedelta(days=1)}, upsert=True)
    assert follow().unknown == 1
    assert stale(collection) == old
    assert follow().unknown == 0


def test_a_young_cache(tmdb, keep, follow, state):
    """A first run reads only the days its entries may lack, of the kinds there are; others count as followed."""
    keep("/3/movie/1", old=HOUR)
    before = datetime.now(timezone.utc)
    follow()
    read = pages_read(tmdb)
    assert {kind for kind, _, _ in read} == {"movie"}
    assert min(day for _, day, _ in read) >= (before - LAG - HOUR).date().isoformat()
    assert len(read) <= 2
    assert all(state.find_one({"_id": kind})["done_until"] for kind in ("tv", "person"))


def test_the_first_entry_of_a_kind_may_be_eight_hours_old(follow, state):
    """Where there was no entry yet, the days that the first one may lack are not taken for done."""
    follow()
    assert state.find_one({"_id": "tv"})["done_until"] <= midnight((now() - LAG).date())


# What the feed may look like


def test_nulls_and_repeats(tmdb, keep, follow, collection):
    """Rows with nulls and repeats do no harm, nor do ids that nobody has an entry of."""
    found = keep("/3/movie/1", "/3/movie/2")
    own_feed(tmdb, lambda day, page: ([1, None, 1, 99] if page == 1 else [None, 2, 1], 2))
    report = follow()
    assert (report.changed, report.stale) == (3, 2)
    assert stale(collection) == found


def test_pages_that_shift_and_grow(tmdb, keep, follow, collection):
    """Pages that grow while they are read are read to the end."""
    found = keep("/3/movie/1", "/3/movie/2", "/3/movie/3")
    own_feed(tmdb, lambda day, page: {1: ([3, 2], 2), 2: ([2, 7], 3), 3: ([1], 3)}[page])
    assert follow().changed == 4
    assert stale(collection) == found


@pytest.mark.parametrize("total", [2, None, "3"])
def test_a_later_page_that_says_there_are_fewer(tmdb, keep, follow, collection, total):
    """A page out of an older cache, or with nonsense for a number, does not end the reading too soon."""
    found = keep("/3/movie/1")
    own_feed(tmdb, lambda day, page: {1: ([3], 3), 2: ([2], total), 3: ([1], 3)}[page])
    follow()
    assert stale(collection) == found


def test_a_row_that_slips_to_the_page_before(tmdb, keep, follow, collection):
    """A row that moves up a page, because one before it went away, is not lost when the day is done."""
    found = keep("/3/movie/1")
    asked = set()

    def of_page(day, page):
        first = (day, page) not in asked
        asked.add((day, page))
        rows = [5, 4, 3, 1, 2] if page == 1 and first else [5, 4, 1, 2]
        return rows[3 * page - 3 : 3 * page], 2, len(rows)

    own_feed(tmdb, of_page)
    follow()
    assert stale(collection) == found


@pytest.mark.soak
def test_more_pages_than_tmdb_gives(tmdb, keep, follow, collection):
    """A day with more than five hundred pages makes all of its kind stale, and those pages are all that is read."""
    early = keep("/3/movie/1", timestamp=midnight(done_day()) + HOUR)
    keep("/3/tv/1", timestamp=midnight(done_day()) + HOUR)
    whole = done_day().isoformat()
    own_feed(tmdb, lambda day, page: ([], 10**9 if day == whole else 1))
    follow(rate=10_000)
    assert stale(collection) == early
    assert sum(read[:2] == ("movie", whole) for read in pages_read(tmdb)) == 500


# What fails


NO_FEED = [b"[]", b"{}", b'"x"', b'{"results": {"id": 1}}', b'{"success": false, "status_code": 21}']


def test_what_is_no_feed(tmdb, keep, follow):
    """A 200 that is no page of a feed is an error in one sentence that says what to do."""
    keep("/3/movie/1")
    for body in NO_FEED:
        tmdb.answer("/3/movie/changes", body=body)
        with pytest.raises(
            UpstreamError, match=r"^TMDB's response for /3/movie/changes is not a page .*; run the command again"
        ):
            follow()


@pytest.mark.soak
def test_what_nests_too_deeply(tmdb, keep, follow):
    """A body that nests more deeply than Python can read is no feed either."""
    keep("/3/movie/1")
    tmdb.answer("/3/movie/changes", body=b"[" * 200_000)
    with pytest.raises(UpstreamError):
        follow()


def test_a_refusal_is_not_repeated(tmdb, keep, follow):
    """A refused call is an error with its status at once, without the key in it."""
    keep("/3/movie/1")
    for number, status in enumerate((400, 404), 1):
        tmdb.fail(str(status), 1, "/changes")
        with pytest.raises(UpstreamError, match=rf"^TMDB failed for /3/movie/changes \(status {status}\)") as caught:
            follow()
        assert SECRET not in str(caught.value)
        assert len(pages_read(tmdb)) == number


def test_a_tomorrow_that_tmdb_does_not_take(tmdb, keep, follow, collection):
    """Where TMDB refuses a range that ends tomorrow, the day is asked for alone."""
    found = keep("/3/movie/1")
    tmdb.change("/3/movie/1")

    def refuse(call):
        if (
            call.path == "/3/movie/changes"
            and call.arguments["end_date"] > datetime.now(timezone.utc).date().isoformat()
        ):
            tmdb.fail("422", 1, "/3/movie/changes")

    tmdb.on_call = refuse
    follow()
    assert stale(collection) == found
    tmdb.on_call = None
    tmdb.fail("422", path="/changes")
    with pytest.raises(UpstreamError, match="rejects the params"):
        follow()


def test_a_wrong_key(tmdb, keep, follow, make_cache):
    """A key that TMDB does not accept is an error in one sentence after one call, and holds up nobody."""
    keep("/3/movie/1")
    with pytest.raises(UpstreamError, match=r"^TMDB rejects the API key \(status 401\)$"):
        follow(api_key="invalid")
    assert len(pages_read(tmdb)) == 1
    assert follow(make_cache()).followed


def test_a_tmdb_that_fails_again_and_again(tmdb, keep, follow):
    """A TMDB that goes on failing ends in one sentence with what it said, after some attempts."""
    keep("/3/movie/1")
    tmdb.fail("503", path="/changes", retry_after=0)
    with pytest.raises(
        UpstreamError, match=r"^TMDB failed for /3/movie/changes \(status 503\); run the command again to resume$"
    ):
        follow()
    assert len(pages_read(tmdb)) == 4


FAULTS = ["500", "429", "429 0", "429 1", "504", "reset", "not-json", "empty", "truncated", "gzip-unlabelled"]


def test_a_short_failure_is_survived(make_cache, collection, keep, follow):
    """A feed that fails once, in whatever way, is asked again, after as long as it says."""
    with ExitStack() as stack, ThreadPoolExecutor(len(FAULTS)) as pool:
        rounds = {}
        for number, fault in enumerate(FAULTS):
            standin = stack.enter_context(StandIn())
            standin.feed_pages = dict.fromkeys(KINDS, 0)
            own = make_cache(collection=f"c{number}", hosts=[standin.host])
            with enabled(own):
                get(standin, "/3/movie/1")
            standin.change("/3/movie/1")
            name, _, said = fault.partition(" ")
            standin.fail(name, 1, "/changes", retry_after=int(said) if said else None)
            rounds[fault] = pool.submit(follow, own, base_url=standin.url)
        assert {fault: future.result().stale for fault, future in rounds.items()} == dict.fromkeys(FAULTS, 1)


@pytest.mark.parametrize("day", [done_day(), None], ids=["done day", "today"])
def test_a_failure_half_way(tmdb, keep, follow, collection, state, day):
    """Whichever page fails, what was read before is done, and the next run does all the rest, and no more."""
    for failing in (1, 2, 3):
        found = keep(*(f"/3/movie/{number}" for number in (1, 2, 3)))
        state.delete_many({})
        broken = {failing}

        def of_page(asked, page, broken=broken):
            wanted = asked == str(day) if day else asked > str(done_day())
            ids = [page] if wanted else []
            return (["no row"] if wanted and page in broken else ids), 3

        own_feed(tmdb, of_page)
        with pytest.raises(UpstreamError):
            follow()
        assert stale(collection) == found[: failing - 1]
        broken.clear()
        assert follow().stale == 4 - failing
        assert stale(collection) == found
        assert follow().stale == 0


def test_a_killed_process(tmdb, keep, follow, collection, state, cache):
    """Where a process was killed half-way others wait for its lease, and then do all that it has left."""
    found = keep("/3/movie/1", "/3/movie/2")
    for number in (1, 2):
        tmdb.change(f"/3/movie/{number}", day=done_day())
    tmdb.feed_pages = {"movie": 2, "tv": 1, "person": 1}
    program = (
        "import sys; from tmdb_mongo_cache import TMDBCache; uri, database, host = sys.argv[1:]; "
        "TMDBCache(uri=uri, database=database, hosts=[host])"
        ".refresh_changes(api_key='any', base_url=f'http://{host}', rate=5000)"
    )
    arguments = [cache.config.uri, cache.config.database, tmdb.host]
    with subprocess.Popen([sys.executable, "-c", program, *arguments]) as process:

        def kill(call: Any) -> None:
            if call.arguments["page"] == "2":
                process.kill()

        tmdb.on_call = kill
        assert process.wait(60) == -9
    tmdb.on_call = None
    assert stale(collection) == []
    assert not follow().followed
    until = state.find_one({"_id": "lease"})["until"]
    assert timedelta(seconds=30) < until - now() <= timedelta(seconds=61)
    state.update_one({"_id": "lease"}, {"$set": {"until": now() - HOUR}})
    assert follow().stale == 2
    assert stale(collection) == found


def test_two_at_once(tmdb, keep, follow, make_cache, collection):
    """Of two caches at once one follows; the other says so, reads nothing and changes nothing."""
    keep("/3/movie/1")
    tmdb.change("/3/movie/1")
    other, reports = make_cache(), []

    def second(_: Any) -> None:
        tmdb.on_call = None
        reports.append(follow(other, prefetch=True))

    tmdb.on_call = second
    assert follow().stale == 1
    assert [(report.followed, report.pages, report.stale, report.fetched) for report in reports] == [(False, 0, 0, 0)]
    assert follow(other).followed


def test_two_threads_at_once(tmdb, keep, follow):
    """Of two threads of one cache one follows."""
    keep("/3/movie/1")
    reports = []

    def second(_: Any) -> None:
        tmdb.on_call = None
        reports.append(follow())

    tmdb.on_call = second
    follow()
    assert not reports[0].followed


def test_a_lost_lease(tmdb, keep, follow, collection, state):
    """Who loses the lease in the middle stops with a sentence, changes nothing more and leaves the other its lease."""
    keep("/3/movie/1")
    tmdb.change("/3/movie/1", day=done_day())
    tmdb.feed_pages = {"movie": 2, "tv": 0, "person": 0}
    lease = {"_id": "lease", "owner": "another", "until": now().replace(microsecond=0) + timedelta(seconds=60)}

    tmdb.on_call = lambda _: state.replace_one({"_id": "lease"}, lease)
    with pytest.raises(StoreError, match="another process follows the change feed now"):
        follow()
    assert stale(collection) == []
    assert state.find_one({"_id": "lease"}) == lease
    state.delete_one({"_id": "lease"})
    tmdb.on_call = None
    assert follow().stale == 1


LONG_AGO = datetime(1, 1, 1)
DAMAGED = [
    {"_id": "movie", "done_until": "yesterday"},
    {"_id": "movie", "done_until": LONG_AGO},
    {"_id": "movie", "done_until": datetime(9999, 12, 31)},
    {"_id": "movie", "seen": 5},
    {"_id": "movie {day}", "seen": "x"},
    {"_id": "movie {day}", "seen": [None, 5, {}, {"at": "x", "ids": [1]}, {"at": LONG_AGO, "ids": [None, "x", 2**62]}]},
    {"_id": "movie {day}", "seen": [{"at": LONG_AGO, "ids": 7}]},
    {"_id": "lease", "owner": 5, "until": "x"},
    {"_id": "lease", "until": None},
    {"_id": "movie nonsense"},
]


def test_damaged_state(tmdb, keep, follow, collection, state):
    """State that somebody else has damaged is read anew, and nothing that changed today stays fresh."""
    for document in DAMAGED:
        found = keep("/3/movie/1")
        tmdb.change("/3/movie/1")
        state.delete_many({})
        days = (datetime.now(timezone.utc).date() - timedelta(days=number) for number in range(2))
        for name in {str(document["_id"]).format(day=day) for day in days}:
            state.insert_one({**document, "_id": name})
        follow()
        assert stale(collection) == found, document
        assert follow().stale == 0, document


@pytest.mark.parametrize("damaged", [5, "2020-01-01", datetime(1, 1, 1)])
def test_an_entry_with_a_damaged_time(tmdb, keep, follow, collection, damaged):
    """An entry whose timestamp somebody has damaged does not keep a first run from reading what the others need."""
    found = keep("/3/movie/1")
    collection.insert_one({"_id": "x", "media_type": "movie", "tmdb_id": 5, "timestamp": damaged})
    tmdb.change("/3/movie/1", day=done_day())
    follow()
    assert key("/3/movie/1") in stale(collection)
    assert found


def test_an_id_that_no_database_holds(tmdb, keep, follow, collection):
    """An id in the feed that no database can hold harms no other."""
    found = keep("/3/movie/1")
    own_feed(tmdb, lambda day, page: ([1, 2**70], 1))
    follow()
    assert stale(collection) == found


def test_without_mongodb(tmdb, follow, make_cache):
    """Without MongoDB it is a StoreError in one sentence that says what to do, and TMDB is not called."""
    away = make_cache(uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200")
    with pytest.raises(StoreUnavailable, match=r"^MongoDB at mongodb://127\.0\.0\.1:9/.* does not answer: start it"):
        follow(away)
    assert tmdb.count == 0


def test_offline_and_disabled(tmdb, follow, make_cache):
    """A cache that is offline or disabled is refused with a sentence."""
    for setting in ("offline", "disabled"):
        with pytest.raises(ConfigError, match="offline and disabled must not be set"):
            follow(make_cache(**{setting: True}))
    assert tmdb.count == 0


REFUSED = [
    ({"api_key": None}, "TMDB needs an API key: set TMDB_API_KEY"),
    ({"api_key": " \n"}, "TMDB needs an API key"),
    ({"api_key": "5ecre7 key"}, "characters that no TMDB key has"),
    ({"rate": 0}, "rate must be"),
    ({"rate": float("nan")}, "rate must be"),
    ({"rate": True}, "rate must be"),
    ({"connections": 21}, "connections must be from 1 to 20"),
    ({"base_url": "http://127.0.0.1:1"}, "base_url must be"),
    ({"base_url": None}, "base_url must be"),
]


def test_what_cannot_be_used(tmdb, follow):
    """What cannot be used is a ConfigError in one sentence, without the key, and TMDB is not called."""
    for options, text in REFUSED:
        with pytest.raises(ConfigError, match=text) as caught:
            follow(**options)
        assert "5ecre7" not in str(caught.value)
    assert tmdb.count == 0


# How it is done


def test_one_update_for_a_thousand_ids(tmdb, keep, follow, collection):
    """A batch of a thousand ids is one update, by the index of titles, and so is every other look at the entries."""
    keep("/3/movie/1")
    own_feed(tmdb, lambda day, page: (range(1, 2301), 1) if day == done_day().isoformat() else ([], 1))
    database = collection.database
    database.command("profile", 2)
    try:
        assert follow(prefetch=True).stale == 1
    finally:
        database.command("profile", 0)
    found = list(database["system.profile"].find({"ns": collection.full_name, "op": {"$in": ["update", "query"]}}))
    updates = [item for item in found if item["op"] == "update" and item["command"]["multi"]]
    assert len(updates) == 3
    assert {item["planSummary"] for item in updates} == {"IXSCAN { media_type: 1, tmdb_id: 1 }"}
    assert max(item["docsExamined"] for item in updates) <= 1
    assert [item for item in found if "COLLSCAN" in item.get("planSummary", "")] == []


def test_memory_forgets_at_once(tmdb, follow, make_cache):
    """What this process has in memory of what changed, in whatever cache, is forgotten at once; the rest is not."""
    caches = [make_cache(memory_ttl=3600), make_cache(memory_ttl=3600)]

    def details() -> list[str]:
        found = []
        for own in caches:
            with enabled(own):
                found += [status_of(get(tmdb, f"/3/movie/{number}")).get("detail", "") for number in (1, 2)]
        return found

    details()
    details()
    assert details() == ["memory"] * 4
    tmdb.change("/3/movie/1")
    assert follow(caches[0]).stale == 1
    count = tmdb.count
    with enabled(caches[1]):
        assert not get(tmdb, "/3/movie/1").from_cache
        assert status_of(get(tmdb, "/3/movie/2"))["detail"] == "memory"
    assert tmdb.count == count + 1


def test_other_collections_are_not_touched(tmdb, keep, follow, make_cache, collection):
    """The entries of another cache in the same database, and how far it is, are its own."""
    other = make_cache(collection="other")
    keep("/3/movie/1")
    keep("/3/movie/1", own=other)
    tmdb.change("/3/movie/1")
    assert follow().stale == 1
    assert stale(collection.database["other"]) == []
    assert "other_changes" not in collection.database.list_collection_names()
    assert follow(other).stale == 1


ODD = (
    "/3/movie/1",
    "/3/movie/1?language=de&append_to_response=images,credits&include_image_language=de,null",
    "/3/movie/1?language=de&note=" + "x" * 600,
    "/3/movie/1/images?a=%26%3D%23%2B%20%25&b=%C3%A4%E2%82%AC&c=1%7C2",
    "/3/movie/1-f%C3%A4n%20cy/credits?page=2",
)


def test_prefetch(tmdb, keep, follow, cache, collection):
    """Prefetching asks again, as it was asked, for just what changes made stale and nobody fetched since."""
    wanted = keep(*ODD)
    keep("/3/movie/2", "/3/movie/3", "/3/movie/4")
    collection.update_one({"_id": key("/3/movie/3")}, {"$set": {"expires_at": now() - HOUR}})
    tmdb.change("/3/movie/4")
    assert follow().stale == 1
    with enabled(cache):
        get(tmdb, "/3/movie/4")
    for path in ("/3/movie/1", "/3/movie/3"):
        tmdb.change(path)
    assert follow().stale == len(ODD)
    assert collection.count_documents({"changed_at": {"$exists": True}}) == len(ODD)
    since = tmdb.count
    report = follow(prefetch=True)
    asked = [call for call in tmdb.calls[since:] if not call.path.endswith("/changes")]
    assert (report.fetched, report.failed) == (len(ODD), ())
    assert {cache.key(f"{tmdb.url}{c.path}", [p for p in c.query if p[0] != "api_key"]) for c in asked} == {*wanted}
    assert len(asked) == len(ODD)
    assert all(dict(call.query)["api_key"] == SECRET for call in asked)
    assert collection.count_documents({"changed_at": {"$exists": True}}) == 0
    assert stale(collection) == [key("/3/movie/3")]
    assert follow(prefetch=True).fetched == 0


def test_prefetch_after_a_redirect(tmdb, keep, follow, collection):
    """An answer that came through a redirect is asked for at its own address again, and fresh after that."""
    there = {"Location": f"{tmdb.url}/3/movie/1?language=en&api_key={SECRET}"}
    tmdb.answer("/3/movie/1/credits", status=301, headers=there)
    keep("/3/movie/1/credits")
    tmdb.change("/3/movie/1")
    assert follow().stale == 1
    follow(prefetch=True)
    assert stale(collection) == []
    assert follow(prefetch=True).fetched == 0


def test_prefetch_lists_failures(tmdb, keep, follow, collection):
    """What could not be fetched is listed with the reason, stays as it was, and is tried again the next time."""
    found = keep("/3/movie/1", "/3/movie/2")
    for number in (1, 2):
        tmdb.change(f"/3/movie/{number}")
    tmdb.fail("503", path="/3/movie/1")
    report = follow(prefetch=True)
    assert report.fetched == 1
    assert [name for name, _ in report.failed] == found[:1]
    assert "TMDB failed" in report.failed[0][1]
    tmdb.heal()
    time.sleep(0.1)
    assert follow(prefetch=True).fetched == 1


@pytest.mark.soak
def test_prefetch_keeps_to_the_rate(tmdb, keep, follow):
    """Prefetching makes no more calls a second than it may."""
    keep(*(f"/3/movie/{number}" for number in range(1, 8)))
    for number in range(1, 8):
        tmdb.change(f"/3/movie/{number}")
    follow()
    times: list[float] = []
    tmdb.on_call = lambda _: times.append(time.monotonic())
    assert follow(prefetch=True, rate=4).fetched == 7
    assert times[-1] - times[0] > (len(times) - 1) // 4 * 0.9
