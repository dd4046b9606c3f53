"""``atm schema``: a JSON Schema of configs, made from the strategies that are installed."""

from __future__ import annotations

import json
from typing import Any, Dict, List

import click

from atm_cli.failure import say
from atm_cli.manual import Manual, Parameter, manual_of
from atm_core import AtmError, TaskManager
from atm_core.discovery import installed_strategies

_TYPES = {
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "string",
    "Path": "string",
    "PathLike": "string",
    "Callable": "string",  # by its dotted name
    "Type": "string",
    "List": "array",
    "Tuple": "array",
    "Sequence": "array",
    "Dict": "object",
    "Mapping": "object",
    "None": "null",
    "NoneType": "null",
}


@click.command("schema")
def command() -> int:
    """Print a JSON Schema of config files for editors, made from the strategies that are installed.

    \b
    atm schema > atm.schema.json
    and as the first line of atm.toml:   #:schema ./atm.schema.json
    """
    click.echo(json.dumps(schema(), indent=2))
    return 0


def schema() -> Dict[str, Any]:
    """The schema (draft 7, which editors know best); strategies that cannot be imported are left out."""
    manuals: Dict[str, Manual] = {}
    for one in installed_strategies():
        try:
            manuals.setdefault(one.name, manual_of(one.load()))
        except AtmError as error:
            say(f"left out: {error}")
    names = sorted(manuals)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Config of Async Task Manager",
        "description": "Profiles by name, each the strategies of one manager; or a single profile.",
        "type": "object",
        "if": {"required": ["strategies"], "properties": {"strategies": {"type": "array"}}},
        "then": {"$ref": "#/definitions/profile"},
        "else": {"additionalProperties": {"$ref": "#/definitions/profile"}},
        "definitions": {
            "profile": _profile(),
            "strategy": _strategy(names, manuals),
            **{f"strategy {name}": _settings(name, manuals[name]) for name in names},
        },
    }


def _profile() -> Dict[str, Any]:
    own = {one.name: one for one in manual_of(TaskManager).parameters if one.name != "strategy"}
    properties = {name: _property(one) for name, one in own.items()}
    properties["strategies"] = {
        "description": "The rules, in any order: a task starts when all of them let it.",
        "type": "array",
        "items": {"$ref": "#/definitions/strategy"},
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _strategy(names: List[str], manuals: Dict[str, Manual]) -> Dict[str, Any]:
    known = {"enum": names}
    dotted = {"type": "string", "pattern": "[:.]", "description": "module:name, or distribution:name"}
    by_name = [
        {
            "if": {"required": ["name"], "properties": {"name": {"const": name}}},
            "then": {"$ref": f"#/definitions/strategy {name}"},
        }
        for name in names
    ]
    described = {
        "anyOf": [known, dotted],
        "description": "; ".join(f"{name}: {manuals[name].summary}" for name in names),
    }
    table = {"type": "object", "required": ["name"], "properties": {"name": described}, "allOf": by_name}
    return {"anyOf": [known, dotted, table]}


def _settings(name: str, manual: Manual) -> Dict[str, Any]:
    properties: Dict[str, Any] = {"name": {"const": name}}
    properties.update({one.name: _property(one) for one in manual.parameters})
    needed = [one.name for one in manual.parameters if one.required]
    return {
        "description": manual.summary,
        "type": "object",
        "required": ["name", *needed],
        "properties": properties,
        "additionalProperties": False,
    }


def _property(one: Parameter) -> Dict[str, Any]:
    made: Dict[str, Any] = {}
    kinds = json_types(one.type)
    if kinds:
        made["type"] = kinds[0] if len(kinds) == 1 else kinds
    if one.doc:
        made["description"] = one.doc
    if not one.required and (one.default is None or isinstance(one.default, (bool, int, float, str))):
        made["default"] = one.default
    return made


def json_types(annotation: str) -> List[str]:
    """The JSON types that an annotation allows; none if it cannot be told, which allows all."""
    found: List[str] = []
    for part in _alternatives(annotation):
        head = part.partition("[")[0].rpartition(".")[2].strip("'\" ")
        if head not in _TYPES:
            return []
        if _TYPES[head] not in found:
            found.append(_TYPES[head])
    return found


def _alternatives(annotation: str) -> List[str]:
    text = annotation.strip()
    head, bracket, inner = text.partition("[")
    short = head.rpartition(".")[2]
    if bracket and short == "Optional":
        return [*_alternatives(inner[:-1]), "None"]
    if bracket and short == "Union":
        return [one for part in _split(inner[:-1], ",") for one in _alternatives(part)]
    parts = _split(text, "|")
    return [text] if len(parts) == 1 else [one for part in parts for one in _alternatives(part)]


def _split(text: str, at: str) -> List[str]:
    parts, depth = [""], 0
    for c in text:
        depth += (c == "[") - (c == "]")
        if c == at and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]
