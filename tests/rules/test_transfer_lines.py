"""The lines of a copy: whatever an entry holds comes back from its line."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from tmdb_mongo_cache.httpcache.models import Entry, Hop
from tmdb_mongo_cache.httpcache.storable_headers import storable
from tmdb_mongo_cache.mongo.bulk import Copy, entry_of, item_of
from tmdb_mongo_cache.tmdb import credentials
from tmdb_mongo_cache.tmdb.cache_key import key_of_url
from tmdb_mongo_cache.tmdb.privacy import query_bypass_reason
from tmdb_mongo_cache.transfer import file_format, validation

from ..keykit import BASE, PAIRS, fast

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
BODY = st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
HEADERS = st.dictionaries(TEXT, TEXT, max_size=4).map(storable)
MOMENT = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone.utc)
)
URL = st.just("https://api.themoviedb.org/3/movie/1?x=\u2028")
HOP = st.builds(Hop, URL, st.integers(300, 399), TEXT, HEADERS, BODY)
ENTRY = st.builds(
    Entry,
    key=TEXT,
    status=st.sampled_from([200, 404]),
    reason=st.text(st.characters(codec="utf-8"), max_size=10),
    headers=HEADERS,
    body=BODY,
    timestamp=MOMENT,
    expires_at=MOMENT,
    purge_at=MOMENT,
    tmdb_id=st.one_of(st.none(), st.integers(0, 2**63 - 1), TEXT),
    media_type=st.one_of(st.none(), TEXT),
    endpoint=st.one_of(st.none(), TEXT),
    validated_at=st.one_of(st.none(), MOMENT),
    url=URL,
    history=st.lists(HOP, max_size=2).map(tuple),
)


@fast
@given(st.builds(Copy, ENTRY, st.one_of(st.none(), MOMENT)))
def test_line_and_back(copy: Copy) -> None:
    """An entry comes back from its line as it was, the order of its headers included, and a line is one line."""
    line = file_format.to_line(copy)
    assert line.decode().splitlines() == [line.decode().rstrip("\n")]
    found = entry_of(file_format.from_line(line))
    assert found == copy
    assert found is not None
    assert list(found.entry.headers) == list(copy.entry.headers)
    first, second = item_of(copy, {"a": 1}, None), item_of(found, {"a": 1}, None)
    assert first is not None
    assert second is not None
    assert (first.raw.raw, first.bare.raw) == (second.raw.raw, second.bare.raw)


@fast
@given(st.binary(max_size=200))
def test_any_line(line: bytes) -> None:
    """Whatever stands in a line, it is an entry or a sentence."""
    with suppress(ValueError):
        assert entry_of(file_format.from_line(line)) is None


@fast
@given(PAIRS)
def test_every_key_that_is_made_is_taken(params: list[tuple[str, str]]) -> None:
    """A key that the cache makes of a call is one that an import knows for its own."""
    key = key_of_url(BASE, params)
    if key is None or "#" in key or query_bypass_reason(key.partition("?")[2], params):
        return
    if credentials.query_bypass_reason(params):
        return
    moment = datetime(2026, 11, 22, tzinfo=timezone.utc)
    entry = Entry(key, 200, "OK", {}, b"{}", moment, moment, moment)
    assert validation.why_refused(Copy(entry), frozenset(), moment + timedelta(days=1)) == ""
