"""One field of a cron expression: its text, and the values that it stands for."""

from __future__ import annotations

import hashlib
import re
from typing import Dict, List, NamedTuple, NoReturn, Optional, Tuple

from atm_time_based._errors import ScheduleError

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "MONTH",
    "SECOND",
    "WEEKDAY",
    "Field",
    "Special",
    "Spec",
    "Term",
    "parse_field",
]

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class Spec(NamedTuple):
    """What a field may hold; the name is the one that errors use."""

    name: str
    low: int
    high: int
    names: Dict[str, int]
    hint: str


SECOND = Spec("second", 0, 59, {}, "0-59")
MINUTE = Spec("minute", 0, 59, {}, "0-59")
HOUR = Spec("hour", 0, 23, {}, "0-23")
DAY = Spec("day-of-month", 1, 31, {}, "1-31, L, L-n, nW, LW or ?")
MONTH = Spec("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}, "1-12 or JAN-DEC")
WEEKDAY = Spec(
    "day-of-week",
    0,
    7,
    {name: number for number, name in enumerate(_WEEKDAYS)},
    "0-7, SUN-SAT, nL, n#1 to n#5 or ?",
)


class Special(NamedTuple):
    """Depends on the month: ``L``, ``W`` (weekday nearest to n), ``LW``, ``#``, ``nL``."""

    kind: str
    number: int
    nth: int = 0


class Term(NamedTuple):
    """One part of a list: ``first`` to ``last`` in steps, or a special day. ``hashed``: it was ``H``."""

    first: int
    last: int
    step: int = 1
    star: bool = False
    special: Optional[Special] = None
    hashed: bool = False

    @property
    def values(self) -> range:
        return range(self.first, self.last + 1, self.step)


class Field(NamedTuple):
    """A parsed field. ``star``: its text begins with ``*`` or ``?``, which is what Vixie's rules look at."""

    spec: Spec
    text: str
    terms: Tuple[Term, ...]
    star: bool

    @property
    def values(self) -> List[int]:
        """The plain values, in order."""
        return sorted({value for term in self.terms if term.special is None for value in term.values})

    @property
    def specials(self) -> List[Special]:
        """The days that depend on the month."""
        return [term.special for term in self.terms if term.special is not None]

    @property
    def full(self) -> bool:
        """Whether it leaves nothing out."""
        return self.spec.high - self.spec.low + 1 == len(self.values)

    def plain(self) -> str:
        """The same values in the words that every cron knows; begins with a star if this does."""
        if not self.star:
            return ",".join(str(value) for value in self.values)
        if self.full:
            return "*"
        first = self.terms[0]
        others = sorted(set(self.values) - set(first.values))
        return ",".join([f"*/{first.step}", *(str(value) for value in others)])


class _Reader:
    """Reads one field; keeps what an error message needs."""

    def __init__(self, spec: Spec, text: str, whole: str, name: str) -> None:
        self.spec, self.text, self.whole, self.name = spec, text, whole, name

    def refuse(self, why: str = "") -> NoReturn:
        expected = why or f"must be made of {self.spec.hint}, or * with , - and /"
        raise ScheduleError(self.spec.name, expected, self.text, f"cron {self.whole!r}")

    def number(self, text: str, low: int, high: int) -> int:
        # isdigit() alone would let superscripts and other scripts' digits pass.
        if not re.match(r"[0-9]{1,9}\Z", text) or not low <= int(text) <= high:
            self.refuse()
        return int(text)

    def value(self, text: str) -> int:
        if text in self.spec.names:
            return self.spec.names[text]
        return self.number(text, self.spec.low, self.spec.high)

    def term(self, text: str) -> Term:
        special = self._special(text)
        if special is not None:
            return Term(0, 0, special=special)
        base, slash, step_text = text.partition("/")
        step = self.number(step_text, 1, 999_999_999) if slash else 1
        if base == "*" or (base == "?" and not slash and self.spec in (DAY, WEEKDAY)):
            # ``*/100`` is Vixie's way to say "the first value, joined by AND"; so a star takes any step.
            return Term(self.spec.low, self.spec.high, step, star=True)
        if slash and step > self.spec.high - self.spec.low:
            self.refuse(f"must have steps shorter than the field, {self.spec.hint}")
        if base.startswith("H"):
            return self._hashed(base, step if slash else 0)
        first_text, dash, last_text = base.partition("-")
        first = self.value(first_text)
        last = self.value(last_text) if dash else self.spec.high if slash else first
        if last_text == "SUN" and first > last:
            last = 7  # FRI-SUN: the Sunday that ends the week
        if last < first:
            self.refuse("must have ranges that go upwards")
        return Term(first, last, step)

    def _special(self, text: str) -> Optional[Special]:
        if self.spec is DAY:
            found = re.match(r"L(?:-([0-9]{1,2}))?(W)?\Z", text)
            if found:
                return Special("LW" if found.group(2) else "L", self.number(found.group(1) or "0", 0, 30))
            if text.endswith("W"):
                return Special("W", self.number(text[:-1], 1, 31))
        if self.spec is WEEKDAY:
            if "#" in text:
                day, _, nth = text.partition("#")
                return Special("#", self.value(day) % 7, self.number(nth, 1, 5))
            if text.endswith("L"):
                return Special("nL", self.number(text[:-1], 0, 7) % 7)
        return None

    def _hashed(self, text: str, step: int) -> Term:
        """``H``, ``H(a-b)``, ``H/n``: a value, or where the steps begin, made from the task's name."""
        found = re.match(r"H(?:\(([0-9]{1,2})-([0-9]{1,2})\))?\Z", text)
        if not found:
            self.refuse()
        # Every month has a 28th, and 0 and 7 are one Sunday.
        high = {"day-of-month": 28, "day-of-week": 6}.get(self.spec.name, self.spec.high)
        low = self.spec.low
        if found.group(1):
            low, high = (self.number(part, self.spec.low, self.spec.high) for part in found.groups())
            if high < low:
                self.refuse("must have ranges that go upwards")
        span = min(step, high - low + 1) if step else high - low + 1
        digest = hashlib.sha256(f"{self.spec.name}\0{self.name}".encode()).digest()
        first = low + int.from_bytes(digest[:8], "big") % span
        return Term(first, high, step, hashed=True) if step else Term(first, first, hashed=True)


def parse_field(spec: Spec, text: str, whole: str, name: str = "") -> Field:
    """Read one field.

    Args:
        spec: Which field.
        text: The field; its letters in any case.
        whole: The whole expression, for the error message.
        name: What ``H`` is a hash of.

    Raises:
        ScheduleError: It is malformed; the message names the field.
    """
    if text.isascii():  # other scripts have letters whose capitals are ours
        text = text.upper()
    reader = _Reader(spec, text, whole, name)
    terms = tuple(reader.term(part) for part in text.split(","))
    return Field(spec, text, terms, text[0] in "*?")
