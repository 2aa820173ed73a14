"""``tmdb-mongo-cache run``: an old program, cached, without a line of it changed.

A folder with a ``sitecustomize`` is put first on ``PYTHONPATH`` and the program
takes this process's place, so that signals, exit codes and standard streams are
its own, and the Pythons it starts are cached as well (as ddtrace-run and
opentelemetry-instrument do it). A Python that ignores ``PYTHONPATH`` (``-I``,
``-E``, ``-S``) is not reached.
"""

from __future__ import annotations

import errno
import os
import shutil
import site
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError

_HERE = Path(__file__).absolute()

SITE = _HERE.with_name("site")
"""What is put on the path; in an archive it need not be unpacked, for Python imports from a folder in one."""

ROOT = str(_HERE.parents[2])
"""Where this package is imported from: a folder, or an archive."""

FIRST = "TMDB_CACHE_RUN_FIRST"
"""Set for the first Python under ``run``, which says so if it has not this package."""


class CommandNotFound(ConfigError):
    """Raised when there is nothing to run by the name given."""


BEHIND = "TMDB_CACHE_RUN_PATH"
"""Where the Pythons under ``run`` find this package, if they have it not by themselves: an archive, behind all else."""


def is_archive() -> bool:
    """Say whether this program is an archive (zipapp, shiv, pex), whose packages no other Python finds by itself."""
    if not os.path.isfile(sys.path[0]) and not zipfile.is_zipfile(sys.argv[0]):
        return False
    return ROOT not in {*site.getsitepackages(), site.getusersitepackages()}  # else a launcher of Windows


def command_line(arguments: Sequence[str]) -> list[str]:
    """Work out what to start: a script and ``-m module`` with this Python, anything else as it is.

    Raises:
        CommandNotFound: there is neither a file nor a command of that name.
    """
    first = arguments[0]
    if first in ("-m", "-c"):
        if len(arguments) < 2:
            raise CommandNotFound(f"{first} needs the name of a module" if first == "-m" else "-c needs some code")
        return [sys.executable, *arguments]
    if first.startswith("-"):
        raise CommandNotFound(f"unknown option {first}; options of the program go behind its name")
    path = Path(first)
    if path.suffix in (".py", ".pyw", ".pyc", ".pyz") or (path / "__main__.py").is_file():
        if not path.exists():
            raise CommandNotFound(f"there is no file {first}; give the path of a script, -m and a module, or a command")
        return [sys.executable, *arguments]
    found = shutil.which(first)
    if found is not None:
        return [found, *arguments[1:]]
    if path.is_file():
        return [sys.executable, *arguments]
    raise CommandNotFound(f"there is no script and no command {first}; is its environment active?")


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which every Python installs the cache."""
    found = dict(base)
    before = found.get("PYTHONPATH", "")
    # An empty entry means the current folder; an empty variable means nothing.
    rest = [entry for entry in before.split(os.pathsep) if entry != str(SITE)] if before else []
    found["PYTHONPATH"] = os.pathsep.join([str(SITE), *rest])
    found[FIRST] = "1"
    if is_archive():
        found[BEHIND] = ROOT
    return found


def run(arguments: Sequence[str], settings: Mapping[str, str]) -> int:
    """Run a program with the cache; does not return where the platform can replace a process.

    Args:
        arguments: a script, ``-m`` and a module, or a command, with its own arguments.
        settings: environment variables to set for it.

    Returns:
        its exit code.

    Raises:
        CommandNotFound: there is nothing of that name.
    """
    line = command_line(arguments)
    env = environment({**os.environ, **settings})
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        try:
            os.execve(line[0], line, env)  # noqa: S606  it is the user's own program
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # executable, but without a first line that says by what
                os.execve(sys.executable, [sys.executable, *line], env)  # noqa: S606  as above
            raise CommandNotFound(f"{arguments[0]} cannot be started: {error.strerror}") from error
    return subprocess.run(line, env=env, check=False).returncode  # noqa: S603  it is the user's own program
