"""Kinds of credentials, and the ways in which they may be spelled."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

HEX = "5ec2e7a91c0d4f6b8a3e2d1c0b9a8f7e"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiI1ZWMyZTdhOTFjMCJ9.c2lnbmF0dXJlLXNlY3JldA"
PASSWORD = "hunter2-passw0rd"
ODD = 'pä"ss/w&rd 1'
KINDS = {"hex": HEX, "jwt": JWT, "password": PASSWORD, "odd": ODD}


def _numbered(form: str) -> Callable[[str], str]:
    return lambda value: "".join(form % ord(letter) for letter in value)


def percent(value: str) -> str:
    """Escape every byte of a value, as no browser does and every server undoes."""
    return "".join(f"%{byte:02X}" for byte in value.encode())


def partly(value: str) -> str:
    """Escape every second letter."""
    return "".join(percent(letter) if place % 2 else letter for place, letter in enumerate(value))


TEXTS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "small": str.lower,
    "large": str.upper,
    "swapped": str.swapcase,
    "percent": percent,
    "percent, small": lambda value: percent(value).lower(),
    "percent, partly": partly,
    "percent, twice": lambda value: percent(value).replace("%", "%25"),
    "percent, partly twice": lambda value: partly(partly(value)),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON, slashes": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "JSON, numbers": _numbered("\\u%04x"),
    "JSON, large numbers": _numbered("\\u%04X"),
    "JSON in JSON": lambda value: json.dumps(_numbered("\\u%04x")(value))[1:-1],
    "HTML": html.escape,
    "HTML, numbers": _numbered("&#%d;"),
    "HTML, hexadecimal": _numbered("&#x%X;"),
    "backslash x": lambda value: value if not value.isascii() else _numbered("\\x%02x")(value),
    "Base64": lambda value: b64encode(value.encode()).decode(),
    "Base64, of a pair": lambda value: b64encode(f"u:{value}".encode()).decode(),
    "Base64, in the middle": lambda value: b64encode(f"a{value}bc".encode()).decode(),
    "Base64, for URLs": lambda value: urlsafe_b64encode(f"name:{value}?".encode()).decode(),
}
"""Spellings of a value in a text."""

BODIES: dict[str, Callable[[str], bytes]] = {
    **{
        name: lambda value, spell=spell: b'{"id": 550, "e": "%b"}' % spell(value).encode()
        for name, spell in TEXTS.items()
    },  # type: ignore[misc]
    "UTF-16": lambda value: json.dumps({"id": 550, "e": value}, ensure_ascii=False).encode("utf-16"),
    "UTF-16, big": lambda value: json.dumps({"id": 550, "e": value}, ensure_ascii=False).encode("utf-16-be"),
    "UTF-32": lambda value: json.dumps({"id": 550, "e": value}, ensure_ascii=False).encode("utf-32"),
    "as a name": lambda value: json.dumps({"id": 550, value: 0}).encode(),
}
"""Bodies of responses that have a value in them."""
