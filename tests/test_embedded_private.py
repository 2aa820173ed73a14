"""Which users can access the embedded MongoDB, or replace it: folders, modes, the environment it is given."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from pymongo import MongoClient

from tmdb_mongo_cache import TMDBCache, enabled
from tmdb_mongo_cache.cli.main import cli
from tmdb_mongo_cache.errors import EmbeddedServerError
from tmdb_mongo_cache.mongo.embedded import server as embedded
from tmdb_mongo_cache.mongo.embedded.paths import forget_socket, make_private, open_private, why_unsafe
from tmdb_mongo_cache.mongo.embedded.server import EmbeddedServer
from tmdb_mongo_cache.standin import StandIn

from .embeddedkit import folder_fixture  # noqa: F401 - the fixture is used by its name
from .flowkit import MOVIE, get
from .processkit import FORKS, in_a_child

ME, ROOTS, OTHER = 1000, 0, 1001
MINE, SHARED = 1000, 100  # groups: of this user alone, and of everybody
MODES = [0o700, 0o755, 0o775, 0o757, 0o777, 0o720, 0o702]


class Attacker(NamedTuple):
    """A user of the machine."""

    uid: int
    gids: frozenset[int]


ATTACKERS = [Attacker(OTHER, frozenset({SHARED})), Attacker(1002, frozenset())]


def stat_of(mode: int, uid: int, gid: int) -> os.stat_result:
    return os.stat_result((stat.S_IFDIR | mode, 0, 0, 0, uid, gid, 0, 0, 0, 0))


def may_replace(who: Attacker, above: os.stat_result, below: os.stat_result) -> bool:
    """Say whether a user may rename what is in a folder, by the rules of POSIX."""
    if who.uid == above.st_uid:
        return True  # or can change its mode first
    shift = 3 if above.st_gid in who.gids else 0
    writes = bool(above.st_mode >> shift & stat.S_IWOTH)
    return writes and (not above.st_mode & stat.S_ISVTX or below.st_uid == who.uid)


def test_who_could_replace_a_folder() -> None:
    """A place is refused exactly where some other user could rename a folder on the way to it."""
    owners, modes = (ME, ROOTS, OTHER), [mode | sticky for mode in MODES for sticky in (0, stat.S_ISVTX)]
    kinds = [stat_of(*one) for one in product(modes, owners, (MINE, SHARED))]
    refused = 0
    own = stat_of(0o700, ME, MINE)
    for top, below in product(kinds, kinds):
        above = [(Path("/"), stat_of(0o755, ROOTS, ROOTS)), (Path("/a"), top), (Path("/a/b"), below)]
        chain = [found for _, found in above] + [own]
        could = any(may_replace(who, chain[at], chain[at + 1]) for who in ATTACKERS for at in range(len(above)))
        why = why_unsafe(above, ME, is_private=lambda gid: gid == MINE)
        assert (why is not None) == could, above
        refused += could
    assert 0 < refused < len(kinds) ** 2


def test_what_mends_it() -> None:
    """The sentence names the folder and a command that mends it, which for a place that all share is another."""
    root = (Path("/"), stat_of(0o755, ROOTS, ROOTS))

    def why(mode: int, uid: int) -> str:
        return str(why_unsafe([root, (Path("/a b"), stat_of(mode, uid, SHARED))], ME, is_private=lambda _: False))

    assert "run 'chmod go-w '/a b''" in why(0o775, ME)
    assert "have root run 'chmod +t '/a b''" in why(0o777, ROOTS)
    assert "have root run 'chmod go-w '/a b''" in why(0o775, ROOTS)
    assert "uid 1001" in why(0o755, OTHER)
    sandbox = (Path("/"), stat_of(0o755, 65534, 65534))
    assert why_unsafe([sandbox, (Path("/a"), stat_of(0o755, 65534, 0))], ME, is_private=lambda _: False) is None


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("value", [0, 0o002, 0o022, 0o077, 0o777])
def test_umask(value: int, tmp_path: Path) -> None:
    """Folders are made with 0700 and files with 0600 whatever the umask, those that are missing above as well."""
    with umask(value):
        make_private(tmp_path / "a" / "b" / "c", top=tmp_path / "a")
        os.close(open_private(tmp_path / "a" / "file", os.O_RDWR | os.O_CREAT))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*")}
    assert modes == {"b": 0o700, "c": 0o700, "file": 0o600}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", MODES)
def test_what_an_older_version_has_made(mode: int, tmp_path: Path) -> None:
    """The cache's own folders get mode 0700; one above them that others may write to is refused, and left as it is."""
    place = tmp_path / "above" / "tmdb-mongo-cache" / "mongodb"
    place.mkdir(parents=True)
    (place / "start.lock").touch()
    place.parent.chmod(mode)
    place.chmod(0o755)
    make_private(place, top=place.parent)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (place, place.parent)} == {0o700}
    if os.geteuid() == 0:
        os.chown(place.parent.parent, -1, 54321)  # a group of which nobody knows who is in it
    elif mode & 0o022 == 0o020:
        pytest.skip("only root can give a folder to such a group")
    place.parent.parent.chmod(mode)
    if mode & 0o022:
        with pytest.raises(EmbeddedServerError, match="chmod") as caught:
            make_private(place, top=place.parent)
        assert f"{place.parent.parent}," in str(caught.value)
        assert "\n" not in str(caught.value)
    else:
        make_private(place, top=place.parent)
    assert stat.S_IMODE(place.parent.parent.stat().st_mode) == mode


