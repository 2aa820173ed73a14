"""What is never looked up and never stored.

TMDB marks user data ``public``, so that proves nothing: what is private is decided
by the request. (An answer that says itself that it is not for everyone is believed:
:mod:`.sharing`.) Where a spelling is in doubt it is private: a call too many costs a
moment, an answer in the wrong hands cannot be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from . import secrets, states
from .folding import decoded, folded, is_itself, names, plain
from .urls import DEFAULT_PORTS, Target

_PRIVATE_ROOTS = {"account": "account", "authentication": "authentication", "guestsession": "guest_session"}
_PRIVATE_ROOTS["list"] = "list"
_PLAIN_PATH = re.compile(r"/3(?:/[a-z0-9_-]+)+/?")
_V3 = re.compile(r"/+3/")

# What two servers may read as two paths: dot segments, path params, and escapes of what needs
# none (RFC 3986 section 3.3 has the characters of a segment) or ends a path for who decodes it.
_DOUBTFUL = re.compile(r";|/(?:%20|\+)*\.(?:\.|%20|\+)*(?=/|$)|%(?!20|22|3[CE]|5[BDE]|60|7[BCD]|[89A-F][0-9A-F])")
_VERSIONS = re.compile(r"/3/[34]/")
_BETWEEN_WORDS = re.compile(r"[^\w\s-]+")

# In a value that is left out of the key, what could be a param of its own to who decodes before he splits.
_HIDING = re.compile(r"[&;?#\x00-\x1f\x7f]")

# Params that make another call of a GET, or an answer that is a script; folded.
_CALLBACKS = ("callback", "jsonp")
_OTHER_METHODS = frozenset({"method", "httpmethod", "methodoverride", "httpmethodoverride"})

# A credential's name where it is no param of its own: after "&amp;" or a second
# "?", escaped twice, in the path for want of a "?".
_CREDENTIAL = re.compile("|".join(sorted(secrets.CREDENTIAL_PARAMS)))
_CREDENTIAL_GIVEN = re.compile(rf"(?:{_CREDENTIAL.pattern})[^&/]{{0,4}}[=:]")

_DOUBT = "characters in the path that could mean another path"
_STATES, _APPEND = folded(states.NAME), folded("append_to_response")
_NO_PART = re.compile(r"[.\\;?#]")

# What may say who asks, by the name of a param or a header. Only where it makes a
# difference who does is this asked: better once too often.
_OF_A_USER = re.compile(
    r"account|auth|bearer|client[-_]?cert|cookie|credential|dpop|e-?mail|identi|jwt|login|member|passw|profile|secret"
    r"|sess|signature|token|user(?![-_]?agent)|(?<![a-z])(?:from|pass|pin|pwd|sid|uid)(?![a-z])"
)
# "eyJ" begins the JSON in a JWT, as TMDB's tokens are.
_USER_IN_VALUE = re.compile(
    r"\b(?:bearer|basic|digest|token)[\s:]+\S|(?<![\w-])eyj[\w-]+\.|"
    + "|".join(sorted(secrets.CREDENTIAL_PARAMS - {"api_key"}))
)

_HOST, _OTHER_HOST = "the request has a Host", "the request has a Host of its own"
_LONGEST_NAME = 64

# Headers that ask for something other than the plain answer (RFC 9110 sections
# 13.1 and 14.2), that turn a GET into another method, or that make TMDB answer
# with headers for one origin (its answers vary by Origin).
_UNUSUAL_HEADERS = {
    folded(name): name
    for name in (
        *("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "Origin"),
        *("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override"),
    )
}

# What proxies and frameworks are known to take the host, the scheme or the path
# from in place of what was asked for: Forwarded (RFC 7239) and X-Forwarded-…;
# X-Original-URL and X-Rewrite-URL (IIS, Symfony), X-Original-URI (ingress-nginx),
# X-Envoy-Original-Path, X-Replaced-Path (Traefik), X-Script-Name and X-Scheme
# (WSGI), X-Host, X-HTTP-Host-Override.
_ROUTING_HEADER = re.compile(
    r"x?(?:envoy)?(?:forwarded|original|rewrit|overrid|replaced)"
    r"|x(?:http)?host|x(?:real|proxy)(?:host|ur[il])|x(?:url)?scheme$|x?scriptname$"
)


def why_straight(method: str | None, path: str, has_body: bool) -> str:
    """Say why a call to TMDB goes straight through, both ways; empty when it may be cached for all that is given.

    Args:
        method: as sent.
        path: as sent.
        has_body: whether anything is sent along.
    """
    if method != "GET":
        return "not a GET"
    if has_body:
        return "a GET with a body"
    return _private_path(path)


def _private_path(path: str) -> str:
    if _PLAIN_PATH.fullmatch(path):
        bare = path.replace("_", "").replace("-", "").split("/")  # which is all that folding does to it
        return _private_segments([{word} for word in bare[2:]])
    if _CREDENTIAL_GIVEN.search(plain(decoded(path))):
        return "a credential in the path"
    try:
        text = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return _DOUBT
    if _DOUBTFUL.search(path) or not is_itself(text):
        return _DOUBT
    if not _V3.match(path):
        return "a v4 path" if path.startswith("/4/") else "not a v3 path"
    if path.startswith("//"):
        # Who takes the target for a relative reference reads a host there, and the path behind it.
        path = "/" + path.lstrip("/")
        return _private_path(path) if _PLAIN_PATH.fullmatch(path) and not _VERSIONS.match(path) else _DOUBT
    # A segment is what any word in it says: of "account.json", "account:1". Empty ones are none to
    # who merges slashes; to who does not, they make a path that is nobody's.
    words = ({folded(word) for word in _BETWEEN_WORDS.split(segment)} - {""} for segment in text.split("/"))
    return _private_segments([found for found in words if found][1:])


def _private_segments(segments: list[set[str]]) -> str:
    """Say why a path is private by the folded words of its segments; ``3`` is none of them."""
    if not segments:
        return "not a v3 path"
    for word in segments[0]:
        if word in _PRIVATE_ROOTS:
            return f"everything under /3/{_PRIVATE_ROOTS[word]} is private"
    for words in segments:
        if any(_STATES in word for word in words):
            return "account_states are private"
        if "rating" in words:
            return "ratings are private"
    return ""


def why_straight_by_query(query: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Say why a call goes straight through for its query, as sent and decoded; empty when it may be cached."""
    if not query:
        return ""
    text = plain(decoded(query.replace("+", " ")))
    if "\ufffd" in text:
        return "bytes in the query that are no text"
    for name in {*names(text), *(folded(decoded(name)) for name, _ in pairs)}:
        if "sessionid" in name:
            return "a session is in the query"
        if name.startswith(_CALLBACKS):
            return "a JSONP callback"
        if name.removeprefix("x") in _OTHER_METHODS:
            return "another method is in the query"
    if "session_id" in text:
        return "a session is in the query"
    letters = folded(text)
    if _STATES in letters and any(map(_has_doubtful_states, pairs)):
        return "account_states are private"
    if _APPEND in letters and any(map(_appends_in_doubt, pairs)):
        return "what is appended could mean a private path"
    if any(secrets.is_credential(name) and _HIDING.search(decoded(value)) for name, value in pairs):
        return "a credential with characters that none has"
    if "%00" in query:
        return "control characters in the query"
    if _CREDENTIAL.search(text) and any(map(_has_stray_credential, pairs)):
        return "a credential where none belongs"
    return ""


