"""The settings that hold for a task: the strategy's, or what the task says in their place."""

from __future__ import annotations

import math
from datetime import tzinfo
from typing import Any, Mapping, NamedTuple, Optional

from atm_core import Settings
from atm_core.settings import nearest
from atm_time_based._errors import ScheduleError
from atm_time_based._make import at
from atm_time_based._policies import ON_MISSED, OVERLAPS
from atm_time_based._zones import LAST_TIME

__all__ = ["Rules", "check_rules"]


class Rules(NamedTuple):
    """See :class:`~atm_time_based.TimeBasedStrategy`; times in POSIX seconds."""

    misfire_grace_seconds: Optional[float] = None
    on_missed: str = "run_latest"
    catchup_seconds: float = 86400.0
    overlap: str = "skip"
    jitter_seconds: float = 0.0
    start: float = -math.inf
    end: float = LAST_TIME
    max_runs: float = math.inf
    end_on_failure: bool = False


def check_rules(check: Settings, base: Rules, given: Mapping[str, Any], timezone: Optional[tzinfo]) -> Rules:
    """``base`` with what is ``given``; mistakes are noted in ``check``.

    Args:
        check: Where to note mistakes.
        base: For what is not given.
        given: Settings by name.
        timezone: The zone of a ``start`` or ``end`` without an offset.
    """
    known: Any = {}
    for key, value in given.items():
        if key in ("misfire_grace_seconds", "catchup_seconds", "jitter_seconds"):
            known[key] = check.duration(key, value, optional=key == "misfire_grace_seconds")
        elif key == "on_missed":
            known[key] = check.choice(key, value, ON_MISSED)
        elif key == "overlap":
            known[key] = check.choice(key, value, OVERLAPS)
        elif key in ("start", "end"):
            unlimited = Rules._field_defaults[key]
            known[key] = unlimited if value is None else _wall_time(check, key, value, timezone)
        elif key == "max_runs":
            known[key] = math.inf if value is None else check.count(key, value)
        elif key == "end_on_failure":
            known[key] = check.flag(key, value)
        else:
            near = nearest(key, Rules._fields)
            check.fail(
                key, value, "is no setting of a task" + (f" (did you mean {near[0]!r}?)" if near else "")
            )
    rules = base._replace(**known)
    if rules.start > rules.end:
        if given.get("end") is not None:
            check.fail("end", given["end"], "must not be before start")
        else:
            check.fail("start", given["start"], "must not be after the strategy's end")
    return rules


def _wall_time(check: Settings, key: str, value: Any, timezone: Optional[tzinfo]) -> float:
    try:
        return at(value, timezone).wall_time
    except ScheduleError as error:
        check.fail(key, value, error.expected)
        unlimited: float = Rules._field_defaults[key]
        return unlimited
