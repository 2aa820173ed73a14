"""What is a credential: by the name of what carries it, or by its value. Pure.

TMDB's own credentials are params with the names of :data:`CREDENTIAL_PARAMS`
(source: its OpenAPI description: ``username`` and ``password`` are those of
``/authentication/token/validate_with_login``), and what ``Authorization``
carries. Whatever else has a name as credentials have them, or a value as they
are, may be one by mistake: a slip in a name, a key pasted into the wrong place,
what a proxy in front of TMDB wants. Better once too often: such a call is made
as it is, and leaves no trace.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from .folding import folded
from .params import DOCUMENTED
from .spellings import SHORTEST, decoded
from .words import is_everyday

CREDENTIAL_PARAMS = frozenset(
    {
        "access_token",
        "api_key",
        "guest_session_id",
        "password",
        "request_token",
        "session_id",
        "username",
    }
)
"""What TMDB takes for a credential. These alone are left out of keys, for they never choose a public answer."""

BY_NAME = "a credential where none belongs"
BY_VALUE = "a value that may be a credential"

# Names, folded: the whole, how they end, and what they have in them.
_WORDS = r"apikey|authori[sz]|bearer|cookie|credential|jwt|passphrase|passw|secret|sessionid|token|username"
_NAMED = re.compile(
    rf"\A(?:x?(?:hmac|login|pass|pin|session|sid|user))\Z|(?:auth|key|pwd|sig)\Z|authkey|signature|{_WORDS}"
)
_NAMED_FOR_SURE = re.compile(_WORDS)
# IANA's registry, and what others have made up.
_SCHEMES = frozenset(
    [
        *("apikey", "basic", "bearer", "concealed", "digest", "dpop", "gnap", "hawk", "hoba"),
        *("mutual", "negotiate", "ntlm", "oauth", "privatetoken", "token", "vapid"),
    ]
)

# By their looks: 32 hexadecimal digits, a JWT, and what comes after the name of a scheme.
_BY_LOOK = re.compile(
    r"(?i)[0-9a-f]{32,}|(?<![0-9a-z_-])eyj[0-9a-z_-]{6,}\.[0-9a-z_-]*(?:\.[0-9a-z_-]*)?|bearer[\s:+]+[0-9a-z._~+/=-]{20,}"
)
_BASIC = re.compile(r"(?i)\bbasic[\s:+]+([0-9a-z+/_-]{6,}={0,2})")
_BEARER = re.compile(r"(?i)\bbearer[\s:]+([^\s,;\"']+)")
_TOKEN = re.compile(r"[0-9A-Za-z._~+/=-]{24,}")
_CLASSES = tuple(map(re.compile, ("[0-9]", "[a-z]", "[A-Z]")))
_GIVEN = re.compile(r"([0-9A-Za-z_.\[\]-]{3,40})(?:=|%3[dD]|\"\s*:\s*\")([^&\s\"'<>,;)]+)")

_LONGEST_KEY, _FEW = 128, 5
_LEAST = 14
"""Characters: what is shorter looks like nothing."""

_NEVER_ONE = frozenset(
    [
        *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection"),
        *("content-length", "content-type", "date", "dnt", "host", "if-match", "if-modified-since", "if-none-match"),
        *("if-range", "if-unmodified-since", "keep-alive", "pragma", "range", "te", "transfer-encoding"),
        *("upgrade-insecure-requests", "user-agent", "via"),
        # Of tracers, another one with each call: to look for those takes longer than a hit.
        *("b3", "baggage", "newrelic", "sentry-trace", "traceparent", "tracestate", "uber-trace-id", "x-amzn-trace-id"),
        *("x-b3-parentspanid", "x-b3-spanid", "x-b3-traceid", "x-cloud-trace-context", "x-correlation-id"),
        *("x-datadog-parent-id", "x-datadog-tags", "x-datadog-trace-id", "x-request-id"),
    ]
)
"""Headers of a request with values of other kinds, long and odd as some are."""


def is_credential(name: str) -> bool:
    """Say whether a param of this name is one of TMDB's credentials, in upper or lower case."""
    return name in CREDENTIAL_PARAMS or name.strip().casefold() in CREDENTIAL_PARAMS


def names_one(name: str) -> bool:
    """Say whether a param or header of this name carries a credential, however it is spelt."""
    return name not in DOCUMENTED and _NAMED.search(folded(decoded(name))) is not None


