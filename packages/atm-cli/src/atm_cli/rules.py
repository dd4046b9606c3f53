"""The rules to run under: a config's profile and ``--strategy`` options, as one profile."""

from __future__ import annotations

import os
import re
from typing import Optional, Sequence

from atm_cli.failure import Failure
from atm_cli.strategy_option import parse_strategy
from atm_cli.target import let_import_from
from atm_core import ConfigError
from atm_core.config import Profile, load

__all__ = ["find_rules"]

_PLACE = re.compile(r"^config strategies\[\d+\](?: \((?P<name>[^)]*)\))?")


def find_rules(config: Optional[str], profile: Optional[str] = None, options: Sequence[str] = ()) -> Profile:
    """The strategies of a profile and then those of ``--strategy`` options, to be built.

    Raises:
        Failure: A mistake in an option.
        ConfigError: Mistakes in the config.
    """
    let_import_from("")
    if config is None and profile is not None:
        raise Failure(f"--profile {profile} needs a --config")
    if config is not None:
        let_import_from(os.path.dirname(config))
    found = Profile("atm", "the command line", {}, []) if config is None else load(config, profile)
    entries = [parse_strategy(option) for option in options]
    try:
        more = load({"strategies": entries}).strategies
    except ConfigError as error:
        raise Failure("; ".join(_PLACE.sub(_option, problem) for problem in error.problems)) from error
    named = [(_PLACE.sub(_option, place), strategy, settings) for place, strategy, settings in more]
    return found._replace(strategies=[*found.strategies, *named])


def _option(place: re.Match[str]) -> str:
    return f"--strategy {place.group('name')}"
