"""``atm new``: a strategy package of one's own."""

from __future__ import annotations

import json

import click

from atm_cli.failure import Failure, describe, say
from atm_core import AtmError
from atm_core.template import create


@click.command("new")
@click.argument("name")
@click.option("--directory", default=".", metavar="DIR", help="Where to put it. Default: here.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
def command(name: str, directory: str, as_json: bool) -> int:
    """Start a strategy package NAME, such as atm-something, which passes the conformance kit at once."""
    try:
        root = create(name, directory)
    except FileExistsError as error:
        raise Failure(f"{error.filename}: is there already") from error
    except OSError as error:
        raise Failure(f"{error.filename or directory}: {error.strerror or describe(error)}") from error
    except AtmError as error:
        raise Failure(str(error)) from error
    if as_json:
        click.echo(json.dumps({"name": root.name, "directory": str(root)}))
    else:
        click.echo(str(root))
        say(f"next: cd {root}; pip install -e .[test]; pytest")
    return 0