@pytest.mark.parametrize("linked", [False, True])
def test_a_data_directory_that_is_a_link(linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a link in the place of the cache's data directory leads to is not the cache's, and its mode is left."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    disk = tmp_path / ("disk" if linked else "tmdb-mongo-cache")
    disk.mkdir(mode=0o755)
    if linked:
        (tmp_path / "tmdb-mongo-cache").symlink_to(disk)
    with EmbeddedServer() as server:
        assert server.folder == disk / "mongodb"
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(disk.stat().st_mode) == (0o755 if linked else 0o700)
    forget_socket(server.folder)


def test_what_others_could_have_changed(tmp_path: Path) -> None:
    """A server's folder that others may have written to is not put right, but refused."""
    place = tmp_path / "mongodb"
    place.mkdir()
    (place / "start.lock").touch()
    place.chmod(0o777)
    with pytest.raises(EmbeddedServerError, match=f"chmod 700 {place}"):
        make_private(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o777


def test_a_group_of_the_users_own(tmp_path: Path) -> None:
    """A folder above it may be writable for the group that has this user's name, and no other member."""
    user = pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(user.pw_gid)
    if group.gr_name != user.pw_name or [one.pw_uid for one in pwd.getpwall() if one.pw_gid == user.pw_gid] != [
        user.pw_uid
    ]:
        pytest.skip("here a user has no group of his own")
    (tmp_path / "above").mkdir()
    os.chown(tmp_path / "above", -1, user.pw_gid)
    (tmp_path / "above").chmod(0o770)
    make_private(tmp_path / "above" / "own")


def test_sticky(tmp_path: Path) -> None:
    """A folder like /tmp, where users rename only their own files, may be above it."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    make_private(tmp_path / "shared" / "own")


def test_the_started_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets no key of the program that starts it, decompresses nothing, and makes no file that others may read."""
    for name in ("TMDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "TMDB_CACHE_URI", "LD_PRELOAD_NOT", "ÜMLAUT"):
        monkeypatch.setenv(name, "s3cr3t-of-the-program")
    (folder.parent / "disk").mkdir()
    folder.mkdir(mode=0o700)
    (folder / "data").symlink_to(folder.parent / "disk")
    with umask(0), EmbeddedServer(folder) as server, MongoClient(server.uri) as client:
        client.test.films.insert_one({"_id": 1})
        hello = client.admin.command("hello", compression=["zlib", "snappy", "zstd"])
        assert "compression" not in hello
        if sys.platform == "linux":
            variables = Path(f"/proc/{server.pid}/environ").read_bytes()
            assert b"s3cr3t" not in variables
            names = {line.partition(b"=")[0] for line in variables.split(b"\0") if line}
            assert names <= {b"PATH", b"HOME", b"TMPDIR", b"TZ", b"LC_ALL", b"LD_LIBRARY_PATH", b"GLIBC_TUNABLES"}
        made = [folder, *folder.rglob("*"), folder.parent / "disk", *(folder.parent / "disk").rglob("*")]
        others = {path.name: oct(path.lstat().st_mode) for path in made if path.stat().st_mode & 0o077}
        assert others == {}


@FORKS
def test_a_user_without_a_home(
    tmdb: StandIn,
    make_cache: Callable[..., TMDBCache],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A user of whom the system knows nothing but the number is told so in a sentence, by every command and the log."""
    if os.geteuid() != 0:
        pytest.skip("only root can become such a user")
    make_cache().doctor()  # what it imports that user may not be able to read
    with enabled(make_cache()):
        get(tmdb, MOVIE)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("TMDB_CACHE_URI", "embedded")
    commands = [["doctor"], ["server", "start"], ["server", "status"], ["server", "path"], ["stats"]]
    for line in commands:
        CliRunner().invoke(cli, [*line, "--help"])
    caplog.set_level("WARNING", "tmdb_mongo_cache")  # commands are silent

    def says_so() -> bool:
        os.setgroups([])
        os.setgid(54321)
        os.setuid(54321)
        embedded._shared = None  # a test before may have had it
        with enabled(hosts=tmdb.host):
            assert get(tmdb, MOVIE).status_code == 200
        assert [one.message.count("has no home: set HOME") for one in caplog.records] == [1]
        for line in commands:
            done = CliRunner().invoke(cli, line)
            said = done.stdout if line == ["doctor"] else str(done.exception)
            assert "has no home: set HOME" in said, (line, done)
            assert line == ["doctor"] or isinstance(done.exception, EmbeddedServerError), (line, done)
        return True

    assert in_a_child(says_so)
