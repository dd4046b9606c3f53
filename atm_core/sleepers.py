"""Tasks that wait for a time of their own: ``not_before``, retries, recurring jobs."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Set, Tuple

if TYPE_CHECKING:
    from atm_core.task import Task

__all__ = ["Sleepers"]


class Sleepers:
    """Who sleeps until when, and which tasks recur. O(log n) a sleep.

    An alarm whose time is not the one in ``until`` is void: the task woke early, was settled, or sleeps longer now.
    """

    __slots__ = ("_n", "alarms", "by", "dormant", "recurring", "until")

    def __init__(self) -> None:
        self.until: Dict[Task[Any], float] = {}
        #: Which plugin sent it to sleep, if one did.
        self.by: Dict[Task[Any], str] = {}
        self.recurring: Set[Task[Any]] = set()
        #: Recurring and asleep: nobody waits for those.
        self.dormant: Set[Task[Any]] = set()
        self.alarms: List[Tuple[float, int, Task[Any]]] = []
        self._n = 0

    def sleep(self, task: Task[Any], at: float) -> None:
        """Sleep until ``at``, also if it slept until another time."""
        self.until[task] = at
        self._n += 1
        heapq.heappush(self.alarms, (at, self._n, task))
        if task in self.recurring:
            self.dormant.add(task)

    def wake(self, task: Task[Any]) -> None:
        """It sleeps no longer."""
        self.until.pop(task, None)
        self.by.pop(task, None)
        self.dormant.discard(task)

    def recur(self, task: Task[Any], recurs: bool) -> None:
        """Whether it comes again for ever."""
        if recurs:
            self.recurring.add(task)
        else:
            self.recurring.discard(task)
            self.dormant.discard(task)

    def forget(self, task: Task[Any]) -> None:
        """It is settled."""
        self.wake(task)
        self.recurring.discard(task)

    def next_at(self) -> float:
        """When the first one wakes; infinite if none does."""
        alarms = self.alarms
        while alarms and self.until.get(alarms[0][2]) != alarms[0][0]:
            heapq.heappop(alarms)
        return alarms[0][0] if alarms else math.inf

    def due(self, now: float) -> Iterator[Task[Any]]:
        """Those whose time has come, awake, the first first."""
        while self.next_at() <= now:
            task = heapq.heappop(self.alarms)[2]
            self.wake(task)
            yield task

    def shift(self, seconds: float) -> None:
        """The clock is another one, which is so far ahead."""
        self.until = {task: at + seconds for task, at in self.until.items()}
        self.alarms = [(at + seconds, n, task) for at, n, task in self.alarms]
        heapq.heapify(self.alarms)
