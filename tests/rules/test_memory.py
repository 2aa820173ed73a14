"""The tier in memory by itself: what it keeps, for how long, in how many bytes, from how many threads and processes."""

from __future__ import annotations

import gc
import time
import tracemalloc
from sys import getsizeof
from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmdb_mongo_cache import fork
from tmdb_mongo_cache.core import memory
from tmdb_mongo_cache.core.memory import Memory, forget_everything, forget_key, forget_titles, size_of
from tmdb_mongo_cache.httpcache.models import Entry, Hop
from tmdb_mongo_cache.mongo.document import CODEC_OF_HITS, from_document, to_bson
from tmdb_mongo_cache.tmdb.invalidation import touched_by

from ..entrykit import entry

HOUR = 3600
MIB = 2**20
HEADERS = {
    "Server": "openresty",
    "Date": "Sun, 22 Nov 2026 17:03:32 GMT",
    "Vary": "accept-encoding, Origin",
    "Content-Type": "application/json;charset=utf-8",
    "Cache-Control": "public, max-age=26236",
    "ETag": 'W/"8aef9e5e39bad33084e5a4c1bd929b6a"',
    "X-Cache": "Miss from cloudfront",
}
FULL = {**HEADERS, **{f"X-More-{number}": "v" * 40 for number in range(30)}}
HOP = Hop("https://api.themoviedb.org/3/x", 301, "Moved Permanently", {}, b"")


def made(key: str, size: int = 100, **changes: Any) -> Entry:
    """Make an entry whose body tells its key."""
    return entry(key=key, body=key.encode().ljust(size), **changes)


def keep(tier: Memory, *entries: Entry) -> None:
    for one in entries:
        tier.put(one, tier.moment(one.key))


def kept(tier: Memory, keys: str) -> str:
    return "".join(key for key in keys if tier.get(key) is not None)


def test_what_is_put_is_got() -> None:
    """An entry is found under its key and no other, and the last one put there counts."""
    tier = Memory(HOUR, MIB)
    keep(tier, made("a"), made("b"), new := made("a", status=404))
    assert tier.get("a") == new
    assert tier.get("b") == made("b")
    assert tier.get("c") is None


def test_nothing_is_kept_past_its_seconds() -> None:
    """After its seconds an entry is gone and takes no bytes, also when it was used meanwhile."""
    tier = Memory(0.15, MIB)
    keep(tier, made("a"))
    time.sleep(0.08)
    keep(tier, made("b"))
    assert kept(tier, "ab") == "ab"
    time.sleep(0.09)
    assert kept(tier, "ab") == "b"
    assert tier.bytes == size_of(made("b"))


def test_an_entry_put_anew_is_kept_anew() -> None:
    """Seconds count from the last time an entry was put."""
    tier = Memory(0.15, MIB)
    keep(tier, made("a"))
    time.sleep(0.08)
    keep(tier, made("a"))
    time.sleep(0.08)
    assert kept(tier, "a") == "a"


def test_what_is_larger_than_the_tier_is_not_kept() -> None:
    """An entry that does not fit is not kept, costs no other its place, and the old one of its key is not served."""
    tier = Memory(HOUR, 2 * size_of(made("a")))
    keep(tier, made("a"), made("b"), made("a", 10_000))
    assert kept(tier, "ab") == "b"
    keep(tier, made("c", 10_000))
    assert kept(tier, "abc") == "b"


def test_the_last_used_stay() -> None:
    """Where room is needed, those not used for longest go first, and getting is using."""
    tier = Memory(HOUR, 3 * size_of(made("a")))
    keep(tier, made("a"), made("b"), made("c"))
    assert tier.get("a") is not None
    keep(tier, made("d"))
    assert kept(tier, "abcd") == "acd"
    keep(tier, made("e", 2 * size_of(made("a"))))
    assert kept(tier, "abcde") == "e"


