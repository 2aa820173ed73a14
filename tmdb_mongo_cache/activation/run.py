"""``tmdb-mongo-cache run``: runs a program with its TMDB calls cached, without changes to its code.

A folder with a ``sitecustomize`` is prepended to ``PYTHONPATH`` and the program
replaces this process, so that signals, exit codes and standard streams are its
own, and the Pythons it starts are cached as well (as with ddtrace-run and
opentelemetry-instrument). A Python that ignores ``PYTHONPATH`` (``-I``, ``-E``,
``-S``) is not cached.
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
"""The folder that is prepended; Python also imports it from within an archive."""

ROOT = str(_HERE.parents[2])
"""Where this package is imported from: a folder or an archive."""

FIRST = "TMDB_CACHE_RUN_FIRST"
"""Set for the first Python under ``run``, which prints a message if this package is not installed for it."""


class CommandNotFound(ConfigError):
    """Raised when there is no program of the given name."""


BEHIND = "TMDB_CACHE_RUN_PATH"
"""An archive that the Pythons under ``run`` append to ``sys.path``, to find this package if it is not installed."""


def is_archive() -> bool:
    """Return whether this program is an archive (zipapp, shiv, pex), whose packages other Pythons do not find."""
    if not os.path.isfile(sys.path[0]) and not zipfile.is_zipfile(sys.argv[0]):
        return False
    return ROOT not in {*site.getsitepackages(), site.getusersitepackages()}  # else a launcher on Windows


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return the command line: a script or ``-m module`` runs with this Python, anything else as it is.

    Raises:
        CommandNotFound: there is no file and no command of that name.
    """
    first = arguments[0]
    if first in ("-m", "-c"):
        if len(arguments) < 2:
            raise CommandNotFound(f"{first} needs the name of a module" if first == "-m" else "-c needs some code")
        return [sys.executable, *arguments]
    if first.startswith("-"):
        raise CommandNotFound(f"unknown option {first}; options of the program go after its name")
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
    """Return an environment in which every Python installs the cache."""
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
    """Run a program with the cache; on POSIX it replaces this process.

    Args:
        arguments: a script, ``-m`` and a module, or a command, with its own arguments.
        settings: environment variables to set for it.

    Returns:
        its exit code.

    Raises:
        CommandNotFound: there is no program of that name.
    """
    line = command_line(arguments)
    env = environment({**os.environ, **settings})
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        try:
            os.execve(line[0], line, env)  # noqa: S606  it is the user's own program
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # executable, but without a shebang line
                os.execve(sys.executable, [sys.executable, *line], env)  # noqa: S606  as above
            raise CommandNotFound(f"{arguments[0]} cannot be started: {error.strerror}") from error
    return subprocess.run(line, env=env, check=False).returncode  # noqa: S603  it is the user's own program
