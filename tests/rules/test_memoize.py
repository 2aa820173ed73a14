"""Memoization within bounds."""

from __future__ import annotations

import pytest

from tmdb_mongo_cache.httpcache import memoize


@pytest.fixture(name="calls")
def calls_fixture(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of a memoized function; what a test memoizes is not among what the package has."""
    monkeypatch.setattr(memoize, "_caches", [])
    return []


def test_short_and_long(calls: list[str]) -> None:
    """An argument of the longest length is remembered, a longer one is not; both get their result."""

    @memoize.memoize(8, longest=3)
    def upper(text: str) -> str:
        """Write large."""
        calls.append(text)
        return text.upper()

    assert [upper("abc"), upper("abc"), upper("abcd"), upper("abcd")] == ["ABC", "ABC", "ABCD", "ABCD"]
    assert calls == ["abc", "abcd", "abcd"]
    assert (upper.__name__, upper.__doc__) == ("upper", "Write large.")


def test_the_longest_by_default(calls: list[str]) -> None:
    """By default two thousand characters and some are remembered."""

    @memoize.memoize(8)
    def length(text: str) -> int:
        calls.append("x")
        return len(text)

    for text in ("a" * 2048, "a" * 2049):
        assert [length(text), length(text)] == [len(text)] * 2
    assert len(calls) == 3


def test_the_size(calls: list[str]) -> None:
    """What the length of an argument is may be said."""

    @memoize.memoize(8, longest=4, size=memoize.total_length)
    def joined(texts: tuple[str, ...]) -> str:
        calls.append("x")
        return "".join(texts)

    for texts in (("ab", "cd"), ("ab", "cde")):
        assert [joined(texts), joined(texts)] == ["".join(texts)] * 2
    assert len(calls) == 3


def test_how_many(calls: list[str]) -> None:
    """Of more arguments than that the one used last is remembered."""

    @memoize.memoize(2)
    def same(text: str) -> str:
        calls.append(text)
        return text

    assert [same(text) for text in "abacab"] == list("abacab")
    assert calls == ["a", "b", "c", "b"]


def test_clear(calls: list[str]) -> None:
    """All is forgotten at once, of every function."""

    @memoize.memoize(8)
    def one(text: str) -> str:
        calls.append(text)
        return text

    @memoize.memoize(8)
    def other(text: str) -> str:
        calls.append(text)
        return text

    for _ in range(2):
        one("a")
        other("b")
        memoize.clear()
    assert calls == ["a", "b", "a", "b"]
