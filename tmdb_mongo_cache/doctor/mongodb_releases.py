"""MongoDB's releases: until when each gets fixes, and which have a vulnerability that is known to be exploited."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import date

from .verdicts import Verdict

Version = tuple[int, ...]

OLDEST: Version = (4, 4)
"""What the package needs of MongoDB: ``$binarySize``, and updates that are pipelines."""

ENDS: Mapping[Version, date] = {
    (4, 4): date(2024, 2, 29),
    (5, 0): date(2024, 10, 31),
    (6, 0): date(2025, 7, 31),
    (7, 0): date(2027, 8, 31),
    (8, 0): date(2029, 10, 31),
    (8, 1): date(2025, 9, 30),
    (8, 2): date(2026, 7, 31),
}
"""The end of life of each series: https://www.mongodb.com/legal/support-policy/lifecycles. Newer ones have no date yet.

Those before 8.0 that are not here were rapid releases: each ended with the next.
"""

FIXED: Mapping[Version, int] = {(4, 4): 30, (5, 0): 32, (6, 0): 27, (7, 0): 28, (8, 0): 17, (8, 2): 3}
"""The release of each series that fixes CVE-2025-14847: https://jira.mongodb.org/browse/SERVER-115508.

A client of an older server can read its memory, without a password, by a message
that zlib is to decompress.
"""

_CVE = "CVE-2025-14847"


def judge(found: Version, described: str, today: date, *, compresses: bool = True) -> Verdict:
    """Judge the version of a server.

    Args:
        found: the version, three numbers.
        described: the server, as the text is to name it.
        today: the day.
        compresses: whether it accepts messages that are compressed by zlib, as far as is known.
    """
    if found[:2] < OLDEST:
        return Verdict("server", "problem", f"{described} is too old", f"update it to MongoDB {_text(OLDEST)} or newer")
    faults = []
    if has_ended(found, today):
        faults.append(f"its series is past its end of life{_since(found)}, and gets no fixes any more")
    if compresses and is_vulnerable(found):
        faults.append(f"every client can read from its memory ({_CVE})")
    if not faults:
        return Verdict("server", "ok", described)
    newest = next(series for series in sorted(ENDS, reverse=True) if series[1] == 0)
    to = f"MongoDB {_text(newest)}.{FIXED[newest]} or newer" if found[:2] <= newest else "the newest MongoDB"
    advice = f"update it to {to}, and restrict who can connect to it"
    return Verdict("server", "note", f"{described}: {'; '.join(faults)}", advice)


def judge_embedded(
    found: Version, described: str, today: date, *, compresses: bool, on_path: Version | None, chosen: str | None
) -> Verdict:
    """Judge the version of the embedded server, which only its user can reach.

    Args:
        found: its version.
        described: it, as the text is to name it.
        today: the day.
        compresses: whether it accepts messages that are compressed by zlib.
        on_path: the version of the ``mongod`` on ``PATH``, if there is one.
        chosen: the one that is named by ``TMDB_CACHE_MONGOD``, if any is.
    """
    verdict = judge(found, described, today, compresses=compresses)
    restart = "run 'tmdb-mongo-cache server stop --force': the next program that needs it starts it again"
    if on_path is not None and on_path > found:
        text = f"{verdict.text}; the mongod on the PATH is {_text(on_path)}"
        how = f"unset TMDB_CACHE_MONGOD ({shlex.quote(chosen)}) and {restart}" if chosen else restart
        return Verdict("server", "note", text, f"{how}, with that one{_moving(found, on_path)}")
    if verdict.level == "ok":
        return verdict
    if verdict.level == "note" and compresses and is_vulnerable(found):
        return verdict._replace(advice=f"{restart}, without compression")
    text = f"{verdict.text}; only this user can reach it"
    return verdict._replace(
        text=text, advice="install a newer mongod, and have it on the PATH or named by TMDB_CACHE_MONGOD"
    )


def has_ended(found: Version, today: date) -> bool:
    """Say whether the series of a version gets no fixes any more."""
    end = ENDS.get(found[:2])
    return found[:2] < (8, 0) if end is None else today > end


def is_vulnerable(found: Version) -> bool:
    """Say whether a version has CVE-2025-14847."""
    fixed = FIXED.get(found[:2])
    return found[:2] < max(FIXED) if fixed is None else found[2] < fixed


def _since(found: Version) -> str:
    end = ENDS.get(found[:2])
    return f" ({end:%B %Y})" if end else ""


def _moving(found: Version, to: Version) -> str:
    if to[0] == found[0] or to[:2] == (found[0] + 1, 0):  # a major release reads the data of the one before
        return ""
    return "; it does not read data that is so old: remove the folder 'data' in 'tmdb-mongo-cache server path' before"


def _text(version: Version) -> str:
    return ".".join(map(str, version))
