"""``atm completion``: tab completion for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

HOW = {
    "bash": 'eval "$(atm completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(atm completion zsh)"   # in ~/.zshrc',
    "fish": "atm completion fish > ~/.config/fish/completions/atm.fish",
}


@click.command("completion", epilog="\b\n" + "\n".join(HOW.values()))
@click.argument("shell", type=click.Choice(sorted(HOW)))
def command(shell: str) -> int:
    """Print a script that teaches SHELL to complete commands, options, strategies and their parameters."""
    from atm_cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "atm", "_ATM_COMPLETE").source())
    return 0
