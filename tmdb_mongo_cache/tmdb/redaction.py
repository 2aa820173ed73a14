"""Redaction of credentials in texts, URLs and headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit, urlunsplit

from . import urls
from .credentials import is_credential, is_credential_header
from .secret_search import contains, needles_of

# "key: …" in a text may be about anything; in a query it is a credential.
_IN_TEXT = re.compile(
    r"(?i)(\b(?:(?:x[-_.]?)?api[-_.]?key|[a-z_-]{0,20}session[-_.]?id|[a-z_.-]{0,20}(?:token|secret)|passw(?:or)?d|username)"
    r"(?:\"?\s*(?:=|%3d|:)\s*\"?)|[?&;](?:auth|jwt|key|pass|pwd|sig|signature)=)[^&\s\"'<>,;)]+"
)
# "basic" is also a word ("Basic Instinct").
_BEARER = re.compile(
    r"\b((?i:bearer)|(?i:basic)(?!\s+[A-Za-z]?[a-z]+(?![0-9A-Za-z_~+/=-]|\.\w)))\s+[A-Za-z0-9._~+/=-]+"
)
_JWT = re.compile(r"(?<![0-9A-Za-z_-])eyJ[0-9A-Za-z_-]{6,}\.[0-9A-Za-z_.-]*")
# 64 digits after "#" are the digest of a key; after "W/", or quoted and nothing else, it is an ETag.
_HEX = re.compile(
    r"(?<![0-9A-Za-z_])(?<!\bW/\")(?!(?<=#)[0-9a-f]{64}(?![0-9A-Za-z_])|(?<=\A\")[0-9a-f]+\"\Z)"
    r"[0-9A-Fa-f]{32,}(?![0-9A-Za-z_])"
)
_WORDS = (
    *("api", "auth=", "basic", "bearer", "eyj", "jwt=", "key=", "pass", "pwd=", "secret", "session", "sig", "token"),
    "username",
)
_USERINFO = re.compile(r"(?<=://)(?!\*\*\*@)[^/?#\s]*@")  # unless it is masked already

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that are not allowed in a header (RFC 9110 section 5.5)."""

LARGEST_HEADERS = 2**16
"""Characters of a response's headers, names and values together; servers and clients allow less."""


def redact(text: str) -> str:
    """Return a text for people (a log line, an error message) with its credentials redacted."""
    text = _IN_TEXT.sub(r"\1REDACTED", text)
    text = _BEARER.sub(r"\1 REDACTED", text)
    text = _JWT.sub("REDACTED", _HEX.sub("REDACTED", text))
    return _USERINFO.sub("", text)


def strip_url(url: str) -> str:
    """Return an URL without user, fragment, and the values of its credentials (their names stay)."""
    parts = urlsplit(url)
    query = "&".join(_without_value(item) for item in parts.query.split("&"))
    if query == parts.query and not parts.fragment and "@" not in parts.netloc:
        return url.removesuffix("#")  # in its original spelling
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def strip_location(location: str) -> str:
    """Return a Location without the values of its credentials, otherwise in its original spelling."""
    url, mark, fragment = location.partition("#")
    place, question, query = url.partition("?")
    return place + question + "&".join(_without_value(item) for item in query.split("&")) + mark + fragment


def is_personal_location(location: str, secrets: Iterable[str]) -> bool:
    """Return whether a Location is for one user only: with a user, or a credential in the fragment."""
    url, _, fragment = location.partition("#")
    return "@" in urlsplit(url).netloc or mentions(fragment, secrets)


def _without_value(item: str) -> str:
    name = item.partition("=")[0]
    decoded = urls.pairs(name)
    return f"{name}=" if decoded and is_credential(decoded[0][0]) else item


def mentions(text: str, secrets: Iterable[str]) -> bool:
    """Return whether a text contains one of these credentials in any spelling, or what looks like a credential."""
    if contains(text, needles_of(secrets)):
        return True
    if text.isascii():
        # The cheap check first: the patterns take ten times as long, and few texts match.
        lower = text.lower()
        for word in _WORDS:
            if word in lower:
                break
        else:
            return False
    return bool(_IN_TEXT.search(text) or _BEARER.search(text) or _JWT.search(text))


def redacted_headers(headers: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """Return the headers of a response without cookies and credentials, also in names."""
    allowed = {name: value for name, value in headers.items() if not _is_never_stored(name)}
    # All at once first: few responses contain one.
    if not mentions("\n".join((*allowed, *allowed.values())), secrets):
        return allowed
    return {
        name: value for name, value in allowed.items() if not mentions(name, secrets) and not mentions(value, secrets)
    }


def _is_never_stored(name: str) -> bool:
    return name.strip().lower() == "authentication-info" or is_credential_header(name)


def are_storable(headers: Mapping[str, str]) -> bool:
    """Return whether headers survive in a document unchanged."""
    texts = "".join(headers) + "".join(headers.values())
    if len(texts) > LARGEST_HEADERS or (not texts.isprintable() and CONTROL.search(texts)):
        return False
    return "$" not in texts or not any(name.startswith("$") for name in headers)
