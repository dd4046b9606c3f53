"""What is known of one scheduled task: its counts, and where it is in its life."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Any, List, Optional

from atm_time_based._describe import describe
from atm_time_based._errors import ScheduleError
from atm_time_based._policies import PUNCTUAL_SECONDS, Selection, choose_late, meet_running, most_late
from atm_time_based._rules import Rules
from atm_time_based._schedules import Schedule
from atm_time_based._zones import FIRST_TIME

if TYPE_CHECKING:
    import asyncio
    from contextvars import Context
    from datetime import tzinfo

    from atm_core import Outcome

__all__ = ["Phase", "Recurrence"]

_INSTANT = 1e-6  # as finely as a datetime tells times apart


class Phase(enum.Enum):
    """Waiting for a due time; to start although it is late; in a run, its retries included; no more in it."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    REPLACED = "replaced"


class Recurrence:
    """The runs of one scheduled task. Times are POSIX seconds; ``wall_time`` is the present, less the jitter.

    For everyone to read: ``schedule``, ``name``, ``runs`` (that have ended), ``missed`` (too late, or
    merged into another one), ``skipped`` (due while it ran), ``last_outcome``, ``next_run_at``, and during
    a run ``scheduled_at``.
    """

    __slots__ = (
        "attempt",
        "begun",
        "context",
        "delay",
        "due",
        "due_at",
        "gives_way",
        "handled_at",
        "kept",
        "last_outcome",
        "missed",
        "name",
        "phase",
        "recorded",
        "rules",
        "runs",
        "schedule",
        "scheduled_at",
        "skipped",
    )

    def __init__(self, schedule: Schedule, name: str, rules: Rules) -> None:
        self.schedule = schedule
        self.name = name
        self.rules = rules
        self.runs = self.missed = self.skipped = 0
        self.begun = 0
        self.last_outcome: Optional[Outcome] = None
        self.scheduled_at: Optional[float] = None
        self.phase = Phase.WAITING
        self.due = math.inf  # by the schedule; everything before it is dealt with
        self.delay: Optional[float] = None  # the jitter that is added to it, once it is drawn
        self.due_at = math.inf  # both, on the loop's clock
        self.handled_at = -math.inf  # the latest due time that is dealt with
        self.kept: List[float] = []  # due times to be run in turn; bounded by ``catchup_seconds``
        self.recorded: Optional[str] = None  # with a row in the state file: the schedule as it stands there
        self.attempt: Optional[asyncio.Task[Any]] = None  # what to cancel when the next run is due
        self.gives_way = False  # the next run was due before the attempt had its first step
        self.context: Optional[Context] = None  # for runs beside the task's own

    def __str__(self) -> str:
        return self.name or describe(self.schedule)

    def __repr__(self) -> str:
        return f"<Recurrence {self}: {self.runs} runs, {self.missed} missed>"

    @property
    def next_run_at(self) -> Optional[float]:
        """When it is to run next by its schedule, without jitter; None if never again."""
        if self.begun >= self.rules.max_runs:
            return None
        return self.kept[0] if self.kept else None if self.due == math.inf else self.due

    def begin(self, handled_at: Optional[float], wall_time: float, timezone: tzinfo) -> None:
        """Find the first due time: of a new task, or after what an earlier process has dealt with.

        Args:
            handled_at: Up to when that is; None for a new task.
            wall_time: The present.
            timezone: For a schedule that names none.
        """
        latest = wall_time + self.rules.catchup_seconds
        if handled_at is not None and not FIRST_TIME <= handled_at <= latest:
            handled_at = None  # the clock was wrong then
        since = wall_time if handled_at is None else handled_at
        self.schedule = self.schedule.bound(since, timezone=timezone, name=self.name)
        if handled_at is None:
            self.aim(self.schedule.first(wall_time))
            self.handled_at = min(wall_time, self.due - _INSTANT)
        else:
            self.handled_at = handled_at
            self.aim(self.schedule.next_after(handled_at))  # missed ones are counted, however long ago

    def start(self, wall_time: float) -> None:
        """A run starts; it is for one of the times that have come."""
        if self.phase is Phase.WAITING:
            due = self.take_due(max(wall_time, self.due))
            # A moment ago one of them was not too late, or it would not have started.
            self.kept = self.select(due, wall_time).runs or due[-1:]
            self.missed += len(due) - len(self.kept)
        self.scheduled_at = self.kept.pop(0)
        self.phase = Phase.RUNNING
        self.gives_way = False
        self.begun += 1

    def end(self, outcome: Outcome, wall_time: float) -> None:
        """A run is over, its retries included."""
        self.phase = Phase.WAITING
        self.scheduled_at = self.attempt = None
        self.runs += 1
        self.last_outcome = outcome
        if self.next_run_at is None or self.rules.overlap == "allow":
            return  # what may run beside it and has not begun, because the loop was blocked, is late
        # What is due at this very moment did not come during the run.
        due = self.take_due(wall_time - _INSTANT)
        if due:
            self.meet(due)

    def refuse(self, outcome: Outcome, wall_time: float) -> None:
        """A run did not start: it was too late, or another strategy refused it."""
        if self.phase is Phase.QUEUED:
            self.kept.pop(0)
            self.missed += 1
        else:
            self.missed += len(self.take_due(max(wall_time, self.due)))
        self.phase = Phase.WAITING
        self.last_outcome = outcome

    def close(self, outcome: Outcome) -> None:
        """The task is settled."""
        if self.phase in (Phase.RUNNING, Phase.REPLACED):  # cancelled: nobody asked whether it runs again
            self.runs += 1
            self.last_outcome = outcome
        self.phase = Phase.WAITING
        self.scheduled_at = self.attempt = self.context = None
        self.run_no_more()

    def run_no_more(self) -> None:
        """Nothing comes after what runs now."""
        self.kept = []
        self.due = math.inf

    def meet(self, due: List[float]) -> None:
        """Times have come while it runs: keep or skip them. What grows is bounded by ``catchup_seconds``."""
        met = meet_running(due, self.kept, self.rules.overlap)
        oldest = due[-1] - self.rules.catchup_seconds if self.rules.overlap == "buffer_all" else -math.inf
        self.kept = [at for at in met.kept if at >= oldest]
        self.skipped += met.skipped + len(met.kept) - len(self.kept)

    def aim(self, found: Optional[float]) -> None:
        """Let ``due`` be this time, unless it lies outside of the task's start and end."""
        if found is not None and found < self.rules.start:
            found = self.schedule.next_after(self.rules.start - _INSTANT)
        due = math.inf if found is None or found > self.rules.end else found
        if due != self.due:
            self.due, self.delay = due, None

    def shift(self, seconds: float) -> None:
        """The wall clock was moved, and this schedule goes by elapsed time."""
        self.schedule = self.schedule.shifted(seconds)
        self.due += seconds
        self.handled_at += seconds
        self.kept = [at + seconds for at in self.kept]

    def take_due(self, wall_time: float) -> List[float]:
        """The due times up to ``wall_time``, in order; afterwards ``due`` is later. Empty if there is none.

        Goes back as far as ``catchup_seconds``; of what is due before that, the first alone is told.
        """
        found: List[float] = []
        horizon = wall_time - max(self.rules.catchup_seconds, PUNCTUAL_SECONDS) - _INSTANT
        while self.due <= wall_time:
            found.append(self.due)
            self.aim(self.schedule.next_after(max(self.due, horizon)))
            if self.due <= found[-1]:
                raise ScheduleError("schedule", f"must go on after {found[-1]}", self.schedule)
        if found:
            self.handled_at = found[-1]
        return found

    def select(self, due: List[float], wall_time: float) -> Selection:
        """Which of these due times are to be made up for."""
        rules = self.rules
        return choose_late(
            due, wall_time, rules.on_missed, rules.misfire_grace_seconds, rules.catchup_seconds
        )

    def too_late(self, wall_time: float) -> bool:
        """Whether everything that is due by now has come too late. Changes nothing; O(1)."""
        rules = self.rules
        most = most_late(rules.on_missed, rules.misfire_grace_seconds, rules.catchup_seconds)
        oldest = wall_time - most
        if self.due >= oldest:
            return False
        newer = self.schedule.next_after(oldest - _INSTANT)
        return newer is None or newer > min(wall_time, rules.end)
