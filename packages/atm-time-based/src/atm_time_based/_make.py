"""The functions that make schedules, and check what they are given."""

from __future__ import annotations

import numbers
from datetime import date, datetime, time
from typing import Any, Optional, Union

from atm_time_based._errors import ScheduleError
from atm_time_based._schedules import After, At, Cron, Every, Reboot
from atm_time_based._zones import Zone, find_zone

__all__ = ["Moment", "after", "at", "cron", "duration", "every"]

Moment = Union[str, date]  # a datetime is a date

_SHORTEST_SECONDS = 0.001
_LONGEST_SECONDS = 100 * 366 * 86400.0


def cron(
    expression: str,
    timezone: Optional[Zone] = None,
    *,
    seconds: Optional[str] = None,
    jitter_seconds: Optional[float] = None,
) -> Union[Cron, Reboot]:
    """A schedule from a cron expression.

    Args:
        expression: ``minute hour day-of-month month day-of-week``, six fields with the seconds first,
            ``@hourly`` to ``@yearly``, or ``@reboot`` (once, when the task is added). Names, ranges, lists,
            steps, ``?``; ``L``, ``L-3``, ``15W``, ``LW`` for the day; ``5L``, ``MON#2`` for the weekday;
            ``H``, ``H/15``, ``H(0-29)`` for a value that follows from the task's name.
        timezone: A zone's name or a ``tzinfo``; None for the strategy's.
        seconds: A seconds field for five fields. Unlike six fields it keeps Debian's rule for changes of
            the clocks.
        jitter_seconds: Each run starts up to so much later; None for the strategy's.

    Raises:
        ScheduleError: It is malformed, or can never fire; the message names the field.
    """
    if not isinstance(expression, str):
        raise ScheduleError("cron", "must be a string", expression)
    if seconds is not None and not isinstance(seconds, str):
        raise ScheduleError("second", "must be a cron field in a string", seconds)
    zone = find_zone(timezone)
    jitter = _optional_duration("jitter_seconds", jitter_seconds)
    if expression.strip().upper() == "@REBOOT":
        if seconds is not None:
            raise ScheduleError("second", "must not be given with @reboot", seconds)
        return Reboot(jitter_seconds=jitter)
    return Cron(" ".join(expression.split()), zone, seconds, jitter)


def every(
    seconds: float = 0.0,
    minutes: float = 0.0,
    hours: float = 0.0,
    jitter_seconds: Optional[float] = None,
    start: Optional[Moment] = None,
) -> Every:
    """A schedule that fires in equal intervals of elapsed time: run k is due at ``start + k * interval``.

    Args:
        seconds: The interval; with ``minutes`` and ``hours`` it adds up.
        minutes: See ``seconds``.
        hours: See ``seconds``.
        jitter_seconds: Each run starts up to so much later, and the next is not moved by it; None for the
            strategy's.
        start: The anchor, an ISO 8601 string or a ``datetime`` (UTC if it has no offset); by default the
            time at which the task is added, so that it first runs one interval later. Times before the task
            was added are not made up for.

    Raises:
        ScheduleError: The interval is less than a millisecond, which is what a timer can tell apart.
    """
    total = 0.0
    for parameter, value, unit in (
        ("seconds", seconds, 1.0),
        ("minutes", minutes, 60.0),
        ("hours", hours, 3600.0),
    ):
        total += duration(parameter, value) * unit
    if total < _SHORTEST_SECONDS:
        raise ScheduleError("seconds", f"must be at least {_SHORTEST_SECONDS:g}", total)
    anchor = None if start is None else At(_moment("start", start)).wall_time
    return Every(total, _optional_duration("jitter_seconds", jitter_seconds), anchor)


def at(moment: Moment, timezone: Optional[Zone] = None) -> At:
    """A schedule that fires once.

    Args:
        moment: An ISO 8601 string, a ``datetime`` or a ``date``. One that the clocks leave out means the
            end of the gap, one that comes twice the first of the two.
        timezone: For a moment without an offset: a zone's name or a ``tzinfo``; None for the strategy's.
    """
    return At(_moment("at", moment), find_zone(timezone))


def after(seconds: float) -> After:
    """A schedule that fires once, so many seconds after the task is added."""
    return After(duration("seconds", seconds))


def _moment(parameter: str, value: Moment) -> datetime:
    moment = _read_moment(value)
    if moment is None:
        expected = "must be a datetime or an ISO 8601 string like '2027-01-01T00:00'"
        raise ScheduleError(parameter, expected, value)
    if not 1 < moment.year < 9999:
        raise ScheduleError(parameter, "must be in the years 2 to 9998, which every zone can show", value)
    return moment


def _read_moment(value: Moment) -> Optional[datetime]:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if not isinstance(value, str):
        return None
    text = value.strip()
    # Before 3.11, fromisoformat knows no Z.
    text = text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def duration(parameter: str, value: Any) -> float:
    """A number of seconds of at least 0, as a float."""
    number: Any = value  # an integer may be too large for a float
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 <= number <= _LONGEST_SECONDS:
        raise ScheduleError(parameter, "must be a number of seconds, of at least 0 and at most 100 years", value)
    return float(value)


def _optional_duration(parameter: str, value: Any) -> Optional[float]:
    return None if value is None else duration(parameter, value)
