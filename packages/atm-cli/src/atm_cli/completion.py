"""What a shell offers at a tab: names of strategies, parameters, profiles."""

from __future__ import annotations

import inspect
from typing import List

import click
from click.shell_completion import CompletionItem

__all__ = ["complete_profile", "complete_strategy", "complete_strategy_name"]


def complete_strategy(ctx: click.Context, param: click.Parameter, incomplete: str) -> List[CompletionItem]:
    """Installed names, and after the colon the parameters that are still missing."""
    from atm_core.discovery import find_strategy, installed_strategies

    name, colon, settings = incomplete.partition(":")
    if not colon:
        names = sorted({one.name for one in installed_strategies()})
        return [CompletionItem(f"{one}") for one in names if one.startswith(incomplete)]
    try:
        parameters = inspect.signature(find_strategy(name)).parameters
    except Exception:
        return []  # no help for a name that is not right; running it will say why
    given, _, started = settings.rpartition(",")
    head = f"{name}:{given}," if given else f"{name}:"
    return [
        CompletionItem(f"{head}{one}=")
        for one in parameters
        if one.startswith(started) and f"{one}=" not in given and "=" not in started
    ]


def complete_strategy_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> List[CompletionItem]:
    """Installed names."""
    return complete_strategy(ctx, param, incomplete.partition(":")[0])


def complete_profile(ctx: click.Context, param: click.Parameter, incomplete: str) -> List[CompletionItem]:
    """The profiles of the config that stands on the line already."""
    from atm_core import ConfigError
    from atm_core.config import profiles

    # An argument is not yet among the parameters while an option's value is still missing.
    config = ctx.params.get("config") or next(iter(ctx.args), None)
    if config is None:
        return []
    try:
        names = profiles(config)
    except ConfigError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
