"""One lane of the board for keys and orders: the tasks that no gate can tell apart, the best first.

An entry is ``(order, added_at, again, n, task, lane)``: the first four are its rank, of which the last is unique. A
task that comes again keeps its place among those of its age, so ``again`` is 0 for it and 1 for others. An entry is
dead once its task is settled or has a newer entry; dead ones are dropped when they are met, or swept.
"""

from __future__ import annotations

import abc
import heapq
from collections import deque
from typing import Any, Deque, Hashable, List, Tuple

from atm_core.task import PENDING

__all__ = ["FifoLane", "Lane", "SortedLane", "rank", "waits"]

_SWEEP_ABOVE = 64  # dead entries; with fewer, a sweep costs more than it frees


def waits(entry: Any) -> bool:
    """Whether the entry is not dead."""
    task = entry[4]
    return task._place is entry and task._state is PENDING


def rank(entry: Any) -> Any:
    """What entries are compared by."""
    return entry[:4]


class Lane(abc.ABC):
    """The entries that share ``key``, and where the lane itself is.

    ``ticket`` is its only valid place, among the ready lanes or in ``group``; ``let_out_by`` is the group that is
    waiting to hear how it fares.
    """

    __slots__ = ("group", "key", "let_out_by", "live", "ticket")

    def __init__(self, key: Tuple[Hashable, ...]) -> None:
        self.key = key
        self.live = 0
        self.ticket = 0
        self.group: Any = None
        self.let_out_by: Any = None

    @abc.abstractmethod
    def push(self, entry: Any) -> bool:
        """Put an entry where its rank belongs; whether it is the first now."""

    @abc.abstractmethod
    def first(self) -> Any:
        """The best entry, dead or not; None if there is none."""

    @abc.abstractmethod
    def pop(self) -> None:
        """Drop what :meth:`first` gives."""

    @abc.abstractmethod
    def entries(self) -> List[Any]:
        """Those that are not dead, in no order."""

    @abc.abstractmethod
    def keep(self, entries: List[Any]) -> None:
        """Hold only these."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """With the dead ones."""

    def head(self) -> Any:
        """The best entry that is not dead; None if there is none."""
        entry = self.first()
        while entry is not None and not waits(entry):
            self.pop()
            entry = self.first()
        return entry

    def sweep(self) -> None:
        """Drop the dead entries, once they are more than the others."""
        dead = len(self) - self.live
        if dead > _SWEEP_ABOVE and dead > self.live:
            self.keep(self.entries())


class SortedLane(Lane):
    """A heap. O(log n) a task."""

    __slots__ = ("_heap",)

    def __init__(self, key: Tuple[Hashable, ...]) -> None:
        super().__init__(key)
        self._heap: List[Any] = []

    def push(self, entry: Any) -> bool:
        heapq.heappush(self._heap, entry)
        return self._heap[0] is entry

    def first(self) -> Any:
        return self._heap[0] if self._heap else None

    def pop(self) -> None:
        heapq.heappop(self._heap)

    def entries(self) -> List[Any]:
        return [one for one in self._heap if waits(one)]

    def keep(self, entries: List[Any]) -> None:
        heapq.heapify(entries)
        self._heap = entries

    def __len__(self) -> int:
        return len(self._heap)


class FifoLane(Lane):
    """For tasks without an order: a queue of those that come as they were added, a heap of the few others. O(1)."""

    __slots__ = ("_late", "_queue")

    def __init__(self, key: Tuple[Hashable, ...]) -> None:
        super().__init__(key)
        self._queue: Deque[Any] = deque()
        self._late: List[Any] = []

    def push(self, entry: Any) -> bool:
        queue, late = self._queue, self._late
        if queue and entry < queue[-1]:
            heapq.heappush(late, entry)
            return self.first() is entry
        queue.append(entry)
        return len(queue) == 1 and (not late or entry < late[0])

    def first(self) -> Any:
        queue, late = self._queue, self._late
        if late and not (queue and queue[0] < late[0]):
            return late[0]
        return queue[0] if queue else None

    def pop(self) -> None:
        if self._late and self.first() is self._late[0]:
            heapq.heappop(self._late)
        else:
            self._queue.popleft()

    def entries(self) -> List[Any]:
        return [one for some in (self._late, self._queue) for one in some if waits(one)]

    def keep(self, entries: List[Any]) -> None:
        self._late.clear()
        self._queue.clear()
        self._queue.extend(sorted(entries))

    def __len__(self) -> int:
        return len(self._queue) + len(self._late)