def test_forgetting_a_title_uses_nothing() -> None:
    """Looking for the entries of one title changes nothing about which of the others goes first."""
    tier = Memory(HOUR, 3 * size_of(made("a")))
    keep(tier, made("a"), made("b"), made("c"))
    assert tier.get("a") is not None
    tier.forget_all(lambda one: one.key == "x")
    keep(tier, made("d"))
    assert kept(tier, "abcd") == "acd"


_KEYS = st.sampled_from("abcdef")
_STEP = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.integers(0, 5000)),
    st.tuples(st.sampled_from(["get", "forget", "title"]), _KEYS, st.just(0)),
    st.tuples(st.just("everything"), st.just(""), st.just(0)),
)


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(_STEP, max_size=40), room=st.integers(1000, 12_000))
def test_a_tier_is_a_mapping_that_may_forget(steps: list[tuple[str, str, int]], room: int) -> None:
    """Whatever is done, a tier gives the entry put last or none, and all it keeps is what it counts, within bounds."""
    tier, last = Memory(HOUR, room), dict[str, Entry]()
    for what, key, size in steps:
        if what == "put":
            last[key] = made(key, size, tmdb_id=key)
            keep(tier, last[key])
            assert (tier.get(key) is last[key]) is (size_of(last[key]) <= room)
        elif what == "get":
            assert tier.get(key) in (None, last.get(key))
        elif what == "forget":
            tier.forget(key)
            assert tier.get(key) is None
        elif what == "title":
            tier.forget_all(lambda one, key=key: one.tmdb_id == key)
            assert tier.get(key) is None
        else:
            tier.forget_all()
        found = [tier.get(one) for one in "abcdef"]
        assert tier.bytes == sum(size_of(one) for one in found if one is not None) <= room
        if what == "everything":
            assert not any(found)


@pytest.mark.parametrize(
    "forgetting",
    [
        lambda tier: tier.forget("a"),
        lambda tier: tier.forget_all(),
        lambda tier: tier.forget_all(lambda one: one.key == "a"),
        lambda _: forget_key("a"),
        lambda _: forget_titles("movie", [550]),
        lambda _: forget_everything(),
    ],
    ids=["key", "all", "some", "key everywhere", "title everywhere", "everything everywhere"],
)
def test_what_was_read_before_a_forgetting_is_not_kept(forgetting: Any) -> None:
    """An entry looked up before its key was to be forgotten is not put; one looked up afterwards is."""
    tier = Memory(HOUR, MIB)
    since = tier.moment("a")
    forgetting(tier)
    tier.put(made("a", media_type="movie", tmdb_id=550), since)
    assert tier.get("a") is None
    keep(tier, made("a"))
    assert tier.get("a") is not None


def test_forgetting_a_key_does_not_stop_the_others() -> None:
    """Entries that are being looked up while another key is forgotten are stored all the same."""
    tier = Memory(HOUR, MIB)
    others = [f"other {number}" for number in range(20)]
    since = {key: tier.moment(key) for key in others}
    tier.forget("a")
    for key in others:
        tier.put(made(key), since[key])
    assert sum(tier.get(key) is not None for key in others) >= 15


def test_all_tiers_of_the_process_forget() -> None:
    """forget_key, forget_titles and forget_everything reach every tier, and no more than they name."""
    tiers = [Memory(HOUR, MIB) for _ in range(3)]
    for tier in tiers:
        titles = {"a": ("movie", 1), "b": ("movie", 1), "c": ("tv", 1), "d": ("movie", 2), "e": (None, None)}
        keep(tier, *(made(key, media_type=kind, tmdb_id=number) for key, (kind, number) in titles.items()))
    forget_titles("movie", [1])
    assert [kept(tier, "abcde") for tier in tiers] == ["cde"] * 3
    forget_key("c", but=tiers[1])
    assert [kept(tier, "abcde") for tier in tiers] == ["de", "cde", "de"]
    forget_everything()
    assert [tier.bytes for tier in tiers] == [0] * 3


