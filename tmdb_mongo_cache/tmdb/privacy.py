"""What is never cached: the reasons for which a call bypasses the cache.

TMDB marks user data ``public``, so the request decides what is private. (A response
that says it is not for everyone is not stored either: :mod:`.tmdb.shared_cache`.)
Where a spelling is ambiguous the call is private: a request too many costs a moment,
a response to the wrong user cannot be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from . import account_states
from .credentials import BY_NAME, CREDENTIAL_PARAMS, is_credential
from .normalization import decoded, folded, is_itself, names, plain
from .urls import DEFAULT_PORTS, Target

_PRIVATE_ROOTS = {"account": "account", "authentication": "authentication", "guestsession": "guest_session"}
_PRIVATE_ROOTS["list"] = "list"
_PLAIN_PATH = re.compile(r"/3(?:/[a-z0-9_-]+)+/?")
_V3 = re.compile(r"/+3/")

# What servers may read as different paths: dot segments, path params, escapes of characters that need none
# (RFC 3986 section 3.3 lists those of a segment) or that end a path once decoded.
_DOUBTFUL = re.compile(r";|/(?:%20|\+)*\.(?:\.|%20|\+)*(?=/|$)|%(?!20|22|3[CE]|5[BDE]|60|7[BCD]|[89A-F][0-9A-F])")
_VERSIONS = re.compile(r"/3/[34]/")
_BETWEEN_WORDS = re.compile(r"[^\w\s-]+")

# In a value that is left out of the key: what begins another param once decoded.
_HIDING = re.compile(r"[&;?#\x00-\x1f\x7f]")

# Folded params that make another request of a GET, or a script of the response.
_CALLBACKS = ("callback", "jsonp")
_OTHER_METHODS = frozenset({"method", "httpmethod", "methodoverride", "httpmethodoverride"})

# The name of a credential where it is not a param: after "&amp;" or a second
# "?", escaped twice, in the path without a "?".
_CREDENTIAL = re.compile("|".join(sorted(CREDENTIAL_PARAMS)))
_CREDENTIAL_GIVEN = re.compile(rf"(?:{_CREDENTIAL.pattern})[^&/]{{0,4}}[=:]")

_DOUBT = "characters in the path that could mean another path"
_STATES, _APPEND = folded(account_states.NAME), folded("append_to_response")
_NO_PART = re.compile(r"[.\\;?#]")

# Names of params and headers that may identify a user. Only checked where the
# response depends on the user, so false positives are cheap.
_OF_A_USER = re.compile(
    r"account|auth|bearer|client[-_]?cert|cookie|credential|dpop|e-?mail|identi|jwt|login|member|passw|profile|secret"
    r"|sess|signature|token|user(?![-_]?agent)|(?<![a-z])(?:from|pass|pin|pwd|sid|uid)(?![a-z])"
)
# A JWT, as TMDB's tokens are, begins with "eyJ".
_USER_IN_VALUE = re.compile(
    r"\b(?:bearer|basic|digest|token)[\s:]+\S|(?<![\w-])eyj[\w-]+\.|"
    + "|".join(sorted(CREDENTIAL_PARAMS - {"api_key"}))
)

_HOST, _OTHER_HOST = "the request has a Host", "the request has a Host of its own"
_LONGEST_NAME = 64

# Headers that request something other than the plain response (RFC 9110 sections
# 13.1 and 14.2), that turn a GET into another method, or that make the response
# depend on the origin (TMDB's vary by Origin).
_UNUSUAL_HEADERS = {
    folded(name): name
    for name in (
        *("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "Origin"),
        *("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override"),
    )
}

# Headers from which proxies and frameworks take the host, the scheme or the path
# of the request: Forwarded (RFC 7239) and X-Forwarded-…;
# X-Original-URL and X-Rewrite-URL (IIS, Symfony), X-Original-URI (ingress-nginx),
# X-Envoy-Original-Path, X-Replaced-Path (Traefik), X-Script-Name and X-Scheme
# (WSGI), X-Host, X-HTTP-Host-Override.
_ROUTING_HEADER = re.compile(
    r"x?(?:envoy)?(?:forwarded|original|rewrit|overrid|replaced)"
    r"|x(?:http)?host|x(?:real|proxy)(?:host|ur[il])|x(?:url)?scheme$|x?scriptname$"
)


def bypass_reason(method: str | None, path: str, has_body: bool) -> str:
    """Return why a call to TMDB bypasses the cache, by method, path and body; empty where it may be cached.

    Args:
        method: as sent.
        path: as sent.
        has_body: whether there is a body.
    """
    if method != "GET":
        return "not a GET"
    if has_body:
        return "a GET with a body"
    return _private_path(path)


def _private_path(path: str) -> str:
    if _PLAIN_PATH.fullmatch(path):
        bare = path.replace("_", "").replace("-", "").split("/")  # all that folding does to a plain path
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
        # Read as a relative reference, this has a host and a path.
        path = "/" + path.lstrip("/")
        return _private_path(path) if _PLAIN_PATH.fullmatch(path) and not _VERSIONS.match(path) else _DOUBT
    # Any word of a segment may be its meaning ("account.json", "account:1"). Empty segments are dropped by
    # servers that merge slashes; to others such a path does not exist.
    words = ({folded(word) for word in _BETWEEN_WORDS.split(segment)} - {""} for segment in text.split("/"))
    return _private_segments([found for found in words if found][1:])


def _private_segments(segments: list[set[str]]) -> str:
    """Return why a path is private, by the folded words of its segments after ``3``."""
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


def query_bypass_reason(query: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Return why a call bypasses the cache, by its query, as sent and decoded; empty where it may be cached."""
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
    if any(is_credential(name) and _HIDING.search(decoded(value)) for name, value in pairs):
        return "a credential with characters that none has"
    if "%00" in query:
        return "control characters in the query"
    if _CREDENTIAL.search(text) and any(map(_has_stray_credential, pairs)):
        return BY_NAME
    return ""


