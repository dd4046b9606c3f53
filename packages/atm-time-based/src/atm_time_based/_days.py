"""On which days of a month a cron expression fires."""

from __future__ import annotations

import calendar
from typing import Dict, List

from atm_time_based._fields import Field, Special

__all__ = ["DayRule"]

_SATURDAY, _SUNDAY = 5, 6  # as calendar.monthrange() counts
_ALL_DAYS = 0xFFFFFFFE  # bit d is day d


class DayRule:
    """Day-of-month and day-of-week together, by Vixie's rule.

    If either field begins with a star, a day must match both; otherwise one of them is enough (Debian's
    cron, entry.c and ``DOM_STAR``/``DOW_STAR`` in cron.c).

    A month is known by its first weekday and its length, so a rule has at most 28 answers; each is worked
    out once.

    Args:
        day: The day-of-month field.
        weekday: The day-of-week field.
    """

    __slots__ = ("_both", "_day_bits", "_known", "_specials", "_unrestricted", "_weekdays")

    def __init__(self, day: Field, weekday: Field) -> None:
        self._unrestricted = day.full and weekday.full
        self._both = day.star or weekday.star
        self._day_bits = sum(1 << value for value in day.values)
        self._weekdays = frozenset(value % 7 for value in weekday.values)
        self._specials = (tuple(day.specials), tuple(weekday.specials))
        self._known: Dict[int, int] = {}

    def bits(self, year: int, month: int) -> int:
        """The matching days of a month, as bits: bit d for day d."""
        if self._unrestricted:
            return _ALL_DAYS
        return self.bits_of(*calendar.monthrange(year, month))

    def bits_of(self, first: int, length: int) -> int:
        """The same for a month that begins on weekday ``first`` (Monday is 0) and has ``length`` days."""
        key = first * 32 + length
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._work_out(first, length)
        return known

    def _work_out(self, first: int, length: int) -> int:
        inside = (1 << length + 1) - 2
        days = self._day_bits
        for special in self._specials[0]:
            days |= 1 << _day_of_month(special, first, length)
        weekdays = 0
        for day in range(1, length + 1):
            if (first + day) % 7 in self._weekdays:  # cron's Sunday is 0
                weekdays |= 1 << day
        for special in self._specials[1]:
            weekdays |= 1 << _nth_weekday(special, first, length)
        return inside & (days & weekdays if self._both else days | weekdays)


def _day_of_month(special: Special, first: int, length: int) -> int:
    """The day that ``L``, ``L-n``, ``nW``, ``LW`` or ``L-nW`` means; 0 if the month has none."""
    day = special.number if special.kind == "W" else length - special.number
    if not 1 <= day <= length:
        return 0  # as Quartz has it: no 31st, no weekday nearest to it
    if special.kind == "L":
        return day
    weekday = (first + day - 1) % 7
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _nth_weekday(special: Special, first: int, length: int) -> int:
    """The day that ``n#k`` or ``nL`` means; 0 if the month has none."""
    days: List[int] = [day for day in range(1, length + 1) if (first + day) % 7 == special.number]
    if special.kind == "nL":
        return days[-1]
    return days[special.nth - 1] if special.nth <= len(days) else 0
