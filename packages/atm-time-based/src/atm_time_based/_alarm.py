"""The strategy's own timer: a look at the wall clock once a minute, and due times of running tasks."""

from __future__ import annotations

import asyncio
import heapq
import math
from contextvars import Context
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["Alarm"]

_LOOK_SECONDS = 60.0


class Alarm:
    """One timer of the loop for all of them; none while there is nothing to wait for.

    An entry of the heap whose time is not the one in ``_until`` is void: its task is settled, or rings at
    another time.

    Args:
        look: Called once a minute while :attr:`looking`.
        ring: Called with a task, when the time that was given to :meth:`at` has come.
    """

    def __init__(self, look: Callable[[float], None], ring: Callable[[Task[Any], float], None]) -> None:
        self._look = look
        self._ring = ring
        self._until: Dict[Task[Any], float] = {}
        self._heap: List[Tuple[float, int, Task[Any]]] = []
        self._n = 0
        self._timer: Optional[asyncio.TimerHandle] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._look_at = math.inf
        # Timers keep the context in which they are set, and that of a task keeps the task.
        self._context = Context()

    @property
    def started(self) -> bool:
        """Whether it works in a loop."""
        return self._loop is not None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work in this loop."""
        self._loop = loop
        self._set()

    def stop(self) -> None:
        """Set no more timers; what was to ring is forgotten."""
        self._loop = None
        self._until.clear()
        self._heap.clear()
        self._look_at = math.inf
        self._cancel()

    def looking(self, wanted: bool) -> None:
        """Whether to look at the wall clock."""
        if wanted and self._look_at == math.inf and self._loop is not None:
            self._look_at = self._loop.time() + _LOOK_SECONDS
            self._set()
        elif not wanted and self._look_at != math.inf:
            self._look_at = math.inf
            self._set()

    def at(self, when: float, task: Task[Any]) -> None:
        """Ring for this task at this time of the loop's clock, and at no other. O(log n)."""
        self._n += 1
        self._until[task] = when
        heapq.heappush(self._heap, (when, self._n, task))
        self._set()

    def forget(self, task: Task[Any]) -> None:
        """Ring no more for this task; O(n), rarely, when most of what is kept is void."""
        if self._until.pop(task, None) is None:
            return
        if len(self._heap) > 2 * len(self._until):
            self._heap = [entry for entry in self._heap if self._until.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
        self._set()

    def _set(self) -> None:
        while self._heap and self._until.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        when = min(self._look_at, self._heap[0][0] if self._heap else math.inf)
        if self._timer is not None and self._timer.when() == when:
            return
        self._cancel()
        if when != math.inf and self._loop is not None and not self._loop.is_closed():
            self._timer = self._context.run(self._loop.call_at, when, self._on_time, when)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_time(self, when: float) -> None:
        self._timer = None
        assert self._loop is not None
        now = max(self._loop.time(), when)  # loops fire a timer up to the clock's resolution early
        try:
            if self._look_at <= now:
                self._look_at = now + _LOOK_SECONDS
                self._look(now)
            while self._heap and self._heap[0][0] <= now:
                due, _, task = heapq.heappop(self._heap)
                if self._until.get(task) == due:
                    del self._until[task]
                    self._ring(task, now)
        finally:
            self._set()
