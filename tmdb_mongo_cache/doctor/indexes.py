"""Verdicts on indexes: what was repaired, and what has to be done by hand."""

from __future__ import annotations

import json

from ..mongo.diagnostics.index_repair import IndexCheck
from .verdicts import Level, Verdict


def judge(found: IndexCheck, database: str, *, tried: bool) -> Verdict:
    """Judge one index that differs from what it should be.

    Args:
        found: the index.
        database: where it is.
        tried: whether it was to be repaired.
    """
    place = f"{found.collection}.{found.name}"
    if found.state == "unknown":
        where = f"{database}.{found.collection}"
        text = f"the user may not list the indexes of {found.collection}"
        return Verdict("indexes", "note", text, lacking("listIndexes", where))
    if found.done:
        return Verdict("indexes", "ok", f"{place} was {found.state}, now {found.done}")
    text = f"{place} is {found.state}"
    if found.in_the_way and found.refused in ("", "in the way"):
        theirs = ", ".join(map(repr, found.in_the_way))
        text += f": {theirs}, not made by the cache, {'stands' if found.refused else 'may stand'} in its way"
        if found.refused:
            lines = "; ".join(_drop(database, found.collection, name) for name in found.in_the_way)
            or_else = ", or have another name" if found.in_the_way == (found.name,) else ""
            advice = f"if {theirs} can go{or_else}, type in mongosh {lines} and run this again"
            return Verdict("indexes", "problem", text, advice)
    level: Level = "problem" if found.name == "purge_at" else "note"
    return Verdict("indexes", level, text, _advice(found, tried=tried))


def _advice(found: IndexCheck, *, tried: bool) -> str:
    if not tried:
        return "run 'tmdb-mongo-cache doctor' without --no-mend"
    if found.refused == "full":
        return f"drop an unused index of {found.collection}: MongoDB allows 64"
    if found.refused == "forbidden":
        return "run this as a user that may create and drop indexes"
    return "run this again; if that does not help, see the log of MongoDB"


def _drop(database: str, collection: str, name: str) -> str:
    names = [json.dumps(text, ensure_ascii=False) for text in (database, collection, name)]
    return "db.getSiblingDB({}).getCollection({}).dropIndex({})".format(*names)


def lacking(right: str, where: str) -> str:
    """Advise on a right that the doctor alone can use."""
    of_atlas = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in right)
    return f"grant it {right} (Atlas: {of_atlas}@{where}) to have that checked; the cache works without"