def _has_doubtful_states(pair: tuple[str, str]) -> bool:
    """Say whether a param mentions account_states otherwise than as a part to append, by its plain name."""
    name, value = pair
    if name == "append_to_response":
        value = ",".join(states.without(value.split(",")))
    return any(_STATES in folded(decoded(text)) for text in (name, value))


def _appends_in_doubt(pair: tuple[str, str]) -> bool:
    """Say whether a part to append, which is the end of a path, may lead to something private."""
    name, value = pair
    if folded(decoded(name)) != _APPEND:
        return False
    parts = plain(decoded(",".join(states.without(value.split(",")))))
    words = map(folded, _BETWEEN_WORDS.split(parts.replace(" ", "/")))
    return _NO_PART.search(parts) is not None or any(word in _PRIVATE_ROOTS or word == "rating" for word in words)


def _has_stray_credential(pair: tuple[str, str]) -> bool:
    name, value = pair
    if secrets.is_credential(name):
        return False
    return bool(_CREDENTIAL.search(plain(decoded(name))) or _CREDENTIAL_GIVEN.search(plain(decoded(value))))


def read_headers(headers: Mapping[str, str | bytes]) -> tuple[str, str | None]:
    """Say why a call goes straight through for its headers, empty when it may be cached, and what its own Host says.

    The second is None where the caller gives no Host; of two, it is one that no host has.
    """
    host: str | None = None
    for name, value in headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        why = _why_straight_by_name(name) if len(name) <= _LONGEST_NAME else "the request has a header of an odd name"
        if why is _HOST:
            host = text if host is None else f"{host},{text}"
        elif why:
            return why, host
        if "session_id" in text.casefold():
            return "a session is in the headers", host
    return "", host


@lru_cache(maxsize=256)  # programs send the same ones with each call
def _why_straight_by_name(name: str | bytes) -> str:
    """Say why a call with a header of this name goes straight through, in any spelling that some server folds into it.

    CGI and what comes after it make "_" of "-", and blanks at the end of a name are lost on the way.
    """
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    found = folded(text)
    if found in _UNUSUAL_HEADERS:
        return f"the request has {_UNUSUAL_HEADERS[found]}"
    if _ROUTING_HEADER.match(found):
        return "the request has a header that some servers take the host or the path from"
    if found == "host":
        return _HOST if text.lower() == "host" else _OTHER_HOST
    return "a session is in the headers" if "sessionid" in found else ""


def why_straight_by_host(said: str, target: Target) -> str:
    """Say why a call goes straight through for a Host of the caller's own: it chooses whose answer that is.

    Args:
        said: as :func:`read_headers` gives it.
        target: what is called; to say its host, with or without the default port, changes nothing.
    """
    sent = {f"{target.host}:{target.port}"}
    if target.port == DEFAULT_PORTS[target.scheme]:
        sent.add(target.host)
    return "" if said in sent else _OTHER_HOST


def why_states_straight(names_a_user: bool) -> str:
    """Say why a call that appends account_states goes straight through; empty where they can be about nobody."""
    return "account_states of who is named in the request are private" if names_a_user else ""


def names_a_user(items: Iterable[tuple[str, str | bytes]]) -> bool:
    """Say whether something among params or headers may say who asks, by its name or as a token: no ``api_key`` does.

    An ``api_key`` is a program's. Answers that depend on the user (appended
    account_states) can be about nobody where nothing else is sent.
    """
    for name, value in items:
        read = plain(decoded(name))
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if read.strip() != "api_key" and (_OF_A_USER.search(read) or _OF_A_USER.search(folded(read))):
            return True
        if _USER_IN_VALUE.search(plain(decoded(text))):
            return True
    return False
