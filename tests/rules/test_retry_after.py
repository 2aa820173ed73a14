"""Retry-After (RFC 9110 section 10.2.3), and the pauses after failures and 429s."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmdb_mongo_cache.httpcache.retry_after import pause_after, pause_at_limit, retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR = 3600


def said(value: str) -> float | None:
    return retry_after({"retry-AFTER": value}, NOW)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0),
            ("7", 7),
            (" 120 ", 120),
            ("007", 7),
            ("3600", 3600),
            ("3601", HOUR),
            ("9" * 5000, HOUR),
            ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
            ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
            ("Sun Mar  1 12:00:30 2026", 30),
            ("Sun, 01 Mar 2026 13:00:30 +0100", 30),
            ("Sun, 01 Mar 2026 11:59:00 GMT", 0),
            ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", HOUR),
        ],
    )
    def test_told(self, value, seconds):
        """Retry-After is seconds or a date in any form of HTTP's, and never more than an hour."""
        assert said(value) == seconds

    @pytest.mark.parametrize(
        "value",
        [
            *("", " ", "-1", "1.5", "1e3", "nan", "inf", "soon", "٣", "²", "1, 2", "0x10", "\x00"),
            "Sun, 99 Mar 2026 12:00:00 GMT",
            "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
            f"Sun, 01 Mar 2026 12:00:00 +{'9' * 30}",
        ],
    )
    def test_nonsense(self, value):
        """What is neither seconds nor a date says nothing."""
        assert said(value) is None

    def test_absent(self):
        """Without the header nothing is said."""
        assert retry_after({}, NOW) is None

    @given(st.text(max_size=40) | st.integers().map(str) | st.datetimes().map(format_datetime))
    def test_anything(self, value):
        """Whatever the header says, the pause is nothing or from 0 to an hour."""
        seconds = said(value)
        assert seconds is None or 0 <= seconds <= HOUR


class TestPauses:
    def test_growing(self):
        """The first failure is forgiven, from the second on the pauses grow to half a minute."""
        pauses = [pause_after(failures) for failures in range(1, 20)]
        assert pauses[:9] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
        assert pause_after(0) == pause_after(-1) == 0
        assert pauses[:3] == [0, 0.5, 1]
        assert pauses == sorted(pauses)
        assert (pauses[-1], pause_after(10**9)) == (30, 30)

    def test_slow(self):
        """What was slow to fail is left alone for as long as it took, half a minute at most."""
        assert [pause_after(1, took) for took in (0.2, 0.99, 1.0, 5.0, 300.0)] == [0, 0, 1, 5, 30]
        assert pause_after(5, 1.0) == pause_after(5)

    def test_told(self):
        """Retry-After holds from the first failure on, for half a minute at most, and never shortens a pause."""
        assert [pause_after(1, 0.0, told) for told in (0.0, 3.0, 3600.0)] == [0, 3, 30]
        assert pause_after(8, 0.0, 1.0) == 30

    def test_at_limit(self):
        """After a 429 the wait is as told, else one second, two, four, and so on, half a minute at most."""
        assert [pause_at_limit(1, told) for told in (0.0, 3.0, 3600.0)] == [0, 3, 3600]
        assert [pause_at_limit(limited, None) for limited in (0, 1, 2, 3, 4, 10**9)] == [1, 1, 2, 4, 8, 32]
