"""Shell completion, and what the command line says to who has mistyped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tmdb_mongo_cache.cli.completion import SHELLS
from tmdb_mongo_cache.cli.main import COMMANDS, cli

from .processkit import ROOT


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell: str) -> None:
    """Each shell gets its script: for this program, and by the variable that click looks for."""
    done = CliRunner().invoke(cli, ["completion", shell])
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"_TMDB_MONGO_CACHE_COMPLETE={shell}_complete" in done.stdout
    assert "tmdb-mongo-cache" in done.stdout


def test_the_shell_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name it is the script for $SHELL; where that is none of the three, a sentence asks for one."""
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert "=zsh_complete" in CliRunner().invoke(cli, ["completion"]).stdout
    for other in ("/bin/tcsh", ""):
        monkeypatch.setenv("SHELL", other)
        done = CliRunner().invoke(cli, ["completion"])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "bash, zsh, fish" in done.stderr
    assert CliRunner().invoke(cli, ["completion", "tcsh"]).exit_code == 2


def test_the_help_says_how_to_switch_it_on() -> None:
    """The help has the line for each shell."""
    said = CliRunner().invoke(cli, ["completion", "--help"]).stdout
    for shell in SHELLS:
        assert f"tmdb-mongo-cache completion {shell}" in said


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(tmp_path: Path) -> None:
    """A bash that has read the script completes commands, and the options and arguments of one."""
    program = tmp_path / "tmdb-mongo-cache"
    code = "import tmdb_mongo_cache.cli.main as c; c.main()"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o755)
    script = f"""
PATH={tmp_path}:$PATH
eval "$(tmdb-mongo-cache completion bash)"
complete_line() {{
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _tmdb_mongo_cache_completion tmdb-mongo-cache
    echo "${{COMPREPLY[*]}}"
}}
complete -p tmdb-mongo-cache
complete_line tmdb-mongo-cache doc
complete_line tmdb-mongo-cache server st
complete_line tmdb-mongo-cache doctor --no
"""
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    registered, *completed = done.stdout.splitlines()
    assert registered.endswith(" tmdb-mongo-cache")
    assert [set(line.split()) for line in completed] == [{"doctor"}, {"start", "stop", "status"}, {"--no-mend"}]


@pytest.mark.parametrize(("typed", "meant"), [("dcotor", "doctor"), ("sever", "server"), ("purges", "purge")])
def test_a_mistyped_command(typed: str, meant: str) -> None:
    """A command that is not there is a mistake that names the one meant."""
    done = CliRunner().invoke(cli, [typed])
    assert done.exit_code == 2
    assert done.stderr.endswith(f"No such command '{typed}': did you mean '{meant}'?\n")


def test_an_unknown_command() -> None:
    """One that is like no other names the help."""
    done = CliRunner().invoke(cli, ["xyzzy"])
    assert (done.exit_code, "tmdb-mongo-cache --help" in done.stderr) == (2, True)


def test_the_help_names_every_command_in_whole_sentences() -> None:
    """The help has each command with a sentence that is not cut."""
    said = CliRunner().invoke(cli, ["--help"]).stdout
    rows = said[said.index("Commands:") :]
    assert "..." not in rows
    for name in COMMANDS:
        assert f"\n  {name} " in rows
