"""The kinds of schedules: immutable, and told the time."""

from __future__ import annotations

import abc
import copy
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, Dict, Optional

from atm_time_based._cron import CronExpression
from atm_time_based._zones import UTC, fixed_instant, zone_name

__all__ = ["After", "At", "Cron", "Every", "Reboot", "Schedule"]


class Schedule(abc.ABC):
    """When a task is to run. Times are POSIX seconds.

    A schedule may leave things open: a time zone, the name that ``H`` is a hash of, the time from which it
    counts. :meth:`bound` fills them in.
    """

    recurring = True
    jitter_seconds: Optional[float] = None

    @property
    def by_wall_clock(self) -> bool:
        """Whether it goes by the wall clock, and not by the time since it was added."""
        return True

    @property
    def fixed(self) -> bool:
        """Whether a due time that the wall clock shows again is still the same one."""
        return False

    def bound(self, now: float, *, timezone: Optional[tzinfo] = None, name: str = "") -> Schedule:
        """This schedule with nothing left open.

        Args:
            now: What it counts from if it is relative.
            timezone: For schedules that name none; default UTC.
            name: What ``H`` is a hash of.

        Raises:
            ScheduleError: With this name it can never fire.
        """
        return self

    def shifted(self, seconds: float) -> Schedule:
        """This schedule when the wall clock was moved: what counts from its addition moves with it."""
        return self

    @abc.abstractmethod
    def next_after(self, wall_time: float) -> Optional[float]:
        """The first time that is later than ``wall_time``; None if there is none."""

    def first(self, now: float) -> Optional[float]:
        """The first time for a task that is added ``now``. One that fires once may be late already."""
        return self.next_after(now)

    @abc.abstractmethod
    def to_dict(self) -> Dict[str, Any]:
        """The form for JSON and config files; ``parse_schedule`` reads it."""


@dataclass(frozen=True)
class Cron(Schedule):
    """Fires when a cron expression matches; see ``cron()``."""

    expression: str
    timezone: Optional[tzinfo] = None
    seconds: Optional[str] = None
    jitter_seconds: Optional[float] = None
    name: str = ""

    def __post_init__(self) -> None:
        parsed = CronExpression(self.expression, self.name, self.seconds)
        object.__setattr__(self, "_parsed", parsed)

    def bound(self, now: float, *, timezone: Optional[tzinfo] = None, name: str = "") -> Cron:
        zone = self.timezone or timezone or UTC
        if name and not self.name and "H" in self.expression.upper():
            return replace(self, timezone=zone, name=name)
        if zone is self.timezone:
            return self
        other = copy.copy(self)  # not replace(): that would read the expression again
        object.__setattr__(other, "timezone", zone)
        return other

    @property
    def fixed(self) -> bool:
        parsed: CronExpression = self._parsed  # type: ignore[attr-defined]
        return parsed.fixed

    def next_after(self, wall_time: float) -> Optional[float]:
        parsed: CronExpression = self._parsed  # type: ignore[attr-defined]
        return parsed.next_after(wall_time, self.timezone or UTC)

    def to_dict(self) -> Dict[str, Any]:
        zone = None if self.timezone is None else zone_name(self.timezone)
        return _without_none(
            cron=self.expression, timezone=zone, seconds=self.seconds, jitter_seconds=self.jitter_seconds
        )


@dataclass(frozen=True)
class Every(Schedule):
    """Fires at ``anchor + k * seconds``: no drift, whatever the runs take; see ``every()``."""

    seconds: float
    jitter_seconds: Optional[float] = None
    start: Optional[float] = None
    added_at: Optional[float] = None

    @property
    def anchor(self) -> Optional[float]:
        """The first due time; None while neither a start is given nor the time of addition known."""
        if self.start is not None or self.added_at is None:
            return self.start
        return self.added_at + self.seconds

    @property
    def by_wall_clock(self) -> bool:
        return self.start is not None

    def shifted(self, seconds: float) -> Every:
        return self if self.added_at is None else replace(self, added_at=self.added_at + seconds)

    def bound(self, now: float, *, timezone: Optional[tzinfo] = None, name: str = "") -> Every:
        return self if self.anchor is not None else replace(self, added_at=now)

    def first(self, now: float) -> Optional[float]:
        return now if now == self.anchor else self.next_after(now)

    def next_after(self, wall_time: float) -> float:
        anchor = self.anchor
        start = wall_time if anchor is None else anchor
        if wall_time < start:
            return start
        count = (wall_time - start) // self.seconds + 1.0
        # The division may be off by one unit in the last place at either side of a whole number.
        if start + (count - 1.0) * self.seconds > wall_time:
            return start + (count - 1.0) * self.seconds
        while start + count * self.seconds <= wall_time:
            count += 1.0
        return start + count * self.seconds

    def to_dict(self) -> Dict[str, Any]:
        start = None if self.start is None else _iso(self.start, UTC)
        return _without_none(every_seconds=self.seconds, jitter_seconds=self.jitter_seconds, start=start)


@dataclass(frozen=True)
class At(Schedule):
    """Fires once, at a time; see ``at()``. A time without an offset waits for its zone until it is bound."""

    moment: datetime
    timezone: Optional[tzinfo] = None

    recurring = False

    @property
    def fixed(self) -> bool:
        return True

    @property
    def wall_time(self) -> float:
        """The time in POSIX seconds."""
        return fixed_instant(self.moment.replace(tzinfo=None), self.moment.tzinfo or self.timezone or UTC)

    def bound(self, now: float, *, timezone: Optional[tzinfo] = None, name: str = "") -> At:
        return self if self.timezone is not None else replace(self, timezone=timezone or UTC)

    def first(self, now: float) -> Optional[float]:
        return self.wall_time

    def next_after(self, wall_time: float) -> Optional[float]:
        mine = self.wall_time
        return mine if mine > wall_time else None

    def to_dict(self) -> Dict[str, Any]:
        zone = None if self.timezone is None else zone_name(self.timezone)
        return _without_none(at=self.moment.isoformat(), timezone=zone)


@dataclass(frozen=True)
class After(Schedule):
    """Fires once, so many seconds after it is added; see ``after()``."""

    seconds: float
    added_at: Optional[float] = None

    recurring = False

    @property
    def by_wall_clock(self) -> bool:
        return False

    def shifted(self, seconds: float) -> After:
        return self if self.added_at is None else replace(self, added_at=self.added_at + seconds)

    def bound(self, now: float, *, timezone: Optional[tzinfo] = None, name: str = "") -> After:
        return self if self.added_at is not None else replace(self, added_at=now)

    def first(self, now: float) -> Optional[float]:
        return (now if self.added_at is None else self.added_at) + self.seconds

    def next_after(self, wall_time: float) -> Optional[float]:
        if self.added_at is None:
            return wall_time + self.seconds if self.seconds else None
        return self.added_at + self.seconds if self.added_at + self.seconds > wall_time else None

    def to_dict(self) -> Dict[str, Any]:
        return {"after_seconds": self.seconds}


@dataclass(frozen=True)
class Reboot(After):
    """Fires once, when it is added: cron's ``@reboot``."""

    seconds: float = 0.0
    jitter_seconds: Optional[float] = None

    def to_dict(self) -> Dict[str, Any]:
        return _without_none(cron="@reboot", jitter_seconds=self.jitter_seconds)


def _iso(wall_time: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(wall_time, zone).isoformat()


def _without_none(**values: Any) -> Dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
