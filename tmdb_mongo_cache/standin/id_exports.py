"""The daily id exports: a gzip file of each kind and day with a JSON object on each line.

TMDB has them on a file host of its own, where nobody needs a key. The ids are made up; names are those that
the stand-in's details of the same id have.
"""

import datetime as dt
import gzip
import hashlib
import re
from functools import lru_cache
from typing import Any

from .catalog import mix, scattered
from .change_feed import today
from .fields import TEXTS, Place, name
from .messages import Response, dump

PREFIX = "/p/exports/"
KINDS = {
    "movie": "movie", "tv_series": "tv", "person": "person", "collection": "collection", "tv_network": "company",
    "keyword": "keyword", "production_company": "company",
}  # fmt: skip
NAME = re.compile(rf"({'|'.join(KINDS)})_ids_([0-9]{{2}})_([0-9]{{2}})_([0-9]{{4}})\.json\.gz")
ROWS = 1_000
AVAILABLE_DAYS = 92  # the longest that three months can be
REFUSED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)


def response(method: str, file: str, rows: int) -> Response:
    """Return the file, or the file host's refusal where it has none of that name and day."""
    try:
        age = (today() - parsed(file)[1]).days
    except ValueError:
        age = -1
    if method not in ("GET", "HEAD") or not 0 <= age <= AVAILABLE_DAYS:
        return Response(403, REFUSED, {"Content-Type": "application/xml"})
    body = content(file, rows)
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return Response(200, body, {"Content-Type": "application/gzip", "ETag": f'"{etag}"'})


def parsed(file: str) -> tuple[str, dt.date]:
    """Return the sort and the day that a file's name says.

    Raises:
        ValueError: No export is called that.
    """
    match = NAME.fullmatch(file)
    if match is None:
        raise ValueError(f"no export is called {file!r}; one is movie_ids_MM_DD_YYYY.json.gz")
    return match[1], dt.date(int(match[4]), int(match[2]), int(match[3]))


@lru_cache(maxsize=8)
def content(file: str, rows: int) -> bytes:
    """Return the bytes of a file with so many rows; up to 1,299,989 rows have different ids."""
    sort, day = parsed(file)
    lines = (dump(row(sort, day, n, rows)) + b"\n" for n in range(rows))
    return gzip.compress(b"".join(lines), 6, mtime=0)


def row(sort: str, day: dt.date, number: int, rows: int) -> dict[str, Any]:
    """Return one row; every day has the same ids, and popularities that differ a little."""
    identity = scattered(mix(sort, "export") + number)
    kind = KINDS[sort]
    seed, at = f"{kind}:{identity}", Place("", kind)
    # A Pareto distribution: one title in twenty has 5 or more. It falls from the first row to the last, but not
    # from each row to the next, for nobody may rely on an order.
    popularity = 0.5 * (rows / (number + 0.5)) ** 0.8 * (0.7 + mix(seed, day, "popularity") % 600 / 1_000)
    popularity = round(popularity, 4)
    match sort:
        case "movie":
            title = TEXTS["original_title"](seed, at)
            video = mix(seed, "video") % 40 == 0
            return {
                "adult": False, "id": identity, "original_title": title, "popularity": popularity, "video": video,
            }  # fmt: skip
        case "tv_series":
            return {"id": identity, "original_name": TEXTS["original_name"](seed, at), "popularity": popularity}
        case "person":
            return {"adult": False, "id": identity, "name": name(seed, at), "popularity": popularity}
    return {"id": identity, "name": name(seed, at)}
