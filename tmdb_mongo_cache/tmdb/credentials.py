"""What counts as a credential, by the name of the param or header, or by the value.

TMDB's own credentials are the params of :data:`CREDENTIAL_PARAMS` (source: its
OpenAPI description; ``username`` and ``password`` are those of
``/authentication/token/validate_with_login``) and ``Authorization``. Anything else
with the name or the looks of a credential may be one in the wrong place: a typo in
a name, a key in the wrong param, a key of a proxy in front of TMDB. Such a call
bypasses the cache and leaves no trace.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from ..httpcache.memoize import memoize
from .normalization import folded
from .params import DOCUMENTED
from .public_values import is_public
from .secret_search import SHORTEST, decoded

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
"""TMDB's credentials. Only these are left out of keys: they never select a public response."""

BY_NAME = "a credential in the wrong place"
BY_VALUE = "a value that may be a credential"

# Folded names: whole ones, endings, and parts.
_WORDS = r"apikey|authori[sz]|bearer|cookie|credential|jwt|passphrase|passw|secret|sessionid|token|username"
_NAMED = re.compile(
    rf"\A(?:x?(?:hmac|login|pass|pin|session|sid|user))\Z|(?:auth|key|pwd|sig)\Z|authkey|signature|{_WORDS}"
)
_NAMED_FOR_SURE = re.compile(_WORDS)
# IANA's registry, and others in use.
_SCHEMES = frozenset(
    [
        *("apikey", "basic", "bearer", "concealed", "digest", "dpop", "gnap", "hawk", "hoba"),
        *("mutual", "negotiate", "ntlm", "oauth", "privatetoken", "token", "vapid"),
    ]
)

# Values: 32 hexadecimal digits, a JWT, and what follows the name of a scheme.
_BY_LOOK = re.compile(
    r"(?i)[0-9a-f]{32,}|(?<![0-9a-z_-])eyj[0-9a-z_-]{6,}\.[0-9a-z_-]*(?:\.[0-9a-z_-]*)?|bearer[\s:+]+[0-9a-z._~+/=-]{20,}"
)
_BASIC = re.compile(r"(?i)\bbasic[\s:+]+([0-9a-z+/_-]{6,}={0,2})")
_BEARER = re.compile(r"(?i)\bbearer[\s:]+([^\s,;\"']+)")
_TOKEN = re.compile(r"[0-9A-Za-z._~+/=-]{24,}")
_CLASSES = tuple(map(re.compile, ("[0-9]", "[a-z]", "[A-Z]")))
_GIVEN = re.compile(r"([0-9A-Za-z_.\[\]-]{3,40})(?:=|%3[dD]|\"\s*:\s*\")([^&\s\"'<>,;)]+)")

_LONGEST_NAME = 64  # names of headers and params are few and short
_LONGEST_KEY, _FEW = 128, 5
_LEAST = 14
"""Characters: shorter texts are not checked."""

_NEVER_ONE = frozenset(
    [
        *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection"),
        *("content-length", "content-type", "date", "dnt", "host", "if-match", "if-modified-since", "if-none-match"),
        *("if-range", "if-unmodified-since", "keep-alive", "pragma", "range", "te", "transfer-encoding"),
        *("upgrade-insecure-requests", "user-agent", "via"),
        # Of tracers, with another value in each call: searching for those takes longer than a hit.
        *("b3", "baggage", "newrelic", "sentry-trace", "traceparent", "tracestate", "uber-trace-id", "x-amzn-trace-id"),
        *("x-b3-parentspanid", "x-b3-spanid", "x-b3-traceid", "x-cloud-trace-context", "x-correlation-id"),
        *("x-datadog-parent-id", "x-datadog-tags", "x-datadog-trace-id", "x-request-id"),
    ]
)
"""Request headers that carry no credential, however long and odd their values."""


def is_credential(name: str) -> bool:
    """Return whether a param of this name is one of TMDB's credentials, in any case."""
    return name in CREDENTIAL_PARAMS or name.strip().casefold() in CREDENTIAL_PARAMS


