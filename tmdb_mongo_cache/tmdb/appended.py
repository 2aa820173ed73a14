"""Reuse of appended parts: one response answers other calls, too (``reuse_appended``).

Two kinds of call have their response inside another one: the same path with fewer
parts appended, and a sub-resource (``/3/movie/550/credits``) that was appended
(``/3/movie/550?append_to_response=credits``).

Sources: TMDB's OpenAPI description, and its page about ``append_to_response``
(developer.themoviedb.org/docs/append-to-response): movies, shows, seasons,
episodes and people have it, and the query's params apply to each part as to a
request of its own. So with the same params the part is the sub-resource's
response, with ``language`` too, which filters images and videos in both.
Without it, the details' default (``en-US``) does not apply to the parts: the
recorded images of a show that were appended with ``include_image_language=pt``
and no ``language`` are Portuguese only, and those of a collection without
either are of all languages, as in the sub-resource's response.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

from . import endpoints
from .appended_parts import NOT_SERVED, PARTS
from .cache_key import APPEND, parts_of, place_of, quoted
from .response_shapes import is_error, why_invalid

_LEFT_OUT = {template: NOT_SERVED[template].union(parts) for template, parts in PARTS.items()}
_HOLDERS = {f"{template}/{part}": (template, part) for template, parts in PARTS.items() for part in parts}

_PLACE = place_of(APPEND)
_MARK = re.compile(r"[ \t\n\r]*([{},:])[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Source(NamedTuple):
    """Where the response to a call may be contained: in responses of one path with the same params.

    Attributes:
        start: the start of the key: only the same host over the same kind of connection.
        path: the path of the containing response.
        params: the query without ``append_to_response``, as in keys.
        part: the appended part; None for the same path with fewer parts.
        appended: the parts that the call itself appends (where ``part`` is None).
        template: the path template of ``path``.
    """

    start: str
    path: str
    params: str
    part: str | None
    appended: frozenset[str]
    template: str


class _ParsedKey(NamedTuple):
    start: str
    path: str
    params: str
    appended: frozenset[str]


class _Member(NamedTuple):
    """A member of an object: the position of the whole and of the value in the text, and the value."""

    whole: slice
    text: slice
    value: Any


def sources(key: str) -> tuple[Source, ...]:
    """Return where else the response to the call with this key may be found; empty for none."""
    parsed = _read(key)
    if parsed is None:
        return ()
    start, path, params, appended = parsed
    template = endpoints.find(path).template
    if template is None or path.count("/") != template.count("/"):
        return ()
    if template in PARTS:
        return (Source(start, path, params, None, appended, template),)
    if template in _HOLDERS and not appended:
        holder, part = _HOLDERS[template]
        return (Source(start, path.removesuffix(f"/{part}"), params, part, frozenset(), holder),)
    return ()


def key_range(source: Source) -> tuple[str, str]:
    """Return ``(first, end)``: every key that may contain the response is ``first <= key < end`` in MongoDB's order.

    The range has only keys of this path with something appended: params are
    sorted by name, so those with smaller names come before it.
    """
    before, _ = _around(source.params)
    first = f"{source.start}{source.path}?{'&'.join([*before, APPEND])}"
    return f"{first}=", f"{first}>"  # ">" comes after "="


def key_ending(source: Source) -> str:
    """Return a regular expression for the keys of that range with the same params and the parts appended."""
    _, after = _around(source.params)
    wanted = [re.escape(quoted(part)) for part in ([source.part] if source.part else sorted(source.appended))]
    parts = "(?:[^&,]+,)*".join(["", *(f"{part}(?:,|(?=&|$))" for part in wanted), "[^&]*"])
    return f"{APPEND}={parts}{re.escape(''.join(f'&{item}' for item in after))}$"


def _around(params: str) -> tuple[list[str], list[str]]:
    """Return the params before and after ``append_to_response``: they are sorted by name."""
    items = [item for item in params.split("&") if item]
    before = [item for item in items if _place(item) < _PLACE]
    return before, items[len(before) :]


def may_hold(source: Source, key: str) -> bool:
    """Return whether the response with this key contains the wanted one, by the key alone."""
    held = _read(key)
    if held is None or held[:3] != (source.start, source.path, source.params):
        return False
    if source.part is not None:
        return source.part in held.appended
    return source.appended < held.appended and held.appended - source.appended <= _LEFT_OUT[source.template]


def extract(source: Source, body: bytes) -> bytes | None:
    """Return the response that a body contains, where :func:`may_hold` is true of its key.

    Values are copied as text, not parsed and serialized again.

    Returns:
        the body of the contained response; None where it is missing or an error.
    """
    try:
        text = body.decode()
        members = _members(text)
    except (ValueError, RecursionError):
        return None
    values = {name: member.value for name, member in members.items()}
    if type(values.get("id")) is not int or why_invalid(source.path, values):
        return None
    if source.part is None:
        return _with_fewer(source, text, members)
    return _part(source.template, source.part, text, members)


def _with_fewer(source: Source, text: str, members: dict[str, _Member]) -> bytes | None:
    if not all(name in members and _is_object(members[name].value) for name in source.appended):
        return None
    left_out = _LEFT_OUT[source.template] - source.appended
    left = [text[member.whole] for name, member in members.items() if name not in left_out]
    return f"{{{','.join(left)}}}".encode()


def _part(template: str, part: str, text: str, members: dict[str, _Member]) -> bytes | None:
    expected = PARTS[template][part].split()
    member = members.get(part)
    if member is None or not _is_object(member.value) or "id" in member.value:
        return None
    if not all(name in member.value for name in expected if name != "id"):
        return None
    found = text[member.text]
    if "id" in expected:
        number = f'"id":{text[members["id"].text]}'
        found = f"{{{number},{found[1:]}" if expected[0] == "id" else f"{found[:-1]},{number}}}"
    return found.encode()


def _read(key: str) -> _ParsedKey | None:
    """Split a key; None where it cannot be compared."""
    of_key = parts_of(key)
    if of_key is None or "#" in key:  # truncated, with a digest
        return None
    query = of_key.query.removeprefix("?")
    params: list[str] = []
    appended: list[str] = []
    for item in query.split("&") if query else ():
        name, _, value = item.partition("=")
        if name == "page" or (name != APPEND and _place(item) == _PLACE):
            return None
        if name == APPEND:
            appended.append(_decoded(value))
        else:
            params.append(item)
    if len(appended) > 1 or any("account_states" in value.casefold() for value in appended):
        return None  # which of two counts at TMDB is not known
    parts = frozenset(appended[0].split(",")) if appended else frozenset()
    if "" in parts:
        return None  # nor how TMDB reads an empty part
    return _ParsedKey(of_key.start, of_key.path, "&".join(params), parts)


def _place(item: str) -> str:
    return place_of(_decoded(item.partition("=")[0]))


def _decoded(text: str) -> str:
    return unquote(text, errors="surrogateescape") if "%" in text else text


def _members(text: str) -> dict[str, _Member]:
    """Return the members of a JSON object by name.

    Raises:
        ValueError: it is not JSON, not an object, or repeats a name.
        RecursionError: it is nested too deeply.
    """
    found: dict[str, _Member] = {}
    mark, position = _mark(text, 0)
    while mark == ("," if found else "{"):
        start = position
        name, position = _DECODER.raw_decode(text, start)
        mark, value_at = _mark(text, position)
        if not isinstance(name, str) or mark != ":" or name in found:
            raise ValueError("no name, no value, or a second one")
        value, position = _DECODER.raw_decode(text, value_at)
        found[name] = _Member(slice(start, position), slice(value_at, position), value)
        mark, position = _mark(text, position)
    if mark != "}" or position != len(text):
        raise ValueError("not an object")
    return found


def _mark(text: str, position: int) -> tuple[str, int]:
    found = _MARK.match(text, position)
    if found is None:
        raise ValueError("not JSON")
    return found[1], found.end()


def _is_object(value: Any) -> bool:
    # A single part may be an error.
    return isinstance(value, dict) and not is_error(value)
