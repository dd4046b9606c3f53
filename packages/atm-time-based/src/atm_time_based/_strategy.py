"""Tasks at specific times and intervals, as a strategy."""

from __future__ import annotations

import asyncio
import logging
import os
from contextvars import copy_context
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, Optional, Union
from weakref import WeakKeyDictionary

from atm_core import ManagerStateError, Outcome, Settings, TaskRejected, hookimpl
from atm_time_based._admission import check_with, read_task
from atm_time_based._beside import report_failure
from atm_time_based._errors import MissedRunError
from atm_time_based._journal import Journal
from atm_time_based._make import Moment
from atm_time_based._parse import AnySchedule, parse_schedule
from atm_time_based._recurrence import Phase, Recurrence
from atm_time_based._rules import Rules, check_rules
from atm_time_based._schedules import Schedule
from atm_time_based._timetable import Timetable
from atm_time_based._zones import UTC, Zone, find_zone

if TYPE_CHECKING:
    from atm_core import Task, TaskManager

__all__ = ["TimeBasedStrategy"]

_log = logging.getLogger("atm_time_based")


class _PutOff(TaskRejected):
    """The wall clock went back before the run: it waits again."""


class _Replaced(TaskRejected):
    """The next run is due, and a retry of the last one gives way: so for other strategies that one is over."""


