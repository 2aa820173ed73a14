"""Where an export goes: what it replaces, and how it goes on where it was interrupted."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tmdb_mongo_cache import ConfigError, TMDBCache
from tmdb_mongo_cache.transfer import partial_file
from tmdb_mongo_cache.transfer.exporter import Exporter

from .transferkit import (  # noqa: F401 - the fixtures are used by their names
    Other,
    file_fixture,
    films_fixture,
    other_fixture,
)


def test_wrong_places(cache: TMDBCache, films: list[str], tmp_path: Path, file: Path) -> None:
    """A file that is there is not replaced unless that is said, and what cannot be written is one sentence."""
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists"):
        cache.export_entries(file)
    assert file.read_text(encoding="utf-8") == "mine"
    with pytest.raises(ConfigError, match="is a directory"):
        cache.export_entries(tmp_path, force=True)
    with pytest.raises(ConfigError, match=f"cannot write .*: {os.strerror(errno.ENOENT)}"):
        cache.export_entries(tmp_path / "none" / "x")
    assert cache.export_entries(file, force=True) == 10
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["copy.jsonl"]


def test_what_is_no_file(cache: TMDBCache, films: list[str], tmp_path: Path) -> None:
    """What is not a regular file is never replaced, nor is FILE.part where that is none; --force changes nothing."""
    pipe, part = tmp_path / "pipe", tmp_path / "x.part"
    os.mkfifo(pipe)
    part.symlink_to(tmp_path / "elsewhere")
    for there, says in ((pipe, "is not a regular file"), (tmp_path / "x", "exists and is not")):
        for force in (False, True):
            with pytest.raises(ConfigError, match=says):
                cache.export_entries(there, force=force)
    assert (pipe.is_fifo(), part.is_symlink(), sorted(path.name for path in tmp_path.iterdir())) == (
        True,
        True,
        ["pipe", "x.part"],
    )


def test_a_link_stays(cache: TMDBCache, films: list[str], tmp_path: Path) -> None:
    """Where the file is a link, what it leads to is written and replaced, and the link stays; a circle is told."""
    link, folder = tmp_path / "link", tmp_path / "folder"
    folder.mkdir()
    link.symlink_to("folder/target")
    assert cache.export_entries(link) == 10
    first = (folder / "target").read_bytes()
    with pytest.raises(ConfigError, match="link exists"):
        cache.export_entries(link)
    assert cache.export_entries(link, force=True) == 10
    assert (link.is_symlink(), (folder / "target").read_bytes()) == (True, first)
    assert [path.name for path in folder.iterdir()] == ["target"]
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(ConfigError, match="not a regular file"):
        cache.export_entries(link, force=True)


def test_what_others_have_written(cache: TMDBCache, films: list[str], file: Path) -> None:
    """A FILE.part that does not begin as ours is left as it is, also without a line's end."""
    part = file.with_name("copy.jsonl.part")
    cache.export_entries(file)
    header = file.read_bytes().partition(b"\n")[0]
    file.unlink()
    for text in (b"mine", b"mine\n", b"\0", b"{", header[:-1] + b"x", header[: len(header) // 2] + b"\0"):
        part.write_bytes(text)
        if header.startswith(text):
            continue
        with pytest.raises(ConfigError, match="another export or program"):
            cache.export_entries(file)
        assert (part.read_bytes(), file.exists()) == (text, False)


def test_another_cache(
    cache: TMDBCache, films: list[str], make_cache: Callable[..., TMDBCache], file: Path, mongo: Any
) -> None:
    """What one cache has left is never gone on with by another of the same name, be that empty or full."""
    part = file.with_name("copy.jsonl.part")
    name = f"{cache.config.database}_b"
    cache.export_entries(part)
    before = part.read_bytes()
    try:
        there = make_cache(database=name)
        with pytest.raises(ConfigError, match="to another export"):
            there.export_entries(file)
        there.import_entries(part)
        part.write_bytes(before.replace(cache.config.database.encode(), name.encode()))  # as if of a second server
        with pytest.raises(ConfigError, match="to another export"):
            there.export_entries(file)
        mongo[name].drop_collection("tmdb_cache")
        with pytest.raises(ConfigError, match="to another export"):
            there.export_entries(file)
    finally:
        mongo.drop_database(name)


def test_what_is_gone_on_with_is_said(cache: TMDBCache, films: list[str], file: Path) -> None:
    """It is said behind what an export goes on, and from when that is; after a day it begins anew."""
    part = file.with_name("copy.jsonl.part")
    said: list[str] = []
    cache.export_entries(part)
    whole = part.read_bytes()
    cache.clear()
    before = time.time() - 80_000
    os.utime(part, (before, before))
    Exporter(cache.engine, notice=said.append).to_file(file)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(before))
    assert said == [f"resuming after 10 responses: the export was interrupted at {when} UTC"]
    assert file.read_bytes() == whole
    file.rename(part)
    os.utime(part, (before - 10_000, before - 10_000))
    exporter = Exporter(cache.engine, notice=said.append)
    exporter.to_file(file)
    assert (exporter.count, len(said), len(file.read_bytes().splitlines())) == (0, 1, 1)


def test_an_export_goes_on(cache: TMDBCache, films: list[str], file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where FILE.part is there, cut off anywhere or spoilt at its end, the file is in the end as if in one go."""
    monkeypatch.setattr(partial_file, "_CHUNK", 1000)  # so that lines are longer than what is read at a time
    cache.export_entries(file)
    whole = file.read_bytes()
    header = whole[: whole.index(b"\n") + 1]
    cuts = [whole[: int(len(whole) * share)] for share in (0.0, 0.001, 0.3, 0.7, 0.9999, 1.0)]
    part = file.with_name("copy.jsonl.part")
    for left in (*cuts, header, whole[: len(whole) // 2] + b"\0" * 5000, header + b"\0\0\n\0\n"):
        file.unlink()
        part.write_bytes(left)
        assert cache.export_entries(file) == 10
        assert (file.read_bytes(), part.exists()) == (whole, False), left[-100:]


def test_an_export_does_not_begin_again(cache: TMDBCache, films: list[str], file: Path, collection: Any) -> None:
    """What is in FILE.part is not read again: a document that has gone since is still in the file."""
    cache.export_entries(file)
    whole = file.read_bytes()
    file.rename(file.with_name("copy.jsonl.part"))
    collection.delete_many({"_id": {"$lt": films[9]}})
    assert cache.export_entries(file) == 10
    assert file.read_bytes() == whole


def test_another_export(cache: TMDBCache, films: list[str], file: Path) -> None:
    """A FILE.part to another export, or that another process is just writing, is left alone."""
    part = file.with_name("copy.jsonl.part")
    cache.export_entries(part)
    before = part.read_bytes()
    with pytest.raises(ConfigError, match="to another export"):
        cache.export_entries(file, media_type="movie")
    with partial_file.exclusive(part), pytest.raises(ConfigError, match="another process"):
        cache.export_entries(file)
    assert part.read_bytes() == before
