"""The scheduled tasks of one strategy, and the clocks that they go by."""

from __future__ import annotations

import asyncio
import math
import random
from typing import TYPE_CHECKING, Any, Dict, Optional

from atm_core import ManagerStateError, TaskState
from atm_time_based._alarm import Alarm
from atm_time_based._beside import Beside
from atm_time_based._journal import Journal
from atm_time_based._recurrence import Phase, Recurrence
from atm_time_based._wall_clock import WallClock

if TYPE_CHECKING:
    from atm_core import Outcome, Task, TaskManager

__all__ = ["Timetable"]

# A timer and the wall clock may differ by so much without anybody having moved the wall clock.
_UNEVEN_SECONDS = 0.5
# What two readings of the clocks may differ by: no reason to set a timer anew.
_SAME_SECONDS = 1e-3


class Timetable:
    """Translates due times to the loop's clock, and keeps up with a wall clock that is moved.

    A task sleeps in the manager until its due time, on the manager's one timer. Schedules by the wall clock
    have it looked at once a minute: one that went forward makes runs late, and late runs are made up for or
    missed; one that went back brings times again, and a time of the day that has had its run has no second
    one.

    Args:
        journal: Where to note what was dealt with.
        seed: For the jitter.
    """

    def __init__(self, journal: Journal, seed: Optional[int] = None) -> None:
        self.active: Dict[Task[Any], Recurrence] = {}
        self.beside = Beside()
        self.clock = WallClock()
        self._journal = journal
        self._alarm = Alarm(self.look, self._ring)
        self._by_wall_clock = 0  # how many need somebody to look at it
        self._jitter = random.Random(seed)
        self._manager: Optional[TaskManager] = None

    def start(self) -> None:
        """The manager starts, in a loop whose clock may show anything."""
        self._alarm.start(asyncio.get_running_loop())
        self._alarm.looking(self._by_wall_clock > 0)
        self.clock.forget()
        self.clock.moved()
        now = asyncio.get_running_loop().time()
        for task, recurrence in list(self.active.items()):
            self._aim_again(task, recurrence, now)

    def stop(self) -> None:
        """The manager stops."""
        self._alarm.stop()

    def serve(self, manager: TaskManager) -> None:
        """Work for this manager.

        Raises:
            ManagerStateError: It works for another one.
        """
        if manager is not self._manager and (self.active or self._alarm.started):
            raise ManagerStateError("this TimeBasedStrategy works for another manager: make one for each")
        self._manager = manager

    def add(self, manager: TaskManager, task: Task[Any], recurrence: Recurrence) -> None:
        """A task has come in."""
        if manager.running and not self._alarm.started:  # the strategy came in while the manager was running
            self._alarm.start(asyncio.get_running_loop())
        self.active[task] = recurrence
        self._by_wall_clock += recurrence.schedule.by_wall_clock
        self._alarm.looking(self._by_wall_clock > 0)

    def remove(self, task: Task[Any]) -> Optional[Recurrence]:
        """A task is settled; None if it was not scheduled."""
        recurrence = self.active.pop(task, None)
        if recurrence is not None:
            self._by_wall_clock -= recurrence.schedule.by_wall_clock
            self._alarm.looking(self._by_wall_clock > 0)
            self._alarm.forget(task)
        return recurrence

    def wall_time(self, recurrence: Recurrence, now: float) -> float:
        """The time on the clock that this schedule goes by, less the jitter that puts it off; POSIX seconds."""
        shown = self.clock.now() if recurrence.schedule.by_wall_clock else self.clock.undisturbed(now)
        return shown - (recurrence.delay or 0.0)

    def went_back(self, recurrence: Recurrence, now: float) -> bool:
        """Whether a task is woken before it is due."""
        return self.wall_time(recurrence, now) < recurrence.due - _UNEVEN_SECONDS

    def aim(self, recurrence: Recurrence, now: float) -> float:
        """The loop's time to start at; draws the jitter, once for each due time."""
        if recurrence.delay is None:
            jitter = recurrence.schedule.jitter_seconds
            most = recurrence.rules.jitter_seconds if jitter is None else jitter
            most = max(0.0, min(most, recurrence.rules.end - recurrence.due))
            drawn = self._jitter.uniform(0.0, most) if most else 0.0
            # Runs keep their order, also where the jitter is larger than the interval.
            recurrence.delay = max(drawn, min(most, self.wall_time(recurrence, now) - recurrence.due))
        recurrence.due_at = now + max(0.0, recurrence.due - self.wall_time(recurrence, now))
        return recurrence.due_at

    def expect_next(self, task: Task[Any], recurrence: Recurrence, now: float) -> None:
        """A run has started, and the next may come before it is over."""
        at = self.aim(recurrence, now)
        if recurrence.rules.overlap in ("cancel_running", "allow") and recurrence.next_run_at is not None:
            self._alarm.at(at, task)

    def look(self, now: float) -> None:
        """Look at the wall clock; after a move everything is placed anew: O(n log n)."""
        moved = self.clock.moved()
        if not moved:
            return
        for task, recurrence in list(self.active.items()):
            if not recurrence.schedule.by_wall_clock:
                recurrence.shift(moved)
                continue
            if recurrence.due == math.inf:
                continue
            if moved < 0 and (not recurrence.schedule.fixed or -moved > recurrence.rules.catchup_seconds):
                recurrence.aim(recurrence.schedule.next_after(self.clock.now()))
            self._aim_again(task, recurrence, now)

    def _aim_again(self, task: Task[Any], recurrence: Recurrence, now: float) -> None:
        if recurrence.phase is Phase.WAITING:
            before = task.not_before
            if before is not None and abs(self.aim(recurrence, now) - before) > _SAME_SECONDS:
                task.not_before = recurrence.due_at
        elif recurrence.phase is Phase.RUNNING:
            self.expect_next(task, recurrence, now)

    def _ring(self, task: Task[Any], now: float) -> None:
        """A time has come while the last run may not be over."""
        recurrence = self.active[task]
        if recurrence.phase is not Phase.RUNNING or recurrence.next_run_at is None:
            return
        if self.went_back(recurrence, now):
            self.look(now)
            self.expect_next(task, recurrence, now)
            return
        wall_time = max(self.wall_time(recurrence, now), recurrence.due)
        if recurrence.rules.overlap == "allow":
            self._start_beside(task, recurrence, wall_time)
        else:
            self._make_room(task, recurrence, wall_time, now)
        self._journal.note(recurrence)
        self.expect_next(task, recurrence, now)

    def _start_beside(self, task: Task[Any], recurrence: Recurrence, wall_time: float) -> None:
        assert self._manager is not None
        due = recurrence.take_due(wall_time)
        chosen = recurrence.select(due, wall_time)
        recurrence.missed += chosen.missed
        for at in chosen.runs:
            if recurrence.begun < recurrence.rules.max_runs:
                self.beside.start(self._manager, task, recurrence, at)

    def _make_room(self, task: Task[Any], recurrence: Recurrence, wall_time: float, now: float) -> None:
        recurrence.meet(recurrence.take_due(wall_time))
        attempt, recurrence.attempt = recurrence.attempt, None
        if attempt is not None and not attempt.done():
            attempt.cancel()
        elif task.state is TaskState.PENDING:  # between two attempts: it is refused as soon as it is asked for
            recurrence.phase = Phase.REPLACED
            if task.not_before is not None:
                task.not_before = now
        else:
            recurrence.gives_way = True

    def settled(self, task: Task[Any], outcome: Outcome) -> Optional[Task[Any]]:
        """A task is settled. If it was a run beside another task's own, the answer is that task."""
        if outcome.cancelled:
            self.beside.cancel(task)
        owner = self.beside.settled(task, outcome)
        if owner is None or not outcome.failed:
            return owner
        recurrence = self.active.get(owner)
        if recurrence is not None and recurrence.rules.end_on_failure:
            assert self._manager is not None
            recurrence.run_no_more()
            failure: Any = outcome.exception
            self._manager.reject(owner, failure)  # if it runs, it ends with that run
        return owner
