"""Results of any kind as one line of JSON."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import os
from typing import Any

from atm_cli.failure import text_of

__all__ = ["encoded", "json_text"]

_DEEPEST = 100


def json_text(value: Any) -> str:
    """``value`` as JSON in one line.

    What JSON does not know becomes what comes nearest: NaN and infinities null, bytes and unknown objects their text,
    sets and tuples lists, dataclasses and mappings objects.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(_plain(value, 0), ensure_ascii=False, allow_nan=False)


def encoded(text: str) -> bytes:
    """JSON as a line in UTF-8."""
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 cannot hold but JSON's escapes can
        return json.dumps(json.loads(text), ensure_ascii=True).encode() + b"\n"


def _plain(value: Any, depth: int) -> Any:
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth == _DEEPEST:
        return text_of(value)
    if isinstance(value, enum.Enum):
        return _plain(value.value, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {one if isinstance(one, str) else text_of(one): _plain(each, depth + 1) for one, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, depth + 1) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(one, depth + 1) for one in value), key=repr)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    return text_of(value)
