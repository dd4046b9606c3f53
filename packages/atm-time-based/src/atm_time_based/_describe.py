"""Schedules in words."""

from __future__ import annotations

from typing import Callable, List, Sequence

from atm_time_based._cron import parse_fields
from atm_time_based._fields import Field, Special, Term
from atm_time_based._parse import AnySchedule, parse_schedule
from atm_time_based._schedules import After, At, Cron, Every, Reboot
from atm_time_based._zones import zone_name

__all__ = ["describe"]

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "", "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))
_MOST_TIMES = 6


def describe(schedule: AnySchedule) -> str:
    """Say in words when a schedule fires.

    >>> describe("30 7 * * MON-FRI")
    'at 07:30 on Monday to Friday'

    Args:
        schedule: A schedule in any of its forms.
    """
    known = parse_schedule(schedule)
    if isinstance(known, Cron):
        words = _cron(parse_fields(known.expression, known.name, known.seconds), bool(known.name))
        return words if known.timezone is None else f"{words} ({zone_name(known.timezone)})"
    if isinstance(known, Every):
        return f"every {_span(known.seconds, bare_one=True)}"
    if isinstance(known, At):
        zone = "" if known.timezone is None else f" ({zone_name(known.timezone)})"
        return f"once at {known.moment.isoformat(' ')}{zone}"
    if isinstance(known, Reboot):
        return "once when it is added"
    if isinstance(known, After):
        return f"once {_span(known.seconds)} after it is added"
    return str(known)


def _span(seconds: float, bare_one: bool = False) -> str:
    for size, unit in _UNITS:
        count = seconds / size
        if count >= 1 and count == int(count):
            if count == 1 and bare_one:
                return unit
            return f"{int(count)} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def _cron(fields: Sequence[Field], named: bool) -> str:
    second, minute, hour, day, month, weekday = fields
    parts = [_time(second, minute, hour, named), _days(day, weekday, named), _months(month, named)]
    return " ".join(part for part in parts if part)


def _time(second: Field, minute: Field, hour: Field, named: bool) -> str:
    seconds, minutes, hours = second.values, minute.values, hour.values
    unknown = not named and any(term.hashed for field in (second, minute, hour) for term in field.terms)
    if len(seconds) * len(minutes) * len(hours) <= _MOST_TIMES and not unknown:
        shown = f":{seconds[0]:02d}" if seconds != [0] else ""
        times = [f"{h:02d}:{m:02d}{shown}" for h in hours for m in minutes]
        if len(seconds) == 1:
            return "at " + _join(times)
    if seconds == [0] and hour.full and len(minute.terms) == 1 and minute.terms[0].star:
        step = minute.terms[0].step
        if step == 1 or 60 % step == 0:
            return "every minute" if step == 1 else f"every {step} minutes"
    parts = [] if seconds == [0] else [_counted(second, named)]
    parts.append(_counted(minute, named))
    parts.append(_counted(hour, named))
    words = " of ".join(parts)
    return words if words.startswith("every") else "at " + words


def _counted(field: Field, named: bool) -> str:
    """A field of numbers: ``every 2nd minute from 1 to 9``, ``minutes 1, 3 and 5``."""
    return _listed(field, named, str, plural=True)


def _days(day: Field, weekday: Field, named: bool) -> str:
    if not (day.star or weekday.star) and (day.full or weekday.full):
        return ""  # one of them is enough, and one lets every day pass
    days = "" if day.full else _listed(day, named, str, noun="day", plural=True)
    weekdays = (
        "" if weekday.full else _listed(weekday, named, lambda number: _WEEKDAYS[number], noun="weekday")
    )
    if days and not weekdays:
        return f"on {days} of the month" if "month" not in days else f"on {days}"
    if days and weekdays:
        both = day.star or weekday.star
        return (
            f"on {days} of the month if it is {weekdays}"
            if both
            else f"on {days} of the month or on {weekdays}"
        )
    return f"on {weekdays}" if weekdays else ""


def _months(month: Field, named: bool) -> str:
    return "" if month.full else "in " + _listed(month, named, lambda number: _MONTHS[number])


def _listed(
    field: Field, named: bool, label: Callable[[int], str], *, noun: str = "", plural: bool = False
) -> str:
    noun = noun or field.spec.name
    single: List[str] = []
    ranges: List[str] = []
    others: List[str] = []
    for term in field.terms:
        if term.special is not None:
            others.append(_special(term.special))
        elif term.hashed and not named:
            others.append(
                f"its own {noun}" if term.step == 1 else f"every {_nth(term.step)} {noun} from its own"
            )
        elif term.star or term.step > 1:
            others.append(_stepped(term, noun, label))
        elif term.first == term.last:
            single.append(label(term.first))
        else:
            ranges.append(f"{label(term.first)} to {label(term.last)}")
    plain = _join(single + ranges)
    if plain and plural:
        plain = f"{noun}{'s' if ranges or len(single) > 1 else ''} {plain}"
    return _join(([plain] if plain else []) + others)


def _stepped(term: Term, noun: str, label: Callable[[int], str]) -> str:
    if term.star:
        return f"every {noun}" if term.step == 1 else f"every {_nth(term.step)} {noun}"
    return f"every {_nth(term.step)} {noun} from {label(term.first)} to {label(term.last)}"


def _special(special: Special) -> str:
    if special.kind == "#":
        return f"the {_nth(special.nth)} {_WEEKDAYS[special.number]} of the month"
    if special.kind == "nL":
        return f"the last {_WEEKDAYS[special.number]} of the month"
    if special.kind == "W":
        return f"the weekday nearest to day {special.number}"
    last = "the last day" if not special.number else f"the {_nth(special.number)} day before the last"
    if special.kind == "L":
        return last
    return f"the weekday nearest to {last}" if special.number else "the last weekday"


def _nth(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _join(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + " and " + words[-1]
