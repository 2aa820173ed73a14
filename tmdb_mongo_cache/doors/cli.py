"""The command line: ``tmdb-mongo-cache``."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from io import StringIO
from typing import Any, NoReturn

import click

from .._version import __version__
from ..environment import tell_unknown_variables
from ..errors import CacheError, ConfigError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo", "demo"),
    "run": ("run", "run"),
    "stats": ("stats", "stats"),
    "ls": ("looking", "ls"),
    "show": ("looking", "show"),
    "explain": ("looking", "explain"),
    "invalidate": ("removing", "invalidate"),
    "clear": ("removing", "clear"),
    "export": ("transfer", "export_entries"),
    "import": ("transfer", "import_entries"),
    "warm": ("warm", "warm"),
    "refresh": ("refresh", "refresh"),
    "purge": ("removing", "purge"),
    "doctor": ("doctor", "doctor"),
    "server": ("server", "server"),
    "completion": ("completion", "completion"),
}
"""Every command, in the order in which ``--help`` shows them: its module under ``commands/``, and its name there."""


_SAY_THEMSELVES = ("run", "doctor", "completion")
"""Commands that do not name mistyped variables: programs do, doctor has a verdict, and shells run what comes out."""


class _Commands(click.Group):
    """The commands, each imported when it is called for: ``run`` is not to pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        found: click.Command = getattr(import_module(f".commands.{module}", __package__), name)
        _refuse_empty_options(found)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them with a whole sentence each, where click would cut it."""
        commands = [(name, self.get_command(ctx, name)) for name in COMMANDS]
        rows = [(name, command.get_short_help_str(limit=200)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in COMMANDS and args[0] not in _SAY_THEMSELVES and not ctx.resilient_parsing:
            tell_unknown_variables(lambda text: click.echo(f"tmdb-mongo-cache: {text}", err=True))
        if args and args[0].endswith(".py") and args[0] not in COMMANDS:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean: tmdb-mongo-cache run {args[0]}?", ctx)
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(args[0], COMMANDS, 1)
            also = f"did you mean {near[0]!r}?" if near else "'tmdb-mongo-cache --help' lists them all."
            raise click.UsageError(f"No such command {args[0]!r}: {also}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from .commands.options import INTERRUPTED

            # click would make it a 1, as for "no" to a question.
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)


def _refuse_empty_options(command: click.Command) -> None:
    """Have an option that is given an empty value be a mistake: it is mostly a variable that is not set.

    Where it names a database it would else stand for another one, the default.
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
        raise click.UsageError(f"{option.opts[0]} is empty; is the variable set that it comes from?", ctx)
    return value


_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


@click.group(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="tmdb-mongo-cache")
def cli() -> None:
    """Put a MongoDB cache under every program that calls TMDB with requests.

    \b
    tmdb-mongo-cache demo                    see it work
    tmdb-mongo-cache run old_script.py       run a program with it, unchanged
    tmdb-mongo-cache ls                      list what is in it
    tmdb-mongo-cache explain URL             why a call is answered as it is
    tmdb-mongo-cache warm movie 550 603      fill it
    tmdb-mongo-cache refresh                 follow what changes at TMDB
    tmdb-mongo-cache doctor                  find out what is wrong

    The exit code is 0 where all went well, 2 for a mistake in what was given,
    130 after Ctrl-C, and 1 for everything else; 3 says that the server does not
    run, and run ends as the program does.
    """  # noqa: D301  click ends a paragraph that it must not fill with this character


def main() -> NoReturn:
    """Run the command line; whatever a user can cause ends in one sentence and an exit code."""
    from .commands.streams import open_streams, why_unwritable

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
            click.echo(f"tmdb-mongo-cache: the output cannot be written: {why}", err=True)
    except SystemExit as end:
        code = end.code
    if threading.current_thread() is threading.main_thread():
        # All is done and said; a Ctrl-C while connections are closed would give a traceback, and the code 0.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(prog_name="tmdb-mongo-cache", standalone_mode=False)
    except click.ClickException as error:
        from .commands.streams import without_secrets

        said = StringIO()
        error.show(said)
        click.echo(without_secrets(said.getvalue()), nl=False, err=True)  # it repeats what was typed
        return error.exit_code
    except click.Abort as abort:
        from .commands.options import INTERRUPTED

        # By Ctrl-C, or because the input has ended.
        was_interrupted = isinstance(abort.__context__, KeyboardInterrupt)
        click.echo("\ninterrupted" if was_interrupted else "aborted", err=True)
        return INTERRUPTED if was_interrupted else 1
    except CacheError as error:
        from .commands.streams import without_secrets_of

        click.echo(f"tmdb-mongo-cache: {without_secrets_of(sys.argv[1:], str(error))}", err=True)
        return 2 if isinstance(error, ConfigError) else 1
    return code if isinstance(code, int) else 0
