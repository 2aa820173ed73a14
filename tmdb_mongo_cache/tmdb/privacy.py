"""What is never looked up and never stored.

TMDB marks user data ``public``, so that proves nothing: what is private is decided
by the request. (An answer that says itself that it is not for everyone is believed:
:mod:`.sharing`.) Where a spelling is in doubt it is private: a call too many costs a
moment, an answer in the wrong hands cannot be taken back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from . import folding, secrets, states
from .urls import DEFAULT_PORTS, Target

_PRIVATE_ROOTS = frozenset({"account", "authentication", "guest_session", "list"})
_PLAIN_PATH = re.compile(r"/3(?:/[a-z0-9_-]+)+/?")
_V3 = re.compile(r"/+3/")
_DOUBTFUL = re.compile(r"[\x00-\x1f\x7f%;\\?#]|\.\.")
_CALLBACK = re.compile(r"(?:^|[&;?])\s*(?:callback|jsonp)\s*(?:\[[^\]]*\])?\s*=")

# A credential's name where it is no param of its own: after "&amp;" or a second
# "?", escaped twice, in the path for want of a "?".
_CREDENTIAL = re.compile("|".join(sorted(secrets.CREDENTIAL_PARAMS)))
_CREDENTIAL_GIVEN = re.compile(rf"(?:{_CREDENTIAL.pattern})[^&/]{{0,4}}[=:]")

# What may say who asks, by the name of a param or a header. Only where it makes a
# difference who does is this asked: better once too often.
_OF_A_USER = re.compile(
    r"account|auth|bearer|client[-_]?cert|cookie|credential|dpop|e-?mail|identi|jwt|login|member|passw|profile|secret"
    r"|sess|signature|token|user(?![-_]agent)|(?<![a-z])(?:from|pass|pin|pwd|sid|uid)(?![a-z])"
)
# "eyJ" begins the JSON in a JWT, as TMDB's tokens are.
_USER_IN_VALUE = re.compile(
    r"\b(?:bearer|basic|digest|token)[\s:]+\S|\beyj[\w-]+\.|"
    + "|".join(sorted(secrets.CREDENTIAL_PARAMS - {"api_key"}))
)

_HOST, _OTHER_HOST = "the request has a Host", "the request has a Host of its own"
_LONGEST_NAME = 64

# Headers that ask for something other than the plain answer (RFC 9110 sections
# 13.1 and 14.2), that turn a GET into another method, or that make TMDB answer
# with headers for one origin (its answers vary by Origin).
_UNUSUAL_HEADERS = {
    folding.folded(name): name
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
        path: the path as :func:`.urls.canonical_path` gives it.
        has_body: whether anything is sent along.
    """
    if method != "GET":
        return "not a GET"
    if has_body:
        return "a GET with a body"
    return _private_path(path)


def _private_path(path: str) -> str:
    if _PLAIN_PATH.fullmatch(path):
        return _private_segments(path.strip("/").split("/"))
    # TMDB's edge decodes once. Whatever a layer behind it might read as another
    # path (a second decoding, a backslash, a path parameter) stays uncached: no
    # v3 path needs it.
    text = _fully_decoded(path)
    if _DOUBTFUL.search(text):
        return "characters in the path that could mean another path"
    if _CREDENTIAL_GIVEN.search(text):
        return "a credential in the path"
    if not _V3.match(path):
        return "a v4 path" if text.startswith("/4/") else "not a v3 path"
    # A format (".json") is no part of a segment's name.
    names = [segment.split(".", 1)[0].strip() for segment in text.split("/")]
    return _private_segments([name for name in names if name])


def _private_segments(segments: list[str]) -> str:
    if not segments or segments[0] != "3" or len(segments) < 2:
        return "a v4 path" if segments and segments[0] == "4" else "not a v3 path"
    if segments[1] in _PRIVATE_ROOTS:
        return f"everything under /3/{segments[1]} is private"
    if any("account_states" in segment for segment in segments):
        return "account_states are private"
    if "rating" in segments:
        return "ratings are private"
    return ""


def why_straight_by_query(query: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Say why a call goes straight through for its query, as sent and decoded; empty when it may be cached."""
    if not query:
        return ""
    text = _fully_decoded(query.replace("+", " "))
    if "session_id" in text:
        return "a session is in the query"
    if states.NAME in text and any(map(_has_doubtful_states, pairs)):
        return "account_states are private"
    if _CALLBACK.search(text):
        return "a JSONP callback"
    if "%00" in query:
        return "control characters in the query"
    if _CREDENTIAL.search(text) and any(map(_has_stray_credential, pairs)):
        return "a credential where none belongs"
    return ""


def _has_doubtful_states(pair: tuple[str, str]) -> bool:
    """Say whether a param mentions account_states otherwise than as a part to append, by its plain name."""
    name, value = pair
    if name == "append_to_response":
        value = ",".join(states.without(part.strip() for part in value.split(",")))
    return states.NAME in _fully_decoded(f"{name}={value}")


def _has_stray_credential(pair: tuple[str, str]) -> bool:
    name, value = pair
    if secrets.is_credential(name):
        return False
    return bool(_CREDENTIAL.search(_fully_decoded(name)) or _CREDENTIAL_GIVEN.search(_fully_decoded(value)))


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
    plain = folding.folded(text)
    if plain in _UNUSUAL_HEADERS:
        return f"the request has {_UNUSUAL_HEADERS[plain]}"
    if _ROUTING_HEADER.match(plain):
        return "the request has a header that some servers take the host or the path from"
    if plain == "host":
        return _HOST if text.lower() == "host" else _OTHER_HOST
    return "a session is in the headers" if "sessionid" in plain else ""


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
        folded = _fully_decoded(name).strip()
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if folded != "api_key" and _OF_A_USER.search(folded):
            return True
        if _USER_IN_VALUE.search(_fully_decoded(text)):
            return True
    return False


def _fully_decoded(text: str) -> str:
    """Decode until nothing changes, in one spelling of every letter."""
    for _ in range(8):
        if "%" not in text:
            break
        decoded = unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
        if decoded == text:
            break
        text = decoded
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return text.casefold()
