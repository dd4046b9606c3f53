"""Schedules as JSON and config files write them, and a look ahead."""

from __future__ import annotations

import difflib
import time
from datetime import date, datetime
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from atm_time_based._errors import ScheduleError
from atm_time_based._make import Moment, after, at, cron, every
from atm_time_based._schedules import At, Cron, Schedule
from atm_time_based._zones import LAST_TIME, UTC, Zone, find_zone

__all__ = ["AnySchedule", "next_times", "parse_schedule"]

AnySchedule = Union[Schedule, str, Mapping[str, Any]]

# The key that makes the kind, the function for it, and what else may be said: key -> parameter.
_FORMS: Dict[str, Tuple[Callable[..., Schedule], Dict[str, str]]] = {
    "cron": (cron, {"timezone": "timezone", "seconds": "seconds", "jitter_seconds": "jitter_seconds"}),
    "every_seconds": (every, {"start": "start", "jitter_seconds": "jitter_seconds"}),
    "at": (at, {"timezone": "timezone"}),
    "after_seconds": (after, {}),
}


def parse_schedule(value: AnySchedule) -> Schedule:
    """A schedule from any of its forms.

    Args:
        value: A schedule; a string (cron); or one of ``{"cron": "0 3 * * *", "timezone": "Asia/Tokyo"}``,
            ``{"every_seconds": 30}``, ``{"at": "2027-01-01T00:00"}``, ``{"after_seconds": 5}``.

    Raises:
        ScheduleError: It is none of these; the message names the key.
    """
    if isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return cron(value)
    if not isinstance(value, Mapping):
        raise ScheduleError("schedule", "must be a schedule, a dict or a cron string", value)
    kinds = [key for key in value if key in _FORMS]
    if len(kinds) != 1:
        raise ScheduleError("schedule", f"must have exactly one of {', '.join(_FORMS)}", dict(value))
    kind = kinds[0]
    make, options = _FORMS[kind]
    others: Dict[str, Any] = {}
    for key in value:
        if key == kind:
            continue
        if key not in options:
            near = difflib.get_close_matches(str(key), list(options), n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ScheduleError(str(key), f"is no key of a schedule with {kind!r}{meant}", value[key])
        others[options[key]] = value[key]
    try:
        return make(value[kind], **others)
    except ScheduleError as error:
        if error.field != "seconds":
            raise
        raise ScheduleError(kind, error.expected, error.value) from None  # under the name that was written


def next_times(
    schedule: AnySchedule,
    n: int,
    start: Optional[Union[Moment, float]] = None,
    *,
    timezone: Optional[Zone] = None,
    name: str = "",
) -> List[datetime]:
    """The next times at which a task would run that is added at ``start``; fewer than n if it ends before.

    Args:
        schedule: A schedule in any of its forms.
        n: How many.
        start: POSIX seconds, a ``datetime`` or an ISO 8601 string; without an offset it is in the schedule's
            zone. By default the present.
        timezone: For schedules that name none; default UTC.
        name: The task's name, for ``H``.

    Returns:
        Times in the schedule's zone.
    """
    known = parse_schedule(schedule)
    zone = find_zone(timezone) or UTC
    if isinstance(known, (Cron, At)) and known.timezone is not None:
        zone = known.timezone
    if start is None:
        now = time.time()
    elif isinstance(start, (date, str)):
        now = at(start, zone).wall_time
    else:
        now = float(start)
    bound = known.bound(now, timezone=zone, name=name)
    found: List[datetime] = []
    wall_time = bound.first(now)
    while wall_time is not None and wall_time <= LAST_TIME and len(found) < n:
        found.append(datetime.fromtimestamp(wall_time, zone))
        wall_time = bound.next_after(wall_time)
    return found
