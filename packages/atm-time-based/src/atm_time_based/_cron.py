"""Cron expressions: what they mean, and when they fire next."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, tzinfo
from typing import Iterator, Optional, Tuple

from cronsim import CronSim

from atm_time_based._days import DayRule
from atm_time_based._errors import ScheduleError
from atm_time_based._fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, Field, Spec, parse_field
from atm_time_based._zones import instants, local

__all__ = ["ALIASES", "CronExpression", "parse_fields"]

ALIASES = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
_SPECS: Tuple[Spec, ...] = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# No zone has set its clocks back by more than 7 hours since 1970. Tells that a repeated hour may be near.
_LARGEST_STEP_BACK = 8 * 3600.0


def parse_fields(text: str, name: str = "", seconds: Optional[str] = None) -> Tuple[Field, ...]:
    """The six fields of an expression of five or six, or of an alias such as ``@daily``.

    Raises:
        ScheduleError: Wrong number of fields, or one of them is malformed.
    """
    parts = ALIASES.get(text.strip().upper(), text).split()
    if parts and parts[0].startswith("@"):
        raise ScheduleError("cron", f"must be @reboot or one of {', '.join(ALIASES).lower()}", text)
    if len(parts) == 6 and seconds is not None:
        raise ScheduleError("second", "must be given once", seconds, f"and six fields: cron {text!r}")
    if len(parts) not in (5, 6):
        expected = "must have 5 fields (minute hour day-of-month month day-of-week) or 6 (second first)"
        raise ScheduleError("cron", expected, text)
    if len(parts) == 5:
        parts.insert(0, "0" if seconds is None else "".join(seconds.split()))
    return tuple(parse_field(spec, part, text, name) for spec, part in zip(_SPECS, parts))


class _Minutes(CronSim):  # type: ignore[misc, unused-ignore]
    """cronsim with our days, which its own fields cannot say (``W``, ``L-n``, and before 2.4 ``LW``)."""

    def __init__(self, fields: str, start: datetime, days: DayRule) -> None:
        super().__init__(fields, start)
        self._rule = days
        self._month = (0, 0)
        self._bits = 0

    def match_day(self, d: date) -> bool:
        if (d.year, d.month) != self._month:
            self._month = (d.year, d.month)
            self._bits = self._rule.bits(d.year, d.month)
        return bool(self._bits >> d.day & 1)


class CronExpression:
    """A cron expression that has been found to be well formed and able to fire.

    Matching minutes is cronsim's work; days, seconds, aliases, ``H`` and ``?`` are added here. An
    expression is *fixed* if neither its minutes nor its hours begin with ``*``; then Debian's rule for
    changes of the clocks holds (cronsim's work again): what falls in a gap fires right after it, once, and
    what falls in a repeated hour fires once. Others go by elapsed time, and so does everything with six
    fields, as in cronsim; this is done here, since cronsim ticks in whole hours, which go astray where the
    clocks change by half of one.

    Args:
        text: Five fields, six with the seconds first, or an alias.
        name: What ``H`` is a hash of.
        seconds: A seconds field for an expression of five fields; it leaves Debian's rule in force.

    Raises:
        ScheduleError: It is malformed, or can never fire; of a day that ``H`` decides, the name tells.
    """

    __slots__ = ("_days", "_fields", "_seconds", "fixed")

    def __init__(self, text: str, name: str = "", seconds: Optional[str] = None) -> None:
        second, minute, hour, day, month, weekday = parse_fields(text, name, seconds)
        self._seconds = tuple(second.values)
        self._days = DayRule(day, weekday)
        self._fields = f"{minute.plain()} {hour.plain()} * {month.plain()} *"
        six = len(text.split()) == 6
        self.fixed = not (minute.star or hour.star or six)
        if name or not any(term.hashed for field in (day, month, weekday) for term in field.terms):
            self._refuse_never(text, day, month, weekday)

    def _refuse_never(self, text: str, day: Field, month: Field, weekday: Field) -> None:
        for number in month.values:
            lengths = (28, 29) if number == 2 else (_LONGEST[number - 1],)
            if any(self._days.bits_of(first, length) for first in range(7) for length in lengths):
                return
        raise ScheduleError(
            day.spec.name,
            "must be a day that comes: this can never fire",
            day.text,
            f"month {month.text!r}, day-of-week {weekday.text!r}, cron {text!r}",
        )

    def next_after(self, wall_time: float, zone: tzinfo) -> Optional[float]:
        """The first time later than this, in POSIX seconds; None if there is none within 50 years.

        Costs a few tens of microseconds, more for days that come less than once a month.
        """
        try:
            if self._seconds != (0,):
                minute = math.floor(wall_time / 60) * 60.0
                if self._minute_after(minute - 1, zone) == minute:
                    for second in self._seconds:
                        if minute + second > wall_time:
                            return minute + second
            found = self._minute_after(wall_time, zone)
            return None if found is None else found + self._seconds[0]
        except (OverflowError, ValueError):
            return None  # past the year 9999

    def _minute_after(self, wall_time: float, zone: tzinfo) -> Optional[float]:
        if self.fixed:
            return self._fixed_after(wall_time, zone)
        start = local(math.floor(wall_time), zone)
        found = self._elapsed_after(wall_time, start, zone)
        later = local(math.floor(wall_time + _LARGEST_STEP_BACK), zone) - timedelta(
            seconds=_LARGEST_STEP_BACK
        )
        if later < start:
            # The clocks go back soon: times that they have shown already come again.
            again = self._elapsed_after(wall_time, later, zone)
            if again is not None and (found is None or again < found):
                return again
        return found

    def _elapsed_after(self, wall_time: float, start: datetime, zone: tzinfo) -> Optional[float]:
        for moment in self._matches(start):
            for found in instants(moment, zone):
                if found > wall_time:
                    return found
        return None

    def _fixed_after(self, wall_time: float, zone: tzinfo) -> Optional[float]:
        start = datetime.fromtimestamp(math.floor(wall_time), zone)
        for moment in self._matches(start):
            found = moment.timestamp()
            if found > wall_time:  # else it was the first of two, and has fired
                return found
        return None

    def _matches(self, start: datetime) -> Iterator[datetime]:
        return iter(_Minutes(self._fields, start, self._days))