def test_dropped_tiers_leave_nothing_behind() -> None:
    """A tier that nobody holds any more is gone from what the module knows, with its entries."""
    gc.collect()
    before = (len(memory._all_tiers()), len(fork._objects))
    tiers = [Memory(HOUR, MIB) for _ in range(20)]
    for tier in tiers:
        keep(tier, made("a"))
        tier.forget_all(lambda one: one.key == "x")
    assert len(memory._all_tiers()) == before[0] + 20
    del tiers, tier
    gc.collect()
    assert (len(memory._all_tiers()), len(fork._objects)) == before


def as_read(one: Entry) -> Entry:
    """Return an entry as it is read from MongoDB, sharing nothing."""
    raw, _ = to_bson(one, None)
    assert raw is not None
    found = from_document(bson.decode(raw.raw, codec_options=CODEC_OF_HITS), one.key)
    assert found is not None
    return found


LONG = "https://api.themoviedb.org/3/search/movie?query=" + "q" * 6000
LARGE: dict[str, dict[str, Any]] = {
    "small": {},
    "no headers": {"headers": {}},
    "body": {"body": b"x" * 24_000},
    "reason": {"reason": LONG},
    "media_type": {"media_type": LONG},
    "endpoint": {"endpoint": LONG},
    "tmdb_id": {"tmdb_id": LONG},
    "url": {"url": LONG},
    "url of other letters": {"url": LONG + "\U0001f600"},
    "header's name": {"headers": {LONG: ""}},
    "header's value": {"headers": {"X": LONG}},
    "40 headers": {"headers": FULL},
    "redirected": {"url": HOP.url, "history": (HOP,)},
    "redirects": {"url": HOP.url, "history": (HOP,) * 20},
    "redirect's body": {"url": HOP.url, "history": (HOP._replace(body=b"x" * 24_000),)},
    "redirect's reason": {"url": HOP.url, "history": (HOP._replace(reason=LONG),)},
    "redirects with headers": {"url": HOP.url, "history": (HOP._replace(headers=FULL),) * 3},
}


@pytest.mark.parametrize("changes", LARGE.values(), ids=LARGE)
def test_an_entry_is_counted_as_what_it_takes(changes: dict[str, Any]) -> None:
    """What an entry takes in memory, as measured, is about what it is counted as, whatever is large in it."""
    count = 100
    tier = Memory(HOUR, 100 * MIB)
    model = made("a", 200, headers=HEADERS, media_type="movie", endpoint="/3/movie/{movie_id}", tmdb_id=1000)
    model = model._replace(**changes)
    keep(tier, as_read(model))
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(count):
            keep(tier, as_read(model._replace(key=f"GET api.themoviedb.org/3/movie/{number}")))
        gc.collect()
        real = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    counted = tier.bytes / (count + 1)
    assert real < 1.1 * counted
    assert counted < 1.4 * real  # nor is room for entries given away


def test_sizes() -> None:
    """A size counts every part: each text, in the width of its letters, each header, the body and the redirects."""
    plain = entry(etag=None)
    size = memory.size_of(plain)
    for more in (
        {"body": plain.body + b"x" * 100},
        {"reason": plain.reason + "x" * 100},
        {"key": plain.key + "x" * 100},
    ):
        assert memory.size_of(plain._replace(**more)) == size + 100
    assert memory.size_of(plain._replace(url="x" * 100)) == size + 100
    assert memory.size_of(plain._replace(media_type="x" * 50)) == size + 100
    assert memory.size_of(plain._replace(endpoint="x" * 50)) == size + 100
    assert memory.size_of(plain._replace(tmdb_id="x" * 50)) == size + 100
    assert memory.size_of(plain._replace(tmdb_id=550)) == size
    assert memory.size_of(plain._replace(reason="語" * 100)) > memory.size_of(plain._replace(reason="a" * 100))
    hop = Hop("https://x/", 301, "", {}, b"x" * 100)
    one, two = (memory.size_of(plain._replace(history=(hop,) * count)) for count in (1, 2))
    assert two - one == one - size > 200
    headers = {"a": "b" * 100}
    assert memory.size_of(plain._replace(headers=headers)) == size + 101 + 100 + getsizeof(headers) - getsizeof({})