def is_there_for_one(name: str) -> bool:
    """Say whether a header of this name, in an answer, is there to carry a credential."""
    return (_is_there_known if len(name) <= _LONGEST_NAME else _is_there)(name)


def _is_there(name: str) -> bool:
    read = folded(name)
    # Access-Control-Allow-Credentials says "true".
    return not read.startswith("accesscontrol") and _NAMED_FOR_SURE.search(read) is not None


# Headers have few names.
_LONGEST_NAME = 64
_is_there_known = lru_cache(maxsize=256)(_is_there)
_names_known = lru_cache(maxsize=256)(names_one)


def looks_like_one(text: str) -> bool:
    """Say whether something in a text looks like a credential, whoever says it: 32 hex digits, a JWT, Basic, Bearer."""
    if len(text) < _LEAST:
        return False
    return any(_looks(text)) or any(_looks(decoded(text)))


def _looks(text: str) -> Iterator[str]:
    for found in _BY_LOOK.findall(text):
        # What goes on for lines and has few letters is no key.
        if len(found) <= _LONGEST_KEY or len(set(found)) > _FEW:
            yield found
    for blob in _BASIC.findall(text):
        if any(_of_basic(blob)):
            yield blob


def _may_be_token(text: str) -> bool:
    """Say whether a text has a long word of letters and digits, or of small and large letters, as tokens are."""
    forms = {text, unquote(text), decoded(text)}
    words = (word for form in forms for word in _TOKEN.findall(form))
    return any(sum(kind.search(word) is not None for kind in _CLASSES) > 1 for word in words)


def why_straight_by_query(pairs: Sequence[tuple[str, str]]) -> str:
    """Say why a call goes straight through, for a param that may be a credential and is none of TMDB's; else empty."""
    for name, value in pairs:
        if is_credential(name):
            continue
        if names_one(name):
            return BY_NAME
        if len(name) + len(value) < _LEAST:
            continue
        if looks_like_one(name) or looks_like_one(value):
            return BY_VALUE
        if name not in DOCUMENTED and (_may_be_token(name) or _may_be_token(value)):
            return BY_VALUE
    return ""


def of_query(pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the credentials in a decoded query: what must not be written anywhere."""
    return _long_enough(value for name, value in pairs if is_credential(name) or names_one(name))


def of_url(url: str) -> frozenset[str]:
    """Return the user and the password in an URL."""
    if "@" not in url:
        return frozenset()
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    return _long_enough({user, password, unquote(user), unquote(password)})


def of_headers(headers: Mapping[str, str | bytes]) -> frozenset[str]:
    """Return the credentials in a request's headers, by their names or by what the values look like."""
    found: set[str] = set()
    for name, value in headers.items():
        lower = (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower()
        if lower in _NEVER_ONE:
            continue
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if lower == "cookie":
            found.update(item.partition("=")[2].strip().strip('"') for item in text.split(";"))
        elif (_names_known if len(lower) <= _LONGEST_NAME else names_one)(lower):
            # The first word may say what kind of credential follows.
            found.update(word for word in text.split() if word.casefold() not in _SCHEMES)
        else:
            found.update(_found_in(text))
        if "asic" in text.lower():
            for blob in _BASIC.findall(text):
                found.update(_of_basic(blob))
    return _long_enough(found)


def _found_in(text: str) -> Iterator[str]:
    """Give what looks like a credential in a header nobody knows (``Referer`` has URLs)."""
    if len(text) >= SHORTEST:
        yield from _looks(text)
        yield from (word for word in _TOKEN.findall(text) if _may_be_token(word))
        yield from (value for name, value in _GIVEN.findall(text) if names_one(name.lower()))
        yield from _BEARER.findall(text)


def _of_basic(blob: str) -> tuple[str, ...]:
    """Return the user and the password of a Basic credential, with the blob; nothing where it is another word."""
    try:
        raw = b64decode(blob + "=" * (-len(blob) % 4), b"-_" if "-" in blob or "_" in blob else None, validate=True)
    except ValueError:
        return ()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    user, colon, password = text.partition(":")
    return (blob, user, password) if colon and text.isprintable() else ()


def _long_enough(values: Iterable[str]) -> frozenset[str]:
    return frozenset(value for value in values if len(value) >= SHORTEST and not is_everyday(value))