def _has_doubtful_states(pair: tuple[str, str]) -> bool:
    """Return whether a param contains account_states other than as a plain part to append."""
    name, value = pair
    if name == "append_to_response":
        value = ",".join(account_states.without(value.split(",")))
    return any(_STATES in folded(decoded(text)) for text in (name, value))


def _appends_in_doubt(pair: tuple[str, str]) -> bool:
    """Return whether an appended part, which is the end of a path, may lead to something private."""
    name, value = pair
    if folded(decoded(name)) != _APPEND:
        return False
    parts = plain(decoded(",".join(account_states.without(value.split(",")))))
    words = map(folded, _BETWEEN_WORDS.split(parts.replace(" ", "/")))
    return _NO_PART.search(parts) is not None or any(word in _PRIVATE_ROOTS or word == "rating" for word in words)


def _has_stray_credential(pair: tuple[str, str]) -> bool:
    name, value = pair
    if is_credential(name):
        return False
    return bool(_CREDENTIAL.search(plain(decoded(name))) or _CREDENTIAL_GIVEN.search(plain(decoded(value))))


def read_headers(headers: Mapping[str, str | bytes]) -> tuple[str, str | None]:
    """Return why a call bypasses the cache, by its headers (empty where it may be cached), and its own Host header.

    The latter is None without one; two of them are joined to what no host is called.
    """
    host: str | None = None
    for name, value in headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        why = _name_bypass_reason(name) if len(name) <= _LONGEST_NAME else "the request has a header of an odd name"
        if why is _HOST:
            host = text if host is None else f"{host},{text}"
        elif why:
            return why, host
        if "session_id" in text.casefold():
            return "a session is in the headers", host
    return "", host


@lru_cache(maxsize=256)  # programs send the same headers with each call
def _name_bypass_reason(name: str | bytes) -> str:
    """Return why a call with a header of this name bypasses the cache, in any spelling that some server accepts.

    CGI, and frameworks after it, make "_" of "-", and trailing blanks of a name get lost.
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


def host_bypass_reason(said: str, target: Target) -> str:
    """Return why a call with a Host header of its own bypasses the cache: it selects another site's response.

    Args:
        said: as :func:`read_headers` returns it.
        target: where the call goes; its own host, with or without the default port, is fine.
    """
    sent = {f"{target.host}:{target.port}"}
    if target.port == DEFAULT_PORTS[target.scheme]:
        sent.add(target.host)
    return "" if said in sent else _OTHER_HOST


def account_states_bypass_reason(identifies_user: bool) -> str:
    """Return why a call that appends account_states bypasses the cache; empty where it identifies no user."""
    return "account_states of a user that the request identifies are private" if identifies_user else ""


def identifies_user(items: Iterable[tuple[str, str | bytes]]) -> bool:
    """Return whether a param or header may identify a user, by its name or as a token.

    An ``api_key`` identifies a program, not a user.
    """
    for name, value in items:
        read = plain(decoded(name))
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if read.strip() != "api_key" and (_OF_A_USER.search(read) or _OF_A_USER.search(folded(read))):
            return True
        if _USER_IN_VALUE.search(plain(decoded(text))):
            return True
    return False
