"""`freehold completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click

from freehold.cli.output import echo

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script by which SHELL completes freehold's commands and options.

    \b
    Examples:
      freehold completion bash > ~/.local/share/bash-completion/completions/freehold
      freehold completion zsh > ~/.zfunc/_freehold
      freehold completion fish > ~/.config/fish/completions/freehold.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    echo(kind(root, {}, "freehold", "_FREEHOLD_COMPLETE").source(), whole=True)
