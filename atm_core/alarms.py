"""Tasks that are to wake at times of their own, the earliest first."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Tuple

if TYPE_CHECKING:
    from atm_core.task import Task

__all__ = ["Alarms"]

class Alarms:
    """One time for each task. O(log n) to set, O(1) on average to drop.

    An entry of the heap whose time is not the one in ``until`` is void: the task was dropped, or has another time. Void
    entries go when they are the first, or when they are most, so a dropped task is not kept until its time.
    """

    __slots__ = ("_n", "heap", "until")

    def __init__(self) -> None:
        self.until: Dict[Task[Any], float] = {}
        self.heap: List[Tuple[float, int, Task[Any]]] = []
        self._n = 0

    def set(self, task: Task[Any], at: float) -> None:
        """Wake the task at this time, and at no other."""
        self.until[task] = at
        self._n += 1
        heapq.heappush(self.heap, (at, self._n, task))
        self._sweep()

    def drop(self, task: Task[Any]) -> bool:
        """Wake it no more; says whether it was to be woken."""
        if self.until.pop(task, None) is None:
            return False
        self._sweep()
        return True

    def clear(self) -> None:
        """Wake nobody."""
        self.until.clear()
        self.heap.clear()

    def next_at(self) -> float:
        """When the first one wakes; infinite if none does."""
        heap = self.heap
        while heap and self.until.get(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def due(self, now: float) -> Iterator[Task[Any]]:
        """Those whose time has come, the first first; each is dropped."""
        while self.next_at() <= now:
            task = heapq.heappop(self.heap)[2]
            self.drop(task)
            yield task

    def shift(self, seconds: float) -> None:
        """The clock is another one, which is so far ahead."""
        self.until = {task: at + seconds for task, at in self.until.items()}
        self.heap = [(at + seconds, n, task) for at, n, task in self.heap]
        heapq.heapify(self.heap)

    def _sweep(self) -> None:
        if len(self.heap) > 2 * len(self.until):
            self.heap = [entry for entry in self.heap if self.until.get(entry[2]) == entry[0]]
            heapq.heapify(self.heap)
