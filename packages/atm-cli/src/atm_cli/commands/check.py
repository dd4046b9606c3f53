"""``atm check``: every mistake of a config, and what cannot work in it."""

from __future__ import annotations

import json
import os
from typing import List, Optional, Tuple

import click

from atm_cli.combinations import Advice, advise
from atm_cli.completion import complete_profile
from atm_cli.failure import Failure, say
from atm_cli.rules import find_rules
from atm_core import ConfigError, TaskManager
from atm_core.config import profiles


@click.command("check")
@click.argument("config", metavar="CONFIG")
@click.option("-p", "--profile", metavar="NAME", shell_complete=complete_profile, help="Check this one only.")
@click.option(
    "--task-seconds",
    type=click.FloatRange(0),
    default=0.01,
    show_default=True,
    metavar="SECONDS",
    help="How short a task can be, to judge which rates are within reach.",
)
@click.option("--strict", is_flag=True, help="A warning is a mistake, too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout.")
def command(config: str, profile: Optional[str], task_seconds: float, strict: bool, as_json: bool) -> int:
    """Check CONFIG, a TOML or JSON file: all mistakes at once, and warnings of combinations that cannot work.

    Exit code: 0 it is right, 1 it has mistakes (with --strict: or warnings), 2 there is no such file.
    """
    if not os.path.isfile(config):
        raise Failure(f"{config}: " + ("Is a directory" if os.path.isdir(config) else "No such file"))
    errors, advices = check(config, profile, task_seconds)
    warnings = [one for one in advices if one.kind == "warning"]
    if as_json:
        remarks = [one._asdict() for one in advices]
        click.echo(json.dumps({"mistakes": errors, "remarks": remarks}, indent=2))
    else:
        for error in errors:
            click.echo(f"mistake: {error}")
        for one in advices:
            click.echo(f"{one.kind}: {one.where} {one.text}")
    say(f"{config}: {_count(len(errors), 'mistake')}, {_count(len(warnings), 'warning')}")
    return 1 if errors or (strict and warnings) else 0


def check(config: str, profile: Optional[str], task_seconds: float) -> Tuple[List[str], List[Advice]]:
    """The mistakes of a config and what else there is to say, profile by profile."""
    errors: List[str] = []
    advices: List[Advice] = []
    try:
        names = [profile] if profile is not None else profiles(config)
        if not names:
            raise ConfigError([f"{config}: holds no profile"])
    except ConfigError as error:
        return list(error.problems), []
    for name in names:
        try:
            found = find_rules(config, name)
            found.build(TaskManager)
        except ConfigError as error:
            errors.extend(error.problems)
            continue
        advices.extend(advise(found, task_seconds))
    return errors, advices


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
