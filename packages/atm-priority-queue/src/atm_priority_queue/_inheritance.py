"""Priority inheritance: what an urgent task waits for is as urgent as that task."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Tuple

from atm_priority_queue._ranked import Ranked

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["Inheritance", "Urgency"]

#: The sort key, and the level that it comes from.
Urgency = Tuple[float, float]


class Inheritance:
    """Who waits for whom, and the urgency that goes down along the chains of waiting.

    As in a mutex with priority inheritance (Sha, Rajkumar, Lehoczky 1990: transitive, and undone when the wait ends).
    O(log n) a wait for each task down the chain whose urgency changes; nothing is kept of a wait that is over.

    Args:
        own: A task's urgency by itself.
        changed: Told of each task whose urgency may have changed.
    """

    def __init__(self, own: Callable[[Task[Any]], Urgency], changed: Callable[[Task[Any]], None]) -> None:
        self._own = own
        self._changed = changed
        self._waiters: Dict[Task[Any], Ranked] = {}  # of each task that is awaited, by their urgency
        self._waits_for: Dict[Task[Any], Dict[Task[Any], None]] = {}

    def __len__(self) -> int:
        """How many tasks are awaited by others."""
        return len(self._waiters)

    def urgency(self, task: Task[Any]) -> Urgency:
        """The task's own, or that of the most urgent one that waits for it."""
        own = self._own(task)
        waiters = self._waiters.get(task) if self._waiters else None
        return own if waiters is None else min(own, waiters.first_rank())

    def begin(self, task: Task[Any], by: Task[Any]) -> None:
        """``by`` waits for ``task``."""
        waits = self._waits_for.get(by)
        if waits is None:
            if by.done():  # what it left behind still waits
                return
            waits = self._waits_for[by] = {}
            by.add_done_callback(self.leave)
        waits[task] = None
        self._update(task, by)

    def end(self, task: Task[Any], by: Task[Any]) -> None:
        """It no longer does."""
        waits = self._waits_for.get(by)
        if waits is None or task not in waits:
            return
        del waits[task]
        if not waits:
            del self._waits_for[by]
            by.remove_done_callback(self.leave)
        self._update(task, by)

    def leave(self, by: Task[Any]) -> None:
        """``by`` is settled: it waits for nothing any more."""
        for task in self._waits_for.pop(by, ()):
            self._update(task, by)

    def spread(self, task: Task[Any]) -> None:
        """The task's own urgency has changed: tell those for which it waits."""
        for awaited in list(self._waits_for.get(task, ())):
            self._update(awaited, task)

    def _update(self, task: Task[Any], by: Task[Any]) -> None:
        """``by`` begins or ends to wait for ``task``, or its urgency has changed.

        Breadth first: there is no circle (the manager refuses them), and each wait is looked at once a change.
        """
        todo: Deque[Tuple[Task[Any], Task[Any]]] = deque([(task, by)])
        while todo:
            task, by = todo.popleft()
            # Asked before anything is changed: it raises if the task's metadata have become nonsense.
            rank = self.urgency(by) if task in self._waits_for.get(by, ()) else None
            waiters = self._waiters.get(task)
            if waiters is None:
                waiters = self._waiters[task] = Ranked()
            before = waiters.first_rank()
            if rank is None:
                waiters.discard(by)
            else:
                waiters.put(by, rank)
            after = waiters.first_rank()
            if after is None:
                del self._waiters[task]
            if after != before and not task.done():
                self._changed(task)
                todo.extend((awaited, task) for awaited in self._waits_for.get(task, ()))
