"""``completion``: the shell completion script."""

from __future__ import annotations

import os

import click

SHELLS = ("bash", "zsh", "fish")

_PROGRAM = "tmdb-mongo-cache"
_VARIABLE = f"_{_PROGRAM.replace('-', '_').upper()}_COMPLETE"  # what click looks for when a shell completes


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def completion(ctx: click.Context, shell: str | None) -> None:
    """Print the shell completion script for commands and options.

    SHELL is bash, zsh or fish; the default is taken from $SHELL.

    \b
    bash, in ~/.bashrc:
      eval "$(tmdb-mongo-cache completion bash)"
    zsh, in ~/.zshrc, after compinit:
      eval "$(tmdb-mongo-cache completion zsh)"
    fish, once:
      tmdb-mongo-cache completion fish > ~/.config/fish/completions/tmdb-mongo-cache.fish
    """  # noqa: D301  click ends a paragraph that it must not fill with this character
    from click.shell_completion import get_completion_class

    shell = shell or os.path.basename(os.environ.get("SHELL", ""))
    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None:
        raise click.UsageError(f"name a shell, one of {', '.join(SHELLS)} ($SHELL is {shell or 'not set'})", ctx)
    found = kind(ctx.find_root().command, {}, _PROGRAM, _VARIABLE)
    # Not source(), which starts a bash only to check its version.
    click.echo(found.source_template % found.source_vars())
