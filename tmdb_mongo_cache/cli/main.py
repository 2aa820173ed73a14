"""The command line: ``tmdb-mongo-cache``."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from io import StringIO
from keyword import iskeyword
from typing import Any, NoReturn

import click

from .._version import __version__
from ..environment import report_unknown_variables
from ..errors import CacheError, ConfigError
from .exit_codes import INTERRUPTED

COMMANDS = (
    *("demo", "run", "stats", "ls", "show", "explain", "invalidate", "clear", "export", "import", "warm", "refresh"),
    *("purge", "doctor", "server", "completion"),
)
"""Every command, in the order of ``--help``; each is a module of this folder."""

_NO_WARNING = ("run", "doctor", "completion")
"""Commands that do not warn of unknown variables: the program does, doctor reports them, a shell runs the output."""


class _Commands(click.Group):
    """The commands, each imported when it is used, so that ``run`` starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        found: click.Command = getattr(import_module(f".{name}", __package__), name)
        _refuse_empty_options(found)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them with a whole sentence each, which click would cut."""
        commands = [(name, self.get_command(ctx, name)) for name in COMMANDS]
        rows = [(name, command.get_short_help_str(limit=200)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name in COMMANDS:
            if name not in _NO_WARNING and not ctx.resilient_parsing:
                report_unknown_variables(lambda text: click.echo(f"tmdb-mongo-cache: {text}", err=True))
        elif name.endswith(".py"):
            raise click.UsageError(f"No such command {name!r}. Did you mean: tmdb-mongo-cache run {name}?", ctx)
        elif name and not name.startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(name, COMMANDS, 1)
            also = f"did you mean {near[0]!r}?" if near else "'tmdb-mongo-cache --help' lists all commands."
            raise click.UsageError(f"No such command {name!r}: {also}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # click would exit with 1, as for "no" to a question.
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)


def _refuse_empty_options(command: click.Command) -> None:
    """Reject empty values of options: they mostly come from a variable that is not set.

    For a database an empty value would mean another one, the default.
    """
    for option in command.params:
        if isinstance(option, click.Option) and option.callback is None and not option.is_flag:
            option.callback = _not_empty
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _refuse_empty_options(inner)


def _not_empty(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    is_given = ctx.get_parameter_source(option.name or "") is click.core.ParameterSource.COMMANDLINE
    texts = [text for text in (value if isinstance(value, tuple) else (value,)) if isinstance(text, str)]
    if is_given and not all(text.strip() for text in texts) and not ctx.resilient_parsing:
        raise click.UsageError(f"{option.opts[0]} is empty; is the variable that it comes from set?", ctx)
    return value


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tmdb-mongo-cache")
def cli() -> None:
    """Put a MongoDB cache under every program that calls TMDB with requests.

    \b
    tmdb-mongo-cache demo                    see it work
    tmdb-mongo-cache run old_script.py       run a program, unchanged, with the cache
    tmdb-mongo-cache ls                      list what is cached
    tmdb-mongo-cache explain URL             see what the cache does with a call, and why
    tmdb-mongo-cache warm movie 550 603      fill the cache
    tmdb-mongo-cache refresh                 follow TMDB's change feed
    tmdb-mongo-cache doctor                  diagnose problems

    The exit code is 0 on success, 2 for wrong usage or settings, 130 after Ctrl-C
    and 1 for any other failure; "server status" exits with 3 if the server is not
    running, and "run" exits as the program does.
    """  # noqa: D301  click ends a paragraph that it must not fill with this character


def main() -> NoReturn:
    """Run the command line; every error that a user can cause ends in one sentence and an exit code."""
    from .streams import open_streams, why_unwritable

    open_streams()
    code: str | int | None
    try:
        code = _run()
    except OSError as error:
        why = why_unwritable(error)
        if why is None:
            raise
        code = 1
        with suppress(OSError):
            click.echo(f"tmdb-mongo-cache: cannot write the output: {why}", err=True)
    except SystemExit as end:
        code = end.code
    if threading.current_thread() is threading.main_thread():
        # Everything is done; a Ctrl-C while connections are closed would give a traceback, and the code 0.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(prog_name="tmdb-mongo-cache", standalone_mode=False)
    except click.ClickException as error:
        from .redaction import redact_typed

        said = StringIO()
        error.show(said)
        click.echo(redact_typed(said.getvalue()), nl=False, err=True)  # it repeats the arguments
        return error.exit_code
    except click.Abort as abort:
        # By Ctrl-C, or because the input has ended.
        was_interrupted = isinstance(abort.__context__, KeyboardInterrupt)
        click.echo("\ninterrupted" if was_interrupted else "aborted", err=True)
        return INTERRUPTED if was_interrupted else 1
    except CacheError as error:
        from .redaction import redact_arguments

        click.echo(f"tmdb-mongo-cache: {redact_arguments(sys.argv[1:], str(error))}", err=True)
        return 2 if isinstance(error, ConfigError) else 1
    return code if isinstance(code, int) else 0
