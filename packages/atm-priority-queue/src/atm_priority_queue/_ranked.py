"""A heap from which anything can be taken out."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Dict, List, Optional

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["Ranked"]

_SWEEP_ABOVE = 64  # entries; with fewer, a sweep costs more than it frees


class Ranked:
    """Tasks by rank, the smallest first, and by their coming within a rank.

    O(log n) to put, to move and, amortised, to take out: what has left stays in the heap until it comes up, or until
    it is more than half of it.
    """

    __slots__ = ("_entries", "_heap", "_n")

    def __init__(self) -> None:
        # Of rank, place by age, place in the order of all entries, and task; None for what is no longer there.
        self._entries: Dict[Task[Any], List[Any]] = {}
        self._heap: List[List[Any]] = []
        self._n = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, task: object) -> bool:
        return task in self._entries

    def put(self, task: Task[Any], rank: Any) -> None:
        """Add a task, or move it to another rank, where it keeps its place by age."""
        self._n += 1
        old = self._entries.get(task)
        if old is None:
            entry = [rank, self._n, self._n, task]
        elif old[0] == rank:
            return
        else:
            entry = [rank, old[1], self._n, task]
            old[3] = None
        self._entries[task] = entry
        heapq.heappush(self._heap, entry)
        self._sweep()

    def discard(self, task: Task[Any]) -> bool:
        """Take a task out; returns whether it was in."""
        entry = self._entries.pop(task, None)
        if entry is None:
            return False
        entry[3] = None
        self._sweep()
        return True

    def clear(self) -> None:
        """Take all out."""
        self._entries.clear()
        self._heap.clear()

    def first(self) -> Optional[Task[Any]]:
        """The task of the smallest rank; None if there is none."""
        head = self._head()
        return None if head is None else head[3]

    def first_rank(self) -> Any:
        """The smallest rank; None if there is none."""
        head = self._head()
        return None if head is None else head[0]

    def _head(self) -> Optional[List[Any]]:
        heap = self._heap
        while heap and heap[0][3] is None:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def _sweep(self) -> None:
        if len(self._heap) > _SWEEP_ABOVE and len(self._heap) > 2 * len(self._entries):
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)
