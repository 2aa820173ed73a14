"""The documents say what there is, all of it, and nothing else."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import click
import pytest

import tmdb_mongo_cache
from tmdb_mongo_cache import CacheConfig, TMDBCache
from tmdb_mongo_cache.cli.main import COMMANDS
from tmdb_mongo_cache.demo.runs import SCRIPT
from tmdb_mongo_cache.standin import StandIn
from tmdb_mongo_cache.tmdb.endpoints import CLASSES

from . import commandspage

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
EVERYTHING = README + "".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))

INSIDE = {"engine"}
"""What of a TMDBCache is there for the package's own modules."""

METHODS = sorted(
    name
    for name in dir(TMDBCache)
    if not name.startswith("_") and name not in INSIDE and not isinstance(getattr(TMDBCache, name), str)
)
EXAMPLES = sorted(
    path for path in (ROOT / "tmdb_mongo_cache").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("setting", [item.name for item in fields(CacheConfig)])
def test_every_setting_is_documented(setting: str) -> None:
    """Every setting is in the README's and the design's tables and in CacheConfig's docstring."""
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
    """Every public name is in the README or on a page, and has a docstring."""
    assert re.search(rf"\b{name}\b", EVERYTHING)
    assert getattr(tmdb_mongo_cache, name).__doc__


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_documented(name: str) -> None:
    """Every public method and property of a cache is in the README or on a page, and has a docstring."""
    method = inspect.getattr_static(TMDBCache, name)
    shown = rf"\.{name}\b" if isinstance(method, property) else rf"\b{name}\("
    assert re.search(shown, EVERYTHING)
    assert method.__doc__


def test_every_command_is_documented() -> None:
    """Every command is in the README."""
    for command in COMMANDS:
        assert f"tmdb-mongo-cache {command}" in README


def test_every_option_is_documented() -> None:
    """docs/commands.md says of each command what its --help says; python -m tests.commandspage writes it."""
    assert commandspage.PAGE.read_text(encoding="utf-8") == commandspage.page()


def test_every_option_is_explained() -> None:
    """Every command says what it does, and every option what it is for."""
    for name, command in commandspage.every_command():
        assert command.help, name
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert not [f"{name} {option.opts[-1]}" for option in options if not option.help and not option.hidden]


def test_every_class_of_endpoints_is_documented() -> None:
    """The README names the classes that expire_after may use."""
    for name in CLASSES:
        assert f"`{name}`" in README


def test_set_up_commands() -> None:
    """The README has the two commands by which everybody begins."""
    assert "python3 -m venv .venv && .venv/bin/pip install '.[embedded]' && .venv/bin/tmdb-mongo-cache demo\n" in README
    assert (
        "python3 -m venv .venv && .venv/bin/pip install -c tests/constraints.txt -e '.[test]' && .venv/bin/pytest\n"
        in README
    )


def test_attribution() -> None:
    """TMDB's attribution is in the README."""
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


@pytest.fixture
def example(
    monkeypatch: pytest.MonkeyPatch, tls_tmdb: StandIn, mongo_uri: str, database: str, tmp_path: Path
) -> Iterator[None]:
    """Where an example runs: with a MongoDB, a stand-in for TMDB, and a folder of its own."""
    own = {"TMDB_CACHE_URI": mongo_uri, "TMDB_CACHE_DATABASE": database, "TMDB_API_KEY": "0123456789abcdef"}
    for name, value in {**tls_tmdb.env, **own}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield
    tmdb_mongo_cache.uninstall()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.usefixtures("example")
def test_docstring_examples_run(path: Path) -> None:
    """The examples in the docstrings of a module do what they say."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0
    assert found.attempted > 0


@pytest.mark.parametrize("page", ["docs/design.md", "docs/inside.md", "docs/security.md", "CONTRIBUTING.md"])
def test_modules_named_in_a_page_exist(page: str) -> None:
    """Every module, test and folder that is named on a page is there."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)*(?:\w+/|[a-z]\w+\.py))`", text)
    places = (ROOT, ROOT / "tmdb_mongo_cache")
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
    assert named
    constants = re.findall(r"`(\w+)\.([A-Z][A-Z_]{2,})`", text)
    modules = {path.stem: path.read_text(encoding="utf-8") for path in places[1].rglob("*.py")}
    assert [name for module, name in constants if not re.search(rf"(?m)^{name}\b", modules.get(module, ""))] == []


def _lines(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    count = len(text.splitlines())
    if path.name == "cache.py":  # half of the facade is the reference of its methods
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
        strings = [node.body[0] for node in nodes if ast.get_docstring(node)]
        count -= sum((string.end_lineno or 0) - string.lineno + 1 for string in strings)
    return count


def test_no_module_is_long() -> None:
    """No module of the package has more than 300 lines, the facade without its docstrings."""
    counts = {str(path.relative_to(ROOT)): _lines(path) for path in (ROOT / "tmdb_mongo_cache").rglob("*.py")}
    assert {name: count for name, count in counts.items() if count > 300} == {}
