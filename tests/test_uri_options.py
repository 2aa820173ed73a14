"""What is said of a MongoDB URI whose options cannot be used: our own sentence, with the fact in it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import trustme

from tmdb_mongo_cache import ConfigError, TMDBCache

pytestmark = pytest.mark.versions

USER = "mongodb://adm1n:s3cr3t@127.0.0.1:9/"


def said(uri: str, **options: Any) -> str:
    """Return what a user reads of it (warnings are errors here)."""
    with pytest.raises(ConfigError) as caught, TMDBCache(uri=uri, **options) as cache:
        cache.clear()
    text = str(caught.value)
    assert "\n" not in text
    assert "s3cr3t" not in text
    assert caught.value.__cause__ is None
    return text


@pytest.mark.parametrize("tail", ["?films=1", "?tls=false&films=1&maxPoolSize=7", "?films=1;tls=false", "a?films="])
def test_an_option_that_does_not_exist(tail: str) -> None:
    """An option that MongoDB does not have is named."""
    assert said(USER + tail).endswith(": MongoDB has no option films")


def test_a_mistyped_option() -> None:
    """An option that is nearly one of MongoDB's comes with what it was meant to be."""
    assert said(f"{USER}?maxPoolSise=7").endswith("MongoDB has no option maxPoolSise; did you mean maxpoolsize?")


@pytest.mark.parametrize(
    "option",
    ["maxPoolSize=x", "readPreference=film", "authMechanism=FOO", "compressors=film", "w=-1", "uuidRepresentation=x",
     "directConnection=maybe", "connectTimeoutMS=soon", "readPreferenceTags=film"],
)  # fmt: skip
def test_a_value_that_cannot_be_used(option: str) -> None:
    """An option whose value cannot be used is named with it, among others that can."""
    assert said(f"{USER}?appname=films&{option}&tls=false").endswith(f": {option} cannot be used")


def test_a_value_that_is_secret() -> None:
    """An option that may carry a credential is named without its value."""
    assert said(f"{USER}?authMechanismProperties=s3cr3t").endswith(": authMechanismProperties=*** cannot be used")


@pytest.mark.parametrize("tail", ["?w=1&w=2", "?maxPoolSize=1&MAXPOOLSIZE=1"])
def test_an_option_given_twice(tail: str) -> None:
    """An option that is there twice is named."""
    assert said(USER + tail).lower().endswith(f"the option {tail[1:].partition('=')[0].lower()} is in it twice")


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile", "TLSCRLFILE"])
@pytest.mark.parametrize("wrong", [errno.ENOENT, errno.EISDIR])
def test_a_file_that_cannot_be_read(option: str, wrong: int, tmp_path: Path) -> None:
    """A file that an option of the URI names and that cannot be read is named, with the option and the reason."""
    path = tmp_path if wrong == errno.EISDIR else tmp_path / "not there"
    text = said(f"{USER}?tls=true&{option}={str(path).replace(' ', '%20')}")
    assert text.endswith(f"{option} names a file that cannot be read: {str(path)!r} ({os.strerror(wrong)})")


def test_the_other_file_is_missing(tmp_path: Path) -> None:
    """Of two files that the URI names the one that cannot be read is named."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    text = said(f"{USER}?tls=true&tlsCAFile={tmp_path / 'ca.pem'}&tlsCertificateKeyFile={tmp_path / 'key.pem'}")
    assert f"tlsCertificateKeyFile names a file that cannot be read: '{tmp_path / 'key.pem'}'" in text


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile", "tlsCRLFile"])
def test_a_file_that_is_something_else(option: str, tmp_path: Path) -> None:
    """A file that is no certificate is told with the URI that names it."""
    (tmp_path / "film.txt").write_text("Fight Club")
    text = said(f"{USER}?tls=true&{option}={tmp_path / 'film.txt'}")
    assert f"{option}={tmp_path / 'film.txt'}" in text
    assert "PEM" in text


@pytest.mark.parametrize("password", ["s3cr3t?films=1", "s3cr3t?x=1&s3cr3t", "s3cr3t?tlsCAFile=s3cr3t"])
def test_a_password_that_looks_like_options(password: str) -> None:
    """What may be a part of an unescaped password is never taken for an option and repeated."""
    text = said(f"mongodb://adm1n:{password}@127.0.0.1/?tls=false")
    assert "films" not in text
    assert "x" not in text.partition("with the URI")[2].partition(" and its")[0]
