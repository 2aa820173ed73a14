"""The layers: doors → cache → (tmdb | store), read from the source, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import tmdb_mongo_cache

PACKAGE = Path(tmdb_mongo_cache.__file__).parent
NAME = "tmdb_mongo_cache"

PUBLIC = [
    "CacheConfig", "CacheError", "CacheEvent", "CacheStats", "ChangesReport", "ConfigError",
    "EmbeddedServerError", "EntryInfo", "Explanation", "ImportReport", "MongoBackend", "OfflineError",
    "StoreError", "StoreUnavailable", "TMDBCache", "TMDBResponse", "TMDBSession", "UpstreamError",
    "UsageReport", "Verdict", "WarmReport", "__version__", "cached_tmdb", "disabled", "enabled", "install",
    "is_installed", "uninstall",
]  # fmt: skip


class Import(NamedTuple):
    """One imported module or name, in full, and whether for type checkers alone."""

    module: str
    typing_only: bool


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join((NAME, *(parts[:-1] if parts[-1] == "__init__" else parts)))


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str) -> Iterator[Import]:
    """List what a module imports, wherever in it: each module, and each name as if it were one."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    typing = {
        child
        for node in ast.walk(tree(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node in typing)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield Import(full if full in MODULES else source, node in typing)


def layer(module: str) -> str:
    """Return the first part of a module's name below the package: tmdb, store, doors, standin, cache, config."""
    return module.removeprefix(f"{NAME}.").split(".")[0] if module != NAME else ""


def own(module: str) -> set[str]:
    return {layer(found.module) for found in imports(module) if found.module.startswith(f"{NAME}.")}


def modules_of(name: str) -> list[str]:
    return [module for module in MODULES if layer(module) == name]


def test_the_layers_are_there() -> None:
    """The design's layers exist, so that no test below passes for want of a module."""
    for name in ("tmdb", "store", "doors", "standin", "cache", "config", "errors"):
        assert modules_of(name)


@pytest.mark.parametrize("module", modules_of("tmdb"))
def test_the_rules_know_nothing_else_of_the_package(module: str) -> None:
    """Modules under tmdb/ import each other and nothing else that is ours."""
    assert own(module) <= {"tmdb"}


FOR_REQUESTS = {
    *(
        "ahead",
        "building",
        "certificates",
        "downstream",
        "ending",
        "exchange",
        "known",
        "library",
        "network",
        "plain",
        "raw",
    ),
    *("raw", "responses", "restoring", "scope", "sending", "sessions", "wrappers"),
}
ABOVE_THE_STORE = {"doors", "jobs", "tools", "standin", "demo", "cache", "flow", "__main__", *FOR_REQUESTS}


@pytest.mark.parametrize("module", modules_of("store"))
def test_the_store_knows_neither_the_flow_nor_the_doors(module: str) -> None:
    """Modules under store/ import the rules, the settings and the errors, never what lies above."""
    assert not own(module) & ABOVE_THE_STORE


@pytest.mark.parametrize("module", modules_of("cache") + modules_of("flow"))
def test_the_flow_knows_no_door(module: str) -> None:
    """The cache and the flow import the rules and the store, no door, and nothing of requests."""
    # The cache's methods that call TMDB by themselves; they are imported when they are called.
    assert not own(module) & (ABOVE_THE_STORE - {"cache", "flow", "jobs", "tools"})
    assert {"tmdb", "store"} <= own(module)
    assert not any(found.module.startswith("requests") for found in imports(module))


@pytest.mark.parametrize("module", [m for m in MODULES if layer(m) not in ("doors", "", "__main__", "demo")])
def test_nothing_below_imports_a_door(module: str) -> None:
    """Only the package itself and its command know the doors."""
    assert "doors" not in own(module)


@pytest.mark.parametrize("module", modules_of("config") + modules_of("environment") + modules_of("errors"))
def test_settings_and_errors_know_only_rules(module: str) -> None:
    """The settings and the errors import no flow and no store."""
    assert own(module) <= {"environment", "tmdb", "errors", "logs", "stats"}


@pytest.mark.parametrize("module", [m for m in MODULES if layer(m) not in ("standin", "demo")])
def test_only_the_demo_knows_the_stand_in(module: str) -> None:
    """The stand-in TMDB is imported by nothing but itself and the demo."""
    if "demo" not in module:
        assert "standin" not in own(module)


@pytest.mark.parametrize("module", modules_of("standin"))
def test_the_stand_in_knows_nothing_of_the_cache(module: str) -> None:
    """The stand-in TMDB imports nothing of the package but itself."""
    assert own(module) <= {"standin"}


IO_MODULES = {
    "asyncio", "concurrent", "http", "io", "logging", "multiprocessing", "os", "pathlib", "pymongo", "bson", "random",
    "secrets", "shutil", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib3",
    "uuid", "requests_cache", "contextvars",
}  # fmt: skip
CLOCKS_AND_DOORS = {"now", "utcnow", "today", "fromtimestamp", "time", "monotonic", "perf_counter", "sleep", "environ"}
BUILTINS = {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("module", modules_of("tmdb"))
def test_the_rules_are_pure(module: str) -> None:
    """Nothing under tmdb/ imports I/O, reads a clock or the environment, opens a file or keeps a changing global."""
    for found in imports(module):
        root = found.module.split(".")[0]
        assert root not in IO_MODULES
        assert not found.module.startswith(("urllib.request.urlopen", "requests.sessions", "requests.api"))
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
            owner_is_clock = node.value.id in ("datetime", "date", "time", "os", "dt")
            assert not (owner_is_clock and node.attr in CLOCKS_AND_DOORS), ast.unparse(node)
            assert node.value.id != "requests", ast.unparse(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in BUILTINS
        assert not isinstance(node, ast.Global)


@pytest.mark.parametrize("module", [m for m in MODULES if layer(m) != "store"])
def test_mongodb_is_the_stores_alone(module: str) -> None:
    """pymongo, bson and gridfs are imported under store/ alone, but for types."""
    for found in imports(module):
        if not found.typing_only:
            assert found.module.split(".")[0] not in ("pymongo", "bson", "gridfs", "motor")


@pytest.mark.parametrize("module", modules_of("doors"))
def test_doors_do_not_use_each_others_insides(module: str) -> None:
    """A door uses of another one, of the flow and of the rules, only names without an underscore."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(NAME)):
            for alias in node.names:
                assert not alias.name.startswith("_") or alias.name == "__version__", ast.unparse(node)
                aliases[alias.asname or alias.name] = alias.name
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            assert not node.attr.startswith("_") or node.attr.startswith("__"), ast.unparse(node)


@pytest.mark.parametrize("module", list(MODULES))
def test_no_module_imports_everything_of_another(module: str) -> None:
    """There is no star import."""
    for node in ast.walk(tree(MODULES[module])):
        assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*")


def test_the_public_names_are_sorted_and_locked() -> None:
    """__all__ is this list, in order, and each name is there and in dir()."""
    assert tmdb_mongo_cache.__all__ == PUBLIC == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(tmdb_mongo_cache, name) is not None
        assert name in dir(tmdb_mongo_cache)
    with pytest.raises(AttributeError, match="no_such_name"):
        tmdb_mongo_cache.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", PUBLIC[:-6])
def test_a_public_name_knows_where_it_lives(name: str) -> None:
    """Public classes have a docstring and belong to the package."""
    found = getattr(tmdb_mongo_cache, name)
    if isinstance(found, type):
        assert found.__doc__
        assert found.__module__.startswith(NAME)


FLOW = [f"{NAME}.{name}" for name in ("flow", "plain", "exchange", "tmdb.policy", "jobs.upstream")]
LATER = ["wrapt", "asyncio", "cachetools", *FLOW]
HEAVY = ["pyrate_limiter", "pymongo", "bson", "requests_cache", "click", "rich", "platformdirs", f"{NAME}.standin"]


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import tmdb_mongo_cache", [*HEAVY, "requests", "wrapt"]),
        ("import tmdb_mongo_cache; tmdb_mongo_cache.install()", [*HEAVY, *LATER]),
        (
            "import tmdb_mongo_cache as t; t.install(expire_after=60, offline=True, hosts=['x']); t.uninstall()",
            [*HEAVY, *LATER],
        ),
        (
            "import tmdb_mongo_cache as t, requests as r; from requests.adapters import BaseAdapter as B\n"
            "class A(B):\n"
            "    def send(self, request, **kwargs): x = r.Response(); x.url = request.url; return x\n"
            "t.install(); s = r.Session(); s.mount('https://', A()); s.get('https://example.org/3/movie/1')",
            [*HEAVY, *LATER],
        ),
        ("import tmdb_mongo_cache as t; t.TMDBCache(uri='mongodb://u:p@localhost', memory_ttl=0)", HEAVY),
        ("import tmdb_mongo_cache as t; t.cached_tmdb(expire_after=60)(lambda: 1)", HEAVY),
        ("import tmdb_mongo_cache as t; t.CacheConfig.from_env(); t.ConfigError, t.TMDBSession", HEAVY),
    ],
)
def test_what_is_not_needed_is_not_imported(code: str, heavy: list[str]) -> None:
    """Neither the import nor install() loads pymongo, requests-cache, click or rich: the first call to TMDB does."""
    check = f"import sys\n{code}\nprint(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
    assert done.stderr == ""