class TimeBasedStrategy:
    """Runs tasks at the times that their metadata names under ``"schedule"``; others it lets pass.

    ::

        manager.add_task(backup, {"schedule": cron("0 3 * * MON-FRI"), "name": "backup"})
        manager.add_task(ping, {"schedule": every(seconds=30, jitter_seconds=2)})

    A recurring task is one handle, pending and running in turn, until it is cancelled or its schedule ends;
    a failed run is logged and does not end it. What a task runs at passes every other strategy, and retries
    belong to the run that they repeat. ``join`` and the end of ``async with`` do not wait for the next run
    of a recurring task.

    The settings hold for all tasks; a task's own stand in its metadata under ``"time_based"``, by the same
    names.

    O(log n) a run in time, besides a few tens of microseconds for the next time of a cron expression.

    Args:
        timezone: For schedules that name none.
        cron: The schedule of tasks that name none, an expression or any other form; by default these start
            at once.
        misfire_grace_seconds: How late a run may start; later it is missed. None: any time within
            ``catchup_seconds``.
        on_missed: When several times have passed, because the process was down, the loop blocked, or
            another strategy in the way: ``"run_latest"`` or ``"run_earliest"`` merges them into one run,
            ``"run_all"`` runs each in turn, ``"skip"`` runs none that is more than a minute (or
            ``misfire_grace_seconds``) late.
        catchup_seconds: How far back missed runs are made up for.
        overlap: When a time comes while the last run is not over, its retries included: ``"skip"`` it, keep
            the first (``"buffer_one"``) or each (``"buffer_all"``) until it is over, ``"cancel_running"``
            and start, or ``"allow"`` both.
        jitter_seconds: Each run starts up to so much later, at random; schedules may name their own.
        start: No run before; an ISO 8601 string or a ``datetime``, in ``timezone`` if it has no offset.
        end: No run after.
        max_runs: How often a task runs at the most.
        end_on_failure: Whether a failed run ends its task.
        state_file: An SQLite file in which tasks with a ``"name"`` keep what they have run, to make up
            after a restart for what was missed; for one manager in one process at a time.
        seed: For the jitter: the same seed, the same times.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(
        self,
        timezone: Zone = "UTC",
        *,
        cron: Optional[AnySchedule] = None,
        misfire_grace_seconds: Optional[float] = None,
        on_missed: str = "run_latest",
        catchup_seconds: float = 86400.0,
        overlap: str = "skip",
        jitter_seconds: float = 0.0,
        start: Optional[Moment] = None,
        end: Optional[Moment] = None,
        max_runs: Optional[int] = None,
        end_on_failure: bool = False,
        state_file: Union[str, os.PathLike[str], None] = None,
        seed: Optional[int] = None,
    ) -> None:
        given = {
            "misfire_grace_seconds": misfire_grace_seconds,
            "on_missed": on_missed,
            "catchup_seconds": catchup_seconds,
            "overlap": overlap,
            "jitter_seconds": jitter_seconds,
            "start": start,
            "end": end,
            "max_runs": max_runs,
            "end_on_failure": end_on_failure,
        }
        self._default: Optional[Schedule] = None
        with Settings("TimeBasedStrategy") as check:
            if timezone is None:
                check.fail("timezone", timezone, "must be a zone's name or a tzinfo", wrong_type=True)
            zone = check_with(check, "timezone", timezone, find_zone)
            if cron is not None:
                self._default = check_with(check, "cron", cron, parse_schedule)
            self._rules = check_rules(check, Rules(), given, zone)
            path = None if state_file is None else _path(check, state_file)
            if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
                check.fail("seed", seed, "must be a whole number", wrong_type=True)
        self.timezone = zone or UTC
        self._journal = Journal(path)
        self._table = Timetable(self._journal, seed)
        # Weak, since nobody tells when another strategy objects to a task.
        self._coming: WeakKeyDictionary[Task[Any], Recurrence] = WeakKeyDictionary()
        self._past = {"runs": 0, "missed": 0, "skipped": 0}  # counts of those that are settled
        if state_file is None:  # an attribute hides the method: a hook that nobody needs costs nothing
            self.atm_hold = None  # type: ignore[assignment, method-assign]

    def recurrence(self, task: Task[Any]) -> Optional[Recurrence]:
        """What is known of a task's runs: counts, last outcome, next time; None if it has no schedule."""
        # In the metadata, so that it lasts as long as the handle, and no longer.
        known = task.metadata.get("recurrence")
        return known if isinstance(known, Recurrence) else None

    def explain(self, task: Task[Any], now: float) -> str:
        """When the task is to run."""
        recurrence = self._table.active.get(task)
        if recurrence is None or recurrence.next_run_at is None:
            return "it has no schedule"
        return f"its next run is due at {self._shown(recurrence.next_run_at)}"

    def stats(self) -> Dict[str, Any]:
        """How many tasks have a schedule, and run; their counts; the earliest due time in POSIX seconds."""
        active = list(self._table.active.values())
        counts = {key: past + sum(getattr(one, key) for one in active) for key, past in self._past.items()}
        due = [one.next_run_at for one in active if one.next_run_at is not None]
        running = sum(one.phase is Phase.RUNNING for one in active)
        return {"scheduled": len(active), "running": running, **counts, "next_run_at": min(due, default=None)}

    @hookimpl
    def atm_admit(self, manager: TaskManager, task: Task[Any], now: float) -> None:
        """Read the task's schedule and its own settings."""
        written = task.metadata.get("schedule", self._default)
        if written is None:
            return
        self._table.serve(manager)
        self._table.look(now)
        recurrence = read_task(task, written, self._rules, self.timezone)
        handled_at = self._journal.restore(recurrence)
        recurrence.begin(handled_at, self._table.clock.now(), self.timezone)
        if recurrence.next_run_at is None and handled_at is None:
            raise TaskRejected(f"{task!r} would never run: its schedule ends before its first time")
        self._coming[task] = recurrence

    @hookimpl(trylast=True)
    def atm_admitted(self, manager: TaskManager, task: Task[Any], now: float) -> None:
        """It sleeps until it is due. Last, since nobody tells when another one fails here."""
        recurrence = self._coming.pop(task, None)
        if recurrence is None:
            return
        task.metadata["recurrence"] = recurrence
        self._journal.add(recurrence)
        self._table.add(manager, task, recurrence)
        if recurrence.next_run_at is None:
            return
        self._journal.note(recurrence)  # so that also its first run is made up for
        if recurrence.rules.overlap == "allow":
            recurrence.context = copy_context()
        if recurrence.schedule.recurring:
            task.recurring = True
        task.not_before = self._table.aim(recurrence, now)

    @hookimpl
    def atm_hold(self, manager: TaskManager, task: Task[Any]) -> Optional[bool]:
        """Settle what has run for the last time already, as the state file says."""
        recurrence = self._table.active.get(task)
        if recurrence is None or recurrence.next_run_at is not None or recurrence.phase is not Phase.WAITING:
            return None
        manager.settle(task, Outcome())
        return True

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> Optional[float]:
        """At its time; no more when that is too long ago."""
        recurrence = self._table.active.get(task)
        if recurrence is None:
            return None
        if recurrence.phase is Phase.REPLACED:
            raise _Replaced("the next run takes the place of a retry")
        if recurrence.phase is not Phase.WAITING:
            return now
        if now < recurrence.due_at:
            return recurrence.due_at
        if self._table.went_back(recurrence, now):
            raise _PutOff("the wall clock went back")
        wall_time = self._table.wall_time(recurrence, now)
        if recurrence.too_late(wall_time):
            late = wall_time - recurrence.due
            raise MissedRunError(
                f"the run of {task!r} due at {self._shown(recurrence.due)} is {late:.3f} s late"
            )
        return now

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """Decide which of the times that have come this run is for; a retry is for the same as before."""
        recurrence = self._table.active.get(task)
        if recurrence is None or recurrence.phase is Phase.RUNNING:
            return
        recurrence.start(self._table.wall_time(recurrence, now))
        task.metadata["scheduled_at"] = recurrence.scheduled_at
        self._journal.note(recurrence)
        self._table.expect_next(task, recurrence, now)

    @hookimpl
    def atm_began(self, task: Task[Any]) -> None:
        """Before its work has its first step, the run is in the state file: a crash in it does not repeat it."""
        recurrence = self._table.active.get(task)
        if recurrence is None:
            return
        if recurrence.recorded is not None:
            self._journal.flush()
        if recurrence.rules.overlap == "cancel_running":
            recurrence.attempt = asyncio.current_task()  # it may have to make room for the next run
            if recurrence.gives_way and recurrence.attempt is not None:
                recurrence.attempt.cancel()

    @hookimpl(trylast=True)
    def atm_again(self, task: Task[Any], outcome: Outcome, now: float) -> Optional[float]:
        """A run is over, or was refused: when is the next? Asked last, so that retries are over, too."""
        recurrence = self._table.active.get(task)
        if recurrence is None or (recurrence.phase is Phase.WAITING and recurrence.next_run_at is None):
            return None
        self._table.look(now)
        if isinstance(outcome.exception, _PutOff):
            return self._table.aim(recurrence, now)
        if isinstance(outcome.exception, _Replaced):
            recurrence.phase, outcome = Phase.RUNNING, Outcome(None, asyncio.CancelledError(), True)
        wall_time = self._table.wall_time(recurrence, now)
        if recurrence.phase is not Phase.RUNNING and outcome.duration is not None:
            recurrence.start(wall_time)  # a strategy that held the task has run it
        scheduled_at = recurrence.scheduled_at
        if recurrence.phase is Phase.RUNNING:
            recurrence.end(outcome, wall_time)
        else:
            recurrence.refuse(outcome, wall_time)
            _log.warning("%s: missed a run: %s", recurrence, outcome.exception)
        self._journal.note(recurrence)
        failed = scheduled_at is not None and outcome.failed
        if recurrence.next_run_at is None or (failed and recurrence.rules.end_on_failure):
            return None
        if scheduled_at is not None and failed:
            report_failure(recurrence, scheduled_at, outcome)
        if recurrence.kept:
            recurrence.phase = Phase.QUEUED
            return now
        return self._table.aim(recurrence, now)

    @hookimpl
    def atm_settled(self, task: Task[Any], outcome: Outcome) -> None:
        """It runs no more."""
        recurrence = self._table.remove(task)
        if recurrence is not None:
            recurrence.close(outcome)
            for count in self._past:
                self._past[count] += getattr(recurrence, count)
            self._journal.drop(recurrence)
        owner = self._table.settled(task, outcome)
        if owner is not None and owner not in self._table.active:
            self._past["runs"] += 1

    @hookimpl
    def atm_manager_started(self, manager: TaskManager) -> None:
        """Take the state file, and set the timer."""
        self._table.serve(manager)
        if sum(isinstance(one, TimeBasedStrategy) for one in manager.strategies.values()) > 1:
            raise ManagerStateError("a manager takes one TimeBasedStrategy: two would both run each task")
        self._journal.open()
        self._table.start()

    @hookimpl
    def atm_manager_stopped(self, manager: TaskManager) -> None:
        """Give the state file back, and cancel the timer."""
        self._table.stop()
        self._journal.close()

    def _shown(self, wall_time: float) -> str:
        return datetime.fromtimestamp(wall_time, self.timezone).isoformat()


def _path(check: Settings, value: Any) -> str:
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path or "\0" in path:
        check.fail("state_file", value, "must be a path", wrong_type=not isinstance(path, str))
        return ""
    return os.path.abspath(path)  # as it is now: the file is opened later
