"""The documents say what there is, all of it, and nothing else."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import tmdb_mongo_cache
from tmdb_mongo_cache import CacheConfig
from tmdb_mongo_cache.demo.runs import SCRIPT
from tmdb_mongo_cache.doors.cli import COMMANDS
from tmdb_mongo_cache.tmdb.endpoints import CLASSES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", [item.name for item in fields(CacheConfig)])
def test_every_setting_is_documented(setting: str) -> None:
    """Every setting stands in the README's and the design's tables and in CacheConfig's docstring."""
    assert re.search(rf"^\| .*`{setting}`.* \|", README, re.MULTILINE)
    assert f"`{setting}" in DESIGN
    assert f"\n    {setting}: " in str(inspect.getdoc(CacheConfig))


def test_every_documented_setting_exists() -> None:
    """The README's table of settings names no setting that is not there."""
    table = README[README.index("| setting |") :].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {item.name for item in fields(CacheConfig)}


@pytest.mark.parametrize("name", [name for name in tmdb_mongo_cache.__all__ if not name.startswith("_")])
def test_every_public_name_is_documented(name: str) -> None:
    """Every public name stands in the README or in the design, and has a docstring."""
    assert re.search(rf"\b{name}\b", README + DESIGN)
    assert getattr(tmdb_mongo_cache, name).__doc__


def test_every_command_is_documented() -> None:
    """Every command stands in the README."""
    for command in COMMANDS:
        assert f"tmdb-mongo-cache {command}" in README


def test_every_class_of_endpoints_is_documented() -> None:
    """The README names the classes that expire_after may use."""
    for name in CLASSES:
        assert f"`{name}`" in README


def test_set_up_commands() -> None:
    """The README has the two commands by which everybody begins."""
    assert "python3 -m venv .venv && .venv/bin/pip install '.[embedded]' && .venv/bin/tmdb-mongo-cache demo\n" in README
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest\n" in README


def test_attribution() -> None:
    """TMDB's attribution stands in the README."""
    line = "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise approved by TMDB."
    assert line in README


def test_the_script_is_the_one_that_is_shipped() -> None:
    """The README shows the demo's script as it is."""
    assert f"```python\n{SCRIPT.read_text(encoding='utf-8')}```" in README


def test_python_in_the_readme_compiles() -> None:
    """Every Python example in the README is Python, and imports what there is."""
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "tmdb_mongo_cache":
                assert {alias.name for alias in node.names} <= set(tmdb_mongo_cache.__all__)


def test_docstring_examples_run() -> None:
    """The examples in the package's docstring do what they say."""
    assert doctest.testmod(tmdb_mongo_cache).failed == 0


def test_modules_named_in_the_design_exist() -> None:
    """The design's table of modules names files that are there."""
    package = ROOT / "tmdb_mongo_cache"
    for row in re.findall(r"^\| (`[^|]*\.py`[^|]*) \|", DESIGN, re.MULTILINE):
        folder = ""
        for name in re.findall(r"`([\w/]+\.py)`", row):
            folder = name.rpartition("/")[0] or folder
            assert (package / folder / name.rpartition("/")[2]).is_file(), name


def test_no_module_is_long() -> None:
    """No module of the package has more than 300 lines."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "tmdb_mongo_cache").rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}
