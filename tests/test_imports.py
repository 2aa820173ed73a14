"""The layers, read from the source, and what an import costs."""

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


@cache
def imports(module: str) -> tuple[Import, ...]:
    """List what a module imports, wherever in it: each module, and each name as if it were one."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[Import]:
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


LAYERS = (
    ("__main__",),
    ("cli", "testing"),
    ("demo",),
    ("activation",),
    ("cache",),
    ("doctor", "inspection", "maintenance", "transfer"),
    ("integrations",),
    ("context",),
    ("engine",),
    ("runtime",),
    ("mongo",),
    ("config",),
    ("core",),
    ("metrics",),
    ("environment",),
    ("errors",),
    ("tmdb",),
    ("httpcache",),
    ("deferred_install",),
    ("fork", "formatting", "_version"),
)
"""What may be imported: a module's own folder, and every layer below its own; the stand-in imports nothing of ours."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def layer(module: str) -> str:
    """Return the first part of a module's name below the package: tmdb, mongo, cli, standin, cache, config."""
    return module.removeprefix(f"{NAME}.").split(".")[0] if module != NAME else ""


def own(module: str) -> set[str]:
    return {layer(found.module) for found in imports(module) if found.module.startswith(f"{NAME}.")}


def modules_of(name: str) -> list[str]:
    return [module for module in MODULES if layer(module) == name]


def test_the_layers_are_there() -> None:
    """Every module is in a layer, or in the stand-in, and every layer has a module."""
    assert {layer(module) for module in MODULES} - {"", "standin"} == set(RANK)


def test_imports_run_downwards() -> None:
    """A module imports its own folder and layers below its own, also where it is for types alone."""
    ranks = {module: RANK[layer(module)] for module in MODULES if layer(module) not in ("", "standin")}
    above = {
        module: {name for name in own(module) - {"standin", layer(module)} if RANK[name] <= rank}
        for module, rank in ranks.items()
    }
    assert {module: names for module, names in above.items() if names} == {}


def test_there_is_no_circle() -> None:
    """No two modules import each other, by whatever way, imports for types included."""
    waiting = {
        module: {found.module for found in imports(module) if found.module in MODULES} - {module, NAME}
        for module in MODULES
        if module != NAME
    }
    while free := [module for module, needed in waiting.items() if not needed & waiting.keys()]:
        for module in free:
            del waiting[module]
    assert waiting == {}


def test_few_modules_are_at_the_root() -> None:
    """At the root are at most a dozen modules, and each folder says in one sentence what is in it."""
    assert len(list(PACKAGE.glob("*.py"))) <= 12
    for path in PACKAGE.glob("**/__init__.py"):
        if layer(name_of(path)) not in ("", "standin"):
            (only,) = tree(path).body
            assert "\n" not in ast.get_docstring(tree(path), clean=False), only


def test_only_the_demo_knows_the_stand_in() -> None:
    """The stand-in TMDB is imported by nothing but itself and the demo."""
    assert {layer(module) for module in MODULES if "standin" in own(module)} <= {"standin", "demo"}


def test_the_stand_in_knows_nothing_of_the_cache() -> None:
    """The stand-in TMDB imports nothing of the package but itself."""
    assert set().union(*map(own, modules_of("standin"))) <= {"standin"}


IO_MODULES = {
    "asyncio", "concurrent", "http", "io", "logging", "multiprocessing", "os", "pathlib", "pymongo", "bson", "random",
    "secrets", "shutil", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib3",
    "uuid", "requests_cache", "contextvars",
}  # fmt: skip
CLOCKS_AND_DOORS = {"now", "utcnow", "today", "fromtimestamp", "time", "monotonic", "perf_counter", "sleep", "environ"}
BUILTINS = {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("module", modules_of("tmdb") + modules_of("httpcache"))
def test_the_rules_are_pure(module: str) -> None:
    """Nothing under tmdb/ and httpcache/ imports I/O, reads a clock or the environment, opens a file, has globals."""
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


def test_mongodb_is_imported_in_its_folder_alone() -> None:
    """pymongo, bson and gridfs are imported under mongo/ alone, but for types."""
    importing = {
        module
        for module in MODULES
        for found in imports(module)
        if not found.typing_only and found.module.split(".")[0] in ("pymongo", "bson", "gridfs", "motor")
    }
    assert {module for module in importing if layer(module) != "mongo"} == set()


@pytest.mark.parametrize("module", modules_of("activation") + modules_of("integrations") + modules_of("cli"))
def test_no_insides_of_others_are_used(module: str) -> None:
    """What switches caching on, an integration and a command use of other modules only names without an underscore."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(NAME)):
            for alias in node.names:
                assert not alias.name.startswith("_") or alias.name == "__version__", ast.unparse(node)
                aliases[alias.asname or alias.name] = alias.name
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            assert not node.attr.startswith("_") or node.attr.startswith("__"), ast.unparse(node)


def test_no_module_imports_everything_of_another() -> None:
    """There is no star import."""
    for module, path in MODULES.items():
        for node in ast.walk(tree(path)):
            assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"), module


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


FLOW = [f"{NAME}.{name}" for name in ("core.flow", "core.policy", "maintenance.tmdb_client")]
FLOW += [f"{NAME}.integrations.requests.{name}" for name in ("fast_path", "adapter")]
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
