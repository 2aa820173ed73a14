"""Every page of docs/ does what it says, tried as a reader would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache.standin import StandIn

from .pageskit import DOCS, Reader, blocks_of
from .replicakit import free_ports, replica_set

ROOT = DOCS.parent
ALONE = {"design.md", "change-feed.md", "reliability.md"}
"""Pages with tests of their own."""

SHOWN = {"README.md", "commands.md", "glossary.md"}
"""Pages on which nothing is to be typed."""

PAGES = sorted(page.name for page in DOCS.glob("*.md") if page.name not in ALONE)
READ = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(DOCS.glob("*.md"))]

LOCAL = "mongodb://localhost:27017"
MEMBERS = "mongodb://one.example:27017,two.example:27017,three.example:27017/?replicaSet=rs0"


@pytest.fixture
def env(tls_tmdb: StandIn, mongo_uri: str, database: str) -> dict[str, str]:
    """The environment of a reader: TMDB is the stand-in, MongoDB the test's own."""
    return {
        **tls_tmdb.env,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "TMDB_API_KEY": "0123456789abcdef0123456789abcdef",
        "TMDB_CACHE_URI": mongo_uri,
        "TMDB_CACHE_DATABASE": database,
        "TMDB_CACHE_STORE_TIMEOUT": "10",
    }


@pytest.fixture
def instead(mongo_uri: str, mongo: Any, database: str) -> Iterator[dict[str, str]]:
    """What is typed in place of what stands in a page."""
    yield {LOCAL: mongo_uri, "tmdb_cache_db": database, "127.0.0.1:8000": f"127.0.0.1:{free_ports(1)[0]}"}
    for name in mongo.list_database_names():
        if name.startswith(f"{database}_"):
            mongo.drop_database(name)


@pytest.mark.parametrize("slow", [pytest.param(False, id=""), pytest.param(True, id="slow", marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, slow: bool, instead: dict[str, str], env: dict[str, str], tmp_path: Path) -> None:
    """What a page says can be typed, and does what it says."""
    with Reader(tmp_path, env, instead, slow=slow) as reader:
        if MEMBERS not in (DOCS / name).read_text(encoding="utf-8"):
            reader.read(DOCS / name)
            return
        with replica_set(tmp_path / "members", size=3 if slow else 1) as members:
            instead[MEMBERS] = members.uri
            reader.read(DOCS / name)


@pytest.mark.parametrize(
    "block",
    [
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ echo one\n$ false\n```\n",
        "```python\nn = 1\n```\n\n```python\n>>> n + 1\n3\n```\n",
        "```python\nnothing_of_that_name\n```\n",
        "```python\nimport warnings\nwarnings.warn('old')\n```\n",
        "<!-- a.py -->\n```python\nprint(1)\n```\n\n```console\n$ python a.py\n2\n```\n",
    ],
    ids=["output", "exit code", "value", "error", "warning", "file"],
)
def test_wrong_pages_fail(block: str, tmp_path: Path) -> None:
    """A page that does not do what it says makes its test fail."""
    (tmp_path / "page.md").write_text(f"# A page\n\n{block}", encoding="utf-8")
    with Reader(tmp_path, {}, {}, slow=False) as reader, pytest.raises(AssertionError):
        reader.read(tmp_path / "page.md")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_tried(name: str) -> None:
    """Of every page something is run in the usual run, and a block in a language that is run has a reason not to be."""
    blocks = blocks_of(DOCS / name)
    text = (DOCS / name).read_text(encoding="utf-8")
    assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(blocks)
    run = [block for block in blocks if block.language in ("python", "console") and not block.reason]
    assert any(not block.is_slow for block in run) or name in SHOWN


@pytest.mark.parametrize("name", sorted(page.name for page in DOCS.glob("*.md")))
def test_every_page_is_linked(name: str) -> None:
    """A reader comes to every page from the README or from the index of docs/."""
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"]({name})" in index or f"](docs/{name})" in readme


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_are_alive(page: Path) -> None:
    """Every link to a page or file leads to one that is there, and to a heading that is there."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if heading:
            assert heading in _headings(found), target


def _headings(page: Path) -> set[str]:
    """Return what GitHub makes of the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
