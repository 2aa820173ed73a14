"""What is a credential, and how texts are freed of it.

Source: the OpenAPI description of TMDB (``api_key``, ``session_id``,
``guest_session_id``, ``request_token``, the v4 ``access_token``, and
``username`` and ``password`` of ``/authentication/token/validate_with_login``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit, urlunsplit

from . import urls

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
_CREDENTIAL_HEADERS = ("authorization", "proxy-authorization", "cookie")
_NEVER_KEPT = frozenset(
    {"set-cookie", "set-cookie2", "authorization", "proxy-authorization", "cookie", "authentication-info"}
)

_IN_TEXT = re.compile(r"(?i)\b(" + "|".join(sorted(CREDENTIAL_PARAMS)) + r")(\"?\s*(?:=|%3d|:)\s*\"?)[^&\s\"'<>,;)]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+")
_WORDS = (*sorted(CREDENTIAL_PARAMS), "bearer", "basic")
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/?#\s]*@")

# Shorter values are words that stand in many answers by chance, no secrets:
# TMDB's keys have 32 characters, its tokens more.
_SHORTEST_SECRET = 6

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that are in no header (RFC 9110 section 5.5)."""

LARGEST_HEADERS = 2**16
"""Letters in names and values of an answer's headers, all together: servers and clients give up at less."""


def is_credential(name: str) -> bool:
    """Say whether a parameter of this name carries a credential, in any spelling of the name."""
    return name in CREDENTIAL_PARAMS or name.strip().casefold() in CREDENTIAL_PARAMS


def redact(text: str) -> str:
    """Return a text for people (a log line, an error message) without the credentials in it."""
    text = _IN_TEXT.sub(r"\1\2REDACTED", text)
    text = _BEARER.sub(r"\1 REDACTED", text)
    return _USERINFO.sub(r"\1", text)


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


def credentials(query: Iterable[tuple[str, str]], headers: Mapping[str, str | bytes]) -> frozenset[str]:
    """Collect the values in a request's query and headers that must not be written anywhere."""
    found = {value for name, value in query if is_credential(name)}
    for name, value in headers.items():
        if name.lower() in _CREDENTIAL_HEADERS:
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if name.lower() == "cookie":
                found.update(item.partition("=")[2].strip() for item in text.split(";"))
            else:
                # The first word says what kind of credential follows; a lone word is one.
                found.update(text.split()[1:] or text.split())
    return frozenset(value for value in found if len(value) >= _SHORTEST_SECRET)


def mentions(text: str, secrets: Iterable[str]) -> bool:
    """Say whether a text carries a credential: one of these, or anything that looks like one."""
    if any(secret in text for secret in secrets):
        return True
    if text.isascii():
        # Looked for as they are, first: the patterns take ten times as long, and hardly any text has one.
        lower = text.lower()
        for word in _WORDS:
            if word in lower:
                break
        else:
            return False
    return bool(_IN_TEXT.search(text) or _BEARER.search(text))


def keepable_headers(headers: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """Return the headers of an answer that may be stored: no cookie, no credential, nobody's key."""
    kept = {name: value for name, value in headers.items() if name.lower() not in _NEVER_KEPT}
    # All at once first: hardly any answer mentions one.
    if not mentions("\n".join(kept.values()), secrets):
        return kept
    return {name: value for name, value in kept.items() if not mentions(value, secrets)}


def are_storable(headers: Mapping[str, str]) -> bool:
    """Say whether headers come back from a document as they were."""
    texts = "".join(headers) + "".join(headers.values())
    if len(texts) > LARGEST_HEADERS or (not texts.isprintable() and CONTROL.search(texts)):
        return False
    return "$" not in texts or not any(name.startswith("$") for name in headers)


def body_mentions(body: bytes, secrets: Iterable[str]) -> bool:
    """Say whether a body repeats a credential of the caller, as a careless proxy's might."""
    return any(secret.encode("utf-8", "surrogateescape") in body for secret in secrets)
