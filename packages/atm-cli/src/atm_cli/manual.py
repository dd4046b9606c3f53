"""What a strategy's signature and docstring say about it, for ``atm strategies`` and ``atm schema``."""

from __future__ import annotations

import inspect
import re
from typing import Any, Dict, List, NamedTuple, Tuple

__all__ = ["Manual", "Parameter", "manual_of", "shown"]

_SECTION = re.compile(r"^(Args|Returns|Raises|Yields):\s*$")
_ITEM = re.compile(r"^(?P<name>\*{0,2}\w+)(?:\s*\([^)]*\))?:\s*(?P<text>.*)$")

_ROLE = re.compile(r":\w+:`~?(?:[\w]+\.)*([^`]+)`")


class Parameter(NamedTuple):
    """A constructor's parameter; ``default`` counts only if it is not ``required``."""

    name: str
    type: str
    required: bool
    default: Any
    doc: str


class Manual(NamedTuple):
    """A strategy's description: the docstring's text before ``Args``, and the parameters."""

    summary: str
    text: str
    parameters: List[Parameter]


def manual_of(strategy: Any) -> Manual:
    """Describe a strategy class, or whatever makes one."""
    text, items = _docstring(_without_markup(inspect.getdoc(strategy) or ""))
    summary = text.split("\n\n")[0].replace("\n", " ")
    try:
        signature = inspect.signature(strategy)
    except (TypeError, ValueError):
        return Manual(summary, text, [])
    parameters = [
        Parameter(
            one.name,
            _type(one.annotation),
            one.default is one.empty,
            None if one.default is one.empty else one.default,
            items.get(one.name, ""),
        )
        for one in signature.parameters.values()
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]
    return Manual(summary, text, parameters)


def _docstring(doc: str) -> Tuple[str, Dict[str, str]]:
    """The text, and the items of ``Args`` with their lines joined."""
    before: List[str] = []
    items: Dict[str, List[str]] = {}
    section, item, indent = "", "", 0
    for line in doc.splitlines():
        begins = _SECTION.match(line)
        if begins:
            section = begins.group(1)
        elif not section:
            before.append(line)
        elif section == "Args" and line.strip():
            depth = len(line) - len(line.lstrip())
            match = _ITEM.match(line.strip())
            indent = indent or depth
            if match and depth <= indent:
                item = match.group("name").lstrip("*")
                items[item] = [match.group("text")]
            elif item:
                items[item].append(line.strip())
    return "\n".join(before).strip(), {name: " ".join(lines) for name, lines in items.items()}


def _without_markup(doc: str) -> str:
    return _ROLE.sub(r"\1", doc).replace("``", "")


def _type(annotation: Any) -> str:
    """The annotation as it stands in the source; aliases of the core are spelled out, since they say more."""
    if annotation is inspect.Parameter.empty:
        return "any"
    if not isinstance(annotation, str):
        return getattr(annotation, "__name__", None) or str(annotation).replace("typing.", "")
    return _ALIASES.get(annotation, annotation)


_ALIASES = {
    "Key": "Optional[Union[str, Callable]]",
    "Cost": "Optional[Union[str, Callable]]",
}


def shown(value: Any) -> str:
    """A default as the user would write it."""
    if isinstance(value, tuple):
        return "(" + ", ".join(map(shown, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, type):
        return value.__name__
    if callable(value):
        return getattr(value, "__qualname__", repr(value))
    return repr(value)
