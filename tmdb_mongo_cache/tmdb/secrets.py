"""How texts, URLs and headers are freed of credentials."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit, urlunsplit

from . import urls
from .credentials import CREDENTIAL_PARAMS as CREDENTIAL_PARAMS
from .credentials import is_credential as is_credential
from .credentials import is_there_for_one
from .spellings import contains, sought

_NEVER_KEPT = frozenset(
    {"set-cookie", "set-cookie2", "authorization", "proxy-authorization", "cookie", "authentication-info"}
)

# In a text "key: …" is about anything; in a query it is one.
_IN_TEXT = re.compile(
    r"(?i)(\b(?:(?:x[-_.]?)?api[-_.]?key|[a-z_-]{0,20}session[-_.]?id|[a-z_.-]{0,20}(?:token|secret)|passw(?:or)?d|username)"
    r"(?:\"?\s*(?:=|%3d|:)\s*\"?)|[?&;](?:auth|jwt|key|pass|pwd|sig|signature)=)[^&\s\"'<>,;)]+"
)
# "basic" is a word as well ("Basic Instinct"); what follows it in a header is no other.
_BEARER = re.compile(
    r"\b((?i:bearer)|(?i:basic)(?!\s+[A-Za-z]?[a-z]+(?![0-9A-Za-z_~+/=-]|\.\w)))\s+[A-Za-z0-9._~+/=-]+"
)
_JWT = re.compile(r"(?<![0-9A-Za-z_-])eyJ[0-9A-Za-z_-]{6,}\.[0-9A-Za-z_.-]*")
# 64 of them behind "#" are the digest of a key, and what is quoted behind "W/" or is quoted and all there is, an ETag.
_HEX = re.compile(
    r"(?<![0-9A-Za-z_])(?<!\bW/\")(?!(?<=#)[0-9a-f]{64}(?![0-9A-Za-z_])|(?<=\A\")[0-9a-f]+\"\Z)"
    r"[0-9A-Fa-f]{32,}(?![0-9A-Za-z_])"
)
_WORDS = (
    *("api", "auth=", "basic", "bearer", "eyj", "jwt=", "key=", "pass", "pwd=", "secret", "session", "sig", "token"),
    "username",
)
_USERINFO = re.compile(r"(?<=://)(?!\*\*\*@)[^/?#\s]*@")  # but for what stands for one that is masked already

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that are in no header (RFC 9110 section 5.5)."""

LARGEST_HEADERS = 2**16
"""Letters in names and values of an answer's headers, all together: servers and clients give up at less."""


def redact(text: str) -> str:
    """Return a text for people (a log line, an error message) without the credentials in it."""
    text = _IN_TEXT.sub(r"\1REDACTED", text)
    text = _BEARER.sub(r"\1 REDACTED", text)
    text = _JWT.sub("REDACTED", _HEX.sub("REDACTED", text))
    return _USERINFO.sub("", text)


def strip_url(url: str) -> str:
    """Return an URL without user, fragment, and the values of its credentials (their names stay)."""
    parts = urlsplit(url)
    query = "&".join(_without_value(item) for item in parts.query.split("&"))
    if query == parts.query and not parts.fragment and "@" not in parts.netloc:
        return url.removesuffix("#")  # spelt as it came
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def strip_location(location: str) -> str:
    """Return where a redirect leads without the values of its credentials, otherwise spelt as it came."""
    url, mark, fragment = location.partition("#")
    place, question, query = url.partition("?")
    return place + question + "&".join(_without_value(item) for item in query.split("&")) + mark + fragment


def is_somebodys_location(location: str, secrets: Iterable[str]) -> bool:
    """Say whether a redirect leads to a place with a user or with a credential behind the ``#``: for nobody else."""
    url, _, fragment = location.partition("#")
    return "@" in urlsplit(url).netloc or mentions(fragment, secrets)


def _without_value(item: str) -> str:
    name = item.partition("=")[0]
    decoded = urls.pairs(name)
    return f"{name}=" if decoded and is_credential(decoded[0][0]) else item


def mentions(text: str, secrets: Iterable[str]) -> bool:
    """Say whether a text carries a credential: one of these in any spelling, or anything that looks like one."""
    if contains(text, sought(secrets)):
        return True
    if text.isascii():
        # Looked for as they are, first: the patterns take ten times as long, and hardly any text has one.
        lower = text.lower()
        for word in _WORDS:
            if word in lower:
                break
        else:
            return False
    return bool(_IN_TEXT.search(text) or _BEARER.search(text) or _JWT.search(text))


def keepable_headers(headers: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """Return the headers of an answer that may be stored: no cookie, no credential, nobody's key, even as a name."""
    kept = {name: value for name, value in headers.items() if not _is_never_kept(name)}
    # All at once first: hardly any answer mentions one.
    if not mentions("\n".join((*kept, *kept.values())), secrets):
        return kept
    return {name: value for name, value in kept.items() if not mentions(name, secrets) and not mentions(value, secrets)}


def _is_never_kept(name: str) -> bool:
    return name.strip().lower() in _NEVER_KEPT or is_there_for_one(name)


def are_storable(headers: Mapping[str, str]) -> bool:
    """Say whether headers come back from a document as they were."""
    texts = "".join(headers) + "".join(headers.values())
    if len(texts) > LARGEST_HEADERS or (not texts.isprintable() and CONTROL.search(texts)):
        return False
    return "$" not in texts or not any(name.startswith("$") for name in headers)