@memoize(256, longest=_LONGEST_NAME)
def looks_like_credential_name(name: str) -> bool:
    """Return whether a param or header of this name, in any spelling, carries a credential."""
    return name not in DOCUMENTED and _NAMED.search(folded(decoded(name))) is not None


@memoize(256, longest=_LONGEST_NAME)
def is_credential_header(name: str) -> bool:
    """Return whether a response header of this name carries a credential."""
    read = folded(name)
    # Access-Control-Allow-Credentials says "true".
    return not read.startswith("accesscontrol") and _NAMED_FOR_SURE.search(read) is not None


def looks_like_credential(text: str) -> bool:
    """Return whether a text contains 32 hex digits, a JWT, or a Basic or Bearer credential."""
    if len(text) < _LEAST:
        return False
    return any(_looks(text)) or any(_looks(decoded(text)))


def _looks(text: str) -> Iterator[str]:
    for found in _BY_LOOK.findall(text):
        # A long run of few different characters is no key.
        if len(found) <= _LONGEST_KEY or len(set(found)) > _FEW:
            yield found
    for blob in _BASIC.findall(text):
        if any(_of_basic(blob)):
            yield blob


def _may_be_token(text: str) -> bool:
    """Return whether a text has a long word that mixes digits, lower and upper case, as tokens do."""
    forms = {text, unquote(text), decoded(text)}
    words = (word for form in forms for word in _TOKEN.findall(form))
    return any(sum(kind.search(word) is not None for kind in _CLASSES) > 1 for word in words)


def query_bypass_reason(pairs: Sequence[tuple[str, str]]) -> str:
    """Return why a call bypasses the cache: a param that may be a credential and is not TMDB's; else empty."""
    for name, value in pairs:
        if is_credential(name):
            continue
        if looks_like_credential_name(name):
            return BY_NAME
        if len(name) + len(value) < _LEAST:
            continue
        if looks_like_credential(name) or looks_like_credential(value):
            return BY_VALUE
        if name not in DOCUMENTED and (_may_be_token(name) or _may_be_token(value)):
            return BY_VALUE
    return ""


def of_query(pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the credentials in a decoded query."""
    return _long_enough(value for name, value in pairs if is_credential(name) or looks_like_credential_name(name))


def of_url(url: str) -> frozenset[str]:
    """Return the user and the password in an URL."""
    if "@" not in url:
        return frozenset()
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    return _long_enough({user, password, unquote(user), unquote(password)})


def of_headers(headers: Mapping[str, str | bytes]) -> frozenset[str]:
    """Return the credentials in a request's headers, by name or by value."""
    found: set[str] = set()
    for name, value in headers.items():
        lower = (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower()
        if lower in _NEVER_ONE:
            continue
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if lower == "cookie":
            found.update(item.partition("=")[2].strip().strip('"') for item in text.split(";"))
        elif looks_like_credential_name(lower):
            # The first word may be the name of a scheme.
            found.update(word for word in text.split() if word.casefold() not in _SCHEMES)
        else:
            found.update(_found_in(text))
        if "asic" in text.lower():
            for blob in _BASIC.findall(text):
                found.update(_of_basic(blob))
    return _long_enough(found)


def _found_in(text: str) -> Iterator[str]:
    """Yield what looks like a credential in an unknown header (``Referer`` has URLs)."""
    if len(text) >= SHORTEST:
        yield from _looks(text)
        yield from (word for word in _TOKEN.findall(text) if _may_be_token(word))
        yield from (value for name, value in _GIVEN.findall(text) if looks_like_credential_name(name.lower()))
        yield from _BEARER.findall(text)


def _of_basic(blob: str) -> tuple[str, ...]:
    """Return a Basic credential with its user and password; nothing where it is not one."""
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
    return frozenset(value for value in values if len(value) >= SHORTEST and not is_public(value))
