"""The command group, and the promise that every mistake ends in one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Any, List, Optional, Sequence

import click

from atm_cli import __version__
from atm_cli.failure import INTERRUPTED, Failure, describe, say

__all__ = ["cli", "main"]

_COMMANDS = ("run", "strategies", "check", "schema", "simulate", "new", "completion")


class _Commands(click.Group):
    """Imports a command only when it is used: ``atm --help`` and completion are to be quick."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> Optional[click.Command]:
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"atm_cli.commands.{name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Click itself ends in silence when a pipe is broken."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            raise Failure(_in_words(error)) from error


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="atm")
@click.pass_context
def cli(ctx: click.Context) -> int:
    """Run functions over many inputs under limits, rates and retries; check and simulate the rules.

    Data goes to stdout, words to stderr. Exit codes: 0 all is good, 1 something failed, 2 wrong usage, 130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
    return 2  # a subcommand's own takes its place


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run a command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _outcome(arguments)
    finally:
        _abandon_stdout_if_broken()
    return code


def _outcome(arguments: Optional[Sequence[str]]) -> int:
    from atm_core import AtmError

    try:
        code = cli.main(args=arguments, prog_name="atm", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "atm"
        say(f"{_one_line(error.format_message())} (see '{command} --help')")
        return 2
    except click.ClickException as error:
        say(_one_line(error.format_message()))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    except AtmError as error:
        say(_one_line(str(error)))
        return 2
    except SystemExit as error:  # of shell completion
        return error.code if isinstance(error.code, int) else 0
    except OSError as error:
        say(_in_words(error))
        return 2


def _in_words(error: OSError) -> str:
    if error.errno == errno.EPIPE:
        return "stdout: its reader went away (broken pipe)"
    return _one_line(f"{error.filename or 'stdout'}: {error.strerror or describe(error)}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _abandon_stdout_if_broken() -> None:
    """The interpreter flushes stdout at its end and would complain of what has been told already."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError, AttributeError):
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