def test_a_closed_tier() -> None:
    """It holds nothing, and nothing more comes in."""
    tier = memory.Memory(60.0, 10**6)
    made = entry()
    tier.put(made, tier.moment(made.key))
    assert (tier.get(made.key), tier.bytes) == (made, memory.size_of(made))
    tier.close()
    tier.put(made, tier.moment(made.key))
    assert (tier.get(made.key), tier.bytes) == (None, 0)


def test_what_is_forgotten() -> None:
    """A key, a title, what a write touched, or everything, in each tier of the process but the one that is told."""
    film, show = entry(media_type="movie", tmdb_id=550), entry(key="GET x/3/tv/1", media_type="tv", tmdb_id=550)
    tiers = [memory.Memory(60.0, 10**6) for _ in range(2)]

    def left(forget: Any) -> list[list[bool]]:
        for tier in tiers:
            for one in (film, show):
                tier.put(one, tier.moment(one.key))
        forget()
        return [[tier.get(one.key) is not None for one in (film, show)] for tier in tiers]

    assert left(lambda: memory.forget_key(film.key)) == [[False, True]] * 2
    assert left(lambda: memory.forget_key(film.key, but=tiers[0])) == [[True, True], [False, True]]
    assert left(lambda: memory.forget_key(5)) == [[True, True]] * 2
    assert left(lambda: memory.forget_titles("movie", {550})) == [[False, True]] * 2
    assert left(lambda: memory.forget_titles("movie", {551})) == [[True, True]] * 2
    touched = touched_by("https://api.themoviedb.org/3/movie/550/rating")
    assert left(lambda: memory.forget_touched(touched)) == [[False, True]] * 2
    assert left(lambda: memory.forget_touched(())) == [[True, True]] * 2
    assert left(memory.forget_everything) == [[False, False]] * 2


def test_what_is_over_takes_no_room() -> None:
    """An entry whose seconds are over is not counted."""
    tier = memory.Memory(0.05, 10**6)
    tier.put(one := entry(), tier.moment(one.key))
    assert tier.bytes > 0
    time.sleep(0.06)
    assert tier.bytes == 0


def test_a_tier_is_of_its_process() -> None:
    """It is renewed in a forked child, and the end of another tier does not take it from the others' sight."""
    tiers = [Memory(60.0, 10**6) for _ in range(3)]
    assert set(tiers) <= set(fork._objects)
    keep(tiers[0], made("a"))
    del tiers[1]
    gc.collect()
    forget_key("a")
    assert tiers[0].get("a") is None


def test_a_look_up_does_not_replace_what_is_stored_meanwhile() -> None:
    """An entry that was looked up before another was stored is older than that."""
    tier = Memory(60.0, 10**6)
    since = tier.moment("a")
    tier.store(new := made("a", status=404), tier.moment("a"))
    tier.put(made("a"), since)
    assert tier.get("a") == new


def test_a_write_is_about_a_title() -> None:
    """Whatever host its entry is of, and by no other title's."""
    tier = Memory(60.0, 10**6)
    about: dict[str, Any] = {"endpoint": "/3/movie/{movie_id}", "media_type": "movie", "tmdb_id": 550}
    keep(tier, made("a", **about), made("b", **{**about, "tmdb_id": 551}), made("c", **{**about, "media_type": "tv"}))
    keep(tier, made("d", **{**about, "endpoint": None}))
    memory.forget_touched(touched_by("https://api.themoviedb.org/3/movie/550/rating"))
    assert kept(tier, "abcd") == "bcd"
