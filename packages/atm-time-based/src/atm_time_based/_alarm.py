"""The strategy's own timer: a look at the wall clock once a minute, and due times of running tasks."""

from __future__ import annotations

import asyncio
import math
from contextvars import Context
from typing import TYPE_CHECKING, Any, Callable, Optional

from atm_core.alarms import Alarms

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["Alarm"]

_LOOK_SECONDS = 60.0


class Alarm:
    """One timer of the loop for all of them; none while there is nothing to wait for.

    Args:
        look: Called once a minute while :attr:`looking`.
        ring: Called with a task, when the time that was given to :meth:`at` has come.
    """

    def __init__(self, look: Callable[[float], None], ring: Callable[[Task[Any], float], None]) -> None:
        self._look = look
        self._ring = ring
        self._alarms = Alarms()
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
        self._alarms.clear()
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
        self._alarms.set(task, when)
        self._set()

    def forget(self, task: Task[Any]) -> None:
        """Ring no more for this task."""
        if self._alarms.drop(task):
            self._set()

    def _set(self) -> None:
        when = min(self._look_at, self._alarms.next_at())
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
            for task in self._alarms.due(now):
                self._ring(task, now)
        finally:
            self._set()
