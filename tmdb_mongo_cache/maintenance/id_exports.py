"""TMDB's daily id exports (``movie_ids_11_22_2026.json.gz``): gzipped JSON Lines.

https://developer.themoviedb.org/docs/daily-id-exports
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path

from ..errors import ConfigError
from ..httpcache import json_body

_LONGEST_ROW = 2**16
"""Bytes; TMDB's have about a hundred. One line of a gzipped file may be a thousand times its size."""

_KINDS = {
    "movie": "movie",
    "tv_series": "tv",
    "person": "person",
    "collection": "collection",
    "tv_network": "network",
    "keyword": "keyword",
    "production_company": "company",
}
_NAME = re.compile(rf"(?:adult_)?({'|'.join(_KINDS)})_ids_")


def media_type_of(path: str | PathLike[str]) -> str | None:
    """Return the media type of an export from its file name; None if the name does not tell."""
    found = _NAME.match(Path(path).name)
    return _KINDS[found[1]] if found else None


def read_export(path: str | PathLike[str], min_popularity: float | None = None) -> list[int]:
    """Read the ids of an export, the most popular first.

    Args:
        path: the file, gzipped or not.
        min_popularity: skips ids that are less popular, or have no popularity.

    Raises:
        ConfigError: it cannot be read, or is not an export.
    """
    least = -math.inf if min_popularity is None else _number(min_popularity)
    found: dict[int, float] = {}
    for popularity, number in _rows(path):
        before = found.get(number)
        if popularity >= least and (before is None or popularity > before):
            found.pop(number, None)  # it is sorted by the row that counts
            found[number] = popularity
    return sorted(found, key=lambda number: -found[number])


def _number(min_popularity: float) -> float:
    is_number = isinstance(min_popularity, int | float) and not isinstance(min_popularity, bool)
    if not is_number or math.isnan(min_popularity):
        raise ConfigError(f"min_popularity must be a number, not {min_popularity!r}")
    return float(min_popularity)


def _rows(path: str | PathLike[str]) -> Iterator[tuple[float, int]]:
    name = fspath(path)
    number = 0
    try:
        with open(path, "rb") as raw:
            is_packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if is_packed else open(path, "rb") as lines:
            while line := lines.readline(_LONGEST_ROW + 1):
                number += 1
                if len(line) > _LONGEST_ROW:
                    raise ValueError(number)
                if line.strip():
                    yield _row(json_body.parse(line))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ConfigError(f"{name} is truncated or damaged after line {number}: download it again") from None
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ConfigError(
            f"{name}, line {number}: not a row of TMDB's daily id exports, which look like "
            f'{{"id": 550, "popularity": 61.4, …}} and have at most {_LONGEST_ROW // 2**10} KiB'
        ) from None


def _row(row: dict[str, object]) -> tuple[float, int]:
    number, popularity = row["id"], row.get("popularity", -1.0)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**63:
        raise ValueError(number)
    if isinstance(popularity, bool) or not isinstance(popularity, int | float) or math.isnan(popularity):
        raise ValueError(popularity)
    return float(popularity), number
