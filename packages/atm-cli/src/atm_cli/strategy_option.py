"""``--strategy name:key=value,key=value`` -> a name and settings."""

from __future__ import annotations

import re
from typing import Any, Dict, List

from atm_cli.failure import Failure
from atm_core.compat import load_toml
from atm_core.discovery import installed_strategies

__all__ = ["parse_strategy"]

# The settings begin after the first colon that is followed by "parameter="; colons before it belong to the name
# ("atm-retry:retry", "my_app.rules:PerHost").
_OPTION = re.compile(r"^(?P<name>[^=]+?)(?::(?P<settings>\s*\w+\s*=.*))?$", re.DOTALL)
_SETTING = re.compile(r"\s*(?P<parameter>\w+)\s*=")
_OPEN, _CLOSE, _QUOTES = "[{(", "]})", "\"'"


def parse_strategy(text: str) -> Dict[str, Any]:
    """The entry of a config that ``text`` stands for: ``{"name": ..., parameter: value, ...}``.

    Values are TOML (``20``, ``0.5``, ``true``, ``["a", "b"]``); what is no TOML is a string as it stands.

    Raises:
        Failure: It has another form.
    """
    match = _OPTION.match(text.strip())
    if match is None:
        raise Failure(f"--strategy {text!r}: write NAME:PARAMETER=VALUE,PARAMETER=VALUE")
    name = match.group("name").strip().rstrip(":")
    _refuse_bare_value(text, name)
    entry: Dict[str, Any] = {"name": name}
    for part in _split(match.group("settings") or ""):
        setting = _SETTING.match(part)
        assert setting is not None
        parameter = setting.group("parameter")
        if parameter in entry:
            raise Failure(f"--strategy {text!r}: {parameter} is given twice")
        entry[parameter] = _value(text, parameter, part[setting.end() :].strip())
    return entry


def _refuse_bare_value(text: str, name: str) -> None:
    left, _, right = name.partition(":")
    names = {one.name for one in installed_strategies()}
    if right and left in names and right not in names:
        raise Failure(f"--strategy {text!r}: name the parameter, as in {left}:PARAMETER={right}")


def _split(settings: str) -> List[str]:
    """At the commas that are followed by ``parameter=`` and stand in no brackets or quotes."""
    parts: List[str] = []
    start, depth, quote = 0, 0, ""
    for i, c in enumerate(settings):
        if quote:
            quote = "" if c == quote else quote
        elif c in _QUOTES:
            quote = c
        elif c in _OPEN:
            depth += 1
        elif c in _CLOSE:
            depth -= 1
        elif c == "," and not depth and _SETTING.match(settings, i + 1):
            parts.append(settings[start:i])
            start = i + 1
    parts.append(settings[start:])
    return [part for part in parts if part.strip()]


def _value(text: str, parameter: str, value: str) -> Any:
    if "\n" not in value:
        try:
            return load_toml(f"value = {value}")["value"]
        except ValueError as error:
            if value[:1] in ("[", "{", '"', "'"):
                raise Failure(f"--strategy {text!r}: {parameter} is no TOML value: {error}") from error
    return value
