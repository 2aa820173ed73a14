"""What is wrong with a MongoDB URI and its options: pymongo's own texts do not name them, or show a password."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote_plus

from pymongo.common import VALIDATORS, validate
from pymongo.errors import ConfigurationError
from pymongo.uri_parser import split_options

from ..config import mask

_FILES = ("tlscafile", "tlscertificatekeyfile", "tlscrlfile")
_REPEATED = "readpreferencetags"  # the one option that may be there more than once


def why_refused(uri: str | Sequence[str], options: Mapping[str, Any]) -> str:
    """Return, as a sentence without a credential, why there can be no client for a URI (or hosts) and options."""
    uris = [uri] if isinstance(uri, str) else uri
    files = [*_files(pair for one in uris for pair in _options(one)), *_files(options.items())]
    for name, path in files:
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            return f"MongoDB's option {name} names a file that cannot be read: {path!r} ({_reason(error)})"
    fault = _fault_given(options)
    if fault:
        return fault
    advice = (
        "the files that it names must be certificates and keys in PEM form"
        if files
        else "it should look like mongodb://user:password@host:27017, with '@', ':' and '/' in a password escaped, "
        "and a mongodb+srv:// host must be known to DNS"
    )
    return f"MongoDB cannot be used with the URI {','.join(map(mask, uris))} and its options: {advice}"


def why_warned(uri: str | Sequence[str], options: Mapping[str, Any]) -> str:
    """Return, as a sentence without a credential, which option, of a URI or given, a client would do without."""
    uris = [uri] if isinstance(uri, str) else uri
    fault = next((fault for one in uris for fault in map(_fault, _texts(one)) if fault), "")
    times = Counter(name.lower() for one in uris for name, _ in _options(one))
    twice = next((name for name, count in times.items() if count > 1 and name != _REPEATED), "")
    fault = fault or _fault_given(options)
    fault = fault or (f"the option {twice} is in it twice" if twice else "one of its options cannot be used")
    return f"{','.join(map(mask, uris))}: {fault}"


def _fault(option: str) -> str | None:
    name = option.partition("=")[0]
    if name.lower() not in VALIDATORS:
        return _no_option(name)
    try:
        split_options(option, warn=False)
    except (UserWarning, ConfigurationError, ValueError, TypeError):
        return f"{mask(f'?{option}')[1:]} cannot be used"
    except OSError:
        return None
    return None


def _fault_given(options: Mapping[str, Any]) -> str:
    """Say which of the options that are given beside a URI cannot be used; not its value, which may be a password."""
    for name, value in options.items():
        if name.lower() not in VALIDATORS:
            return _no_option(name)
        try:
            with warnings.catch_warnings(action="error", category=UserWarning):
                validate(name, value)
        except (UserWarning, ConfigurationError, ValueError, TypeError):
            return f"MongoDB's option {name} cannot be used with the value that is given"
        except OSError:
            continue
    return ""


def _no_option(name: str) -> str:
    near = get_close_matches(name.lower(), VALIDATORS, 1, 0.8)
    return f"MongoDB has no option {name}" + (f"; did you mean {near[0]}?" if near else "")


def _texts(uri: str) -> list[str]:
    """Return ``name=value`` of each option that people see of a URI: what may be part of a password is none."""
    if not mask(uri).partition("?")[2]:
        return []
    text = uri.rpartition("@")[2].partition("?")[2]
    return [option for option in text.split("&" if "&" in text else ";") if option]


def _options(uri: str) -> Iterator[tuple[str, str]]:
    for option in _texts(uri):
        name, _, value = option.partition("=")
        yield name, unquote_plus(value)


def _files(options: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(name, os.fspath(value)) for name, value in options if name.lower() in _FILES and isinstance(value, str)]


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
