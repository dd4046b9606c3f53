"""``atm strategies``: what is installed, and what each can be told."""

from __future__ import annotations

import json
import sys
from typing import Any, Dict, List, NamedTuple

import click

from atm_cli.completion import complete_strategy_name
from atm_cli.failure import Failure, describe
from atm_cli.manual import Manual, manual_of, shown
from atm_cli.running.jsonable import json_text
from atm_cli.tables import print_table, table
from atm_cli.target import let_import_from
from atm_core import AtmError
from atm_core.discovery import Installed, find_strategy, installed_strategies

COLUMNS = ("NAME", "DISTRIBUTION", "VERSION", "STATE")
STYLES = ("bold cyan", "", "dim", "")


class State(NamedTuple):
    """An installed strategy: ``available``, ``broken`` or ``in conflict``; and why."""

    installed: Installed
    state: str
    why: str


@click.group("strategies", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int:
    """List the installed strategies: name, distribution, version, state.

    A strategy is available; broken, if it cannot be imported; or in conflict, if two distributions offer its name. Exit
    code: 1 if any is broken or in conflict.
    """
    ctx.ensure_object(dict)["json"] = as_json
    if ctx.invoked_subcommand is not None:
        return 0
    states = states_of(installed_strategies())
    if as_json:
        click.echo(json.dumps([_as_dict(one) for one in states], indent=2))
    else:
        print_table(COLUMNS, rows(states), STYLES)
    return 0 if all(one.state == "available" for one in states) else 1


@command.command("show")
@click.argument("name", shell_complete=complete_strategy_name)
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> int:
    """Describe strategy NAME: its parameters with types and defaults, and its documentation."""
    let_import_from("")
    try:
        found = find_strategy(name)
    except AtmError as error:
        raise Failure(str(error)) from error
    manual = manual_of(found)
    if as_json or ctx.find_object(dict)["json"]:  # type: ignore[index]
        click.echo(json_text({"name": name, **_manual_as_dict(manual)}))
        return 0
    click.echo(f"{name}\n\n{manual.text}\n")
    _print_parameters(manual)
    return 0


def states_of(installed: List[Installed]) -> List[State]:
    """The state of each; imports them."""
    found = []
    for one in installed:
        rivals = [other.distribution for other in installed if other.name == one.name and other is not one]
        if rivals:
            why = f"also offered by {', '.join(rivals)}: write '{one.distribution}:{one.name}'"
            found.append(State(one, "in conflict", why))
            continue
        try:
            one.load()
        except (AtmError, SystemExit) as error:
            cause = error.__cause__ or error
            found.append(State(one, "broken", describe(cause)))
        else:
            found.append(State(one, "available", ""))
    return found


def rows(states: List[State]) -> List[List[str]]:
    """As a table's rows."""
    return [
        [
            one.installed.name,
            one.installed.distribution,
            one.installed.version,
            one.state + (f": {one.why}" if one.why else ""),
        ]
        for one in states
    ]


def _as_dict(one: State) -> Dict[str, Any]:
    return {**one.installed._asdict(), "state": one.state, "why": one.why or None}


def _manual_as_dict(manual: Manual) -> Dict[str, Any]:
    parameters = [
        {**one._asdict(), "default": None if one.required else _plain(one.default)} for one in manual.parameters
    ]
    return {"summary": manual.summary, "doc": manual.text, "parameters": parameters}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else shown(value)


def _print_parameters(manual: Manual) -> None:
    lines = [
        [one.name, one.type, "required" if one.required else shown(one.default), one.doc] for one in manual.parameters
    ]
    if not lines:
        click.echo("It takes no parameters.")
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(table(("PARAMETER", "TYPE", "DEFAULT", ""), lines, ("bold cyan", "green", "yellow", "")))
    else:
        for name, kind, default, doc in lines:
            click.echo(f"{name}: {kind} = {default}" if default != "required" else f"{name}: {kind} (required)")
            click.echo(f"    {doc}" if doc else "", nl=bool(doc))
