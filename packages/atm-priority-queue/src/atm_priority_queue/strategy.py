"""The strategy: an order for the queue."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence, Union

from atm_core import BaseStrategy, QueueFullError, Settings, TaskRejected, TaskState, hookimpl
from atm_core.errors import SettingError
from atm_priority_queue._bound import OVERFLOW, Bound
from atm_priority_queue._inheritance import Inheritance, Urgency
from atm_priority_queue._levels import Levels
from atm_priority_queue._ranked import Ranked

if TYPE_CHECKING:
    from atm_core import Task, TaskManager

__all__ = ["PriorityQueueStrategy"]


class PriorityQueueStrategy(BaseStrategy):
    """The most urgent task starts first; waiting makes urgent; who is awaited by an urgent task is urgent, too.

    It orders what other strategies hold back, and limits nothing itself. A task's place is ``level * aging_seconds +
    the time at which it was added``: a static key, so that ageing costs nothing while tasks wait. Inside a level it is
    first in, first out. A task is overtaken only by tasks added less than ``level difference * aging_seconds`` after
    it. A retried task keeps its age.

    While a running task awaits a queued one of the same manager, that one has the urgency of the waiting one if this
    is greater, and so has what it waits for in turn. It loses it when the wait ends: by a result, a cancellation or
    a timeout.

    O(log n) a task. No memory a task; with ``max_pending`` one entry for each that is queued, with ``inherit`` one
    for each wait that goes on.

    Args:
        levels: Names, the most urgent first; the first one is level 0.
        default: The level of tasks that name none.
        field: The metadata field with a task's level: a name, or a number (smaller is more urgent, fractions and
            negative ones too; from -1e12 to 1e12).
        aging_seconds: Waiting so long is worth one level; greater than 0. None: strict order, in which a low task may
            wait for ever.
        inherit: Whether awaited tasks inherit.
        max_pending: How many tasks may wait for their first start, at least 1; None: any number. Those that were
            admitted to start later (``not_before``) count when their time has come, and are let in; so are retries.
        overflow: Who goes when a new task meets a full queue. ``"reject"``: the new one, with ``QueueFullError``.
            ``"drop_lowest"``: the oldest of the lowest level, if that is lower than the new one's level.
            ``"drop_oldest"``: the same, also if it is the same level. If nobody is to go, the new one is refused.
            A dropped task settles at once, with ``QueueFullError``.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(
        self,
        levels: Sequence[str] = ("critical", "high", "normal", "low"),
        *,
        default: Union[str, float] = "normal",
        field: str = "priority",
        aging_seconds: Optional[float] = 60.0,
        inherit: bool = True,
        max_pending: Optional[int] = None,
        overflow: str = "reject",
    ) -> None:
        with Settings("PriorityQueueStrategy") as check:
            self._levels = Levels(levels, check)
            if self._levels.names:
                try:
                    self._default = self._levels.number(default)
                except ValueError as error:
                    check.fail("default", default, str(error))
            if not isinstance(field, str) or not field:
                check.fail("field", field, "must be the name of a metadata field", wrong_type=True)
            self.field = field
            self.aging_seconds: Optional[float] = check.number("aging_seconds", aging_seconds, above=0.0, optional=True)
            self.inherit: bool = check.flag("inherit", inherit)
            self.max_pending: Optional[int] = check.count("max_pending", max_pending, optional=True)
            self.overflow: str = check.choice("overflow", overflow, OVERFLOW)
        self.levels = self._levels.names
        self._manager: Optional[TaskManager] = None
        self._bound = None if self.max_pending is None else Bound(self.max_pending, self.overflow)
        self._waits = Inheritance(self._own_urgency, self._reorder)
        self._hand = Ranked()  # the queue when driven by hand
        self._hand_added: Dict[Task[Any], float] = {}
        # An attribute hides the method, so that what is switched off costs nothing.
        if not inherit:
            self.atm_awaited = self.atm_resumed = None  # type: ignore[assignment, method-assign]
        if self._bound is None:
            self.atm_admitted = self.atm_started = None  # type: ignore[assignment, method-assign]

    def set_priority(self, task: Task[Any], level: Union[str, float]) -> bool:
        """Give a task another level; it keeps its age, and its place by age inside the level.

        What it waits for follows. A task that runs keeps the level for a later attempt. O(log n).

        Args:
            task: A task of this manager.
            level: A name or a number.

        Returns:
            Whether it is queued, so that the change has an effect on its start.

        Raises:
            SettingError: There is no such level.
        """
        try:
            self._levels.number(level)
        except ValueError as error:
            raise SettingError(f"level {error}, got {level!r}", "level", level) from None
        if task.done():
            return False
        task.metadata[self.field] = level
        self._reorder(task)
        self._waits.spread(task)
        return task.state is TaskState.PENDING

    def level_of(self, task: Task[Any]) -> float:
        """The number of the level that counts for a task now, which may be inherited.

        Raises:
            TaskRejected: Its metadata names no level.
        """
        return self._waits.urgency(task)[1]

    def stats(self) -> Dict[str, Any]:
        """Figures about the present state, fit for JSON."""
        figures: Dict[str, Any] = {"awaited": len(self._waits)}
        if self._bound is not None:
            figures.update(queued=len(self._bound), max_pending=self.max_pending, dropped=self._bound.dropped)
        return figures

    @hookimpl
    def atm_manager_started(self, manager: TaskManager) -> None:
        """These are the tasks that count from now on."""
        self._serve(manager)

    @hookimpl
    def atm_admit(self, manager: TaskManager, task: Task[Any]) -> None:
        """Refuse a level that does not exist, and a task for which there is no room."""
        if self._manager is None or not self._manager.running:
            self._serve(manager)
        self._check_room(task)

    @hookimpl(tryfirst=True)  # it may still refuse: before others note the task
    def atm_admitted(self, task: Task[Any]) -> None:
        """Make room."""
        self._make_room(task)

    @hookimpl
    def atm_order(self, task: Task[Any]) -> float:
        """The place: level and age in one number."""
        key, level = self._waits.urgency(task)
        if self._bound is not None and not task.attempts:
            self._bound.put(task, level)
        return key

    @hookimpl
    def atm_started(self, task: Task[Any]) -> None:
        """It is queued no more."""
        self._forget(task)

    @hookimpl
    def atm_awaited(self, task: Task[Any], by: Task[Any]) -> None:
        """The awaited task inherits."""
        self._waits.begin(task, by)

    @hookimpl
    def atm_resumed(self, task: Task[Any], by: Task[Any]) -> None:
        """It has its own urgency again."""
        self._waits.end(task, by)

    def add_task(self, task: Task[Any]) -> None:
        """By hand: queue a task.

        Raises:
            TaskRejected: Its level does not exist. QueueFullError: There is no room.
        """
        self._check_room(task)
        self._make_room(task)
        self._hand_added[task] = _now()
        self._reorder(task)

    def get_next_task(self) -> Optional[Task[Any]]:
        """By hand: the most urgent task."""
        while True:
            task = self._hand.first()
            if task is None:
                return None
            self._forget(task)
            if task.state is TaskState.PENDING:
                return task

    async def get_sleep_interval(self) -> Optional[float]:
        """By hand: 0 while there is a task, ``math.inf`` otherwise."""
        return 0.0 if len(self._hand) else math.inf

    async def on_task_done(self) -> None:
        """By hand: nothing, since nothing is limited."""

    def _own_level(self, task: Task[Any]) -> float:
        chosen = task.metadata.get(self.field)
        if chosen is None:
            return self._default
        try:
            return self._levels.number(chosen)
        except ValueError as error:
            raise TaskRejected(f"{self.field} of {task!r} {error}, got {chosen!r}") from None

    def _own_urgency(self, task: Task[Any]) -> Urgency:
        level = self._own_level(task)
        if self.aging_seconds is None:
            return level, level
        added_at = self._hand_added.get(task, task.added_at) if self._hand_added else task.added_at
        return level * self.aging_seconds + added_at, level

    def _reorder(self, task: Task[Any]) -> None:
        """Ask for a queued task's place again."""
        if task in self._hand_added:
            self._hand.put(task, self.atm_order(task))
        elif self._manager is not None:
            self._manager.reorder(task)

    def _serve(self, manager: TaskManager) -> None:
        if manager is not self._manager:
            self._manager = manager
            if self._bound is not None:
                self._bound.clear()

    def _check_room(self, task: Task[Any]) -> None:
        level, bound = self._own_level(task), self._bound
        if bound is not None and bound.full and bound.victim(level) is None:
            raise _queue_full(bound)

    def _make_room(self, task: Task[Any]) -> None:
        bound = self._bound
        if bound is None or not bound.full:
            return
        victim = bound.victim(self._own_level(task))
        if victim is not None:
            bound.dropped += 1
            self._forget(victim)
            if self._manager is None:  # by hand
                victim.cancel()
            else:
                self._manager.reject(
                    victim, QueueFullError(f"a new task took its place ({self.overflow} of the priority queue)")
                )
        if bound.full:  # a hook, or a callback of the victim, has added another one
            raise _queue_full(bound)

    def _forget(self, task: Task[Any]) -> None:
        """A task is queued no more."""
        if self._bound is not None:
            self._bound.discard(task)
        if self._hand_added.pop(task, None) is not None:
            self._hand.discard(task)


def _queue_full(bound: Bound) -> QueueFullError:
    return QueueFullError(f"{len(bound)} tasks are queued already (max_pending of the priority queue)")


def _now() -> float:
    """The time on the running loop's clock; outside of one, on the clock that loops use."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
