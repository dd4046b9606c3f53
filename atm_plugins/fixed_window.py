"""At most so many starts per window."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Dict, Hashable, Optional, Tuple

from atm_core import Gate, Settings, hookimpl
from atm_core.strategy import Cost, Key

if TYPE_CHECKING:
    from atm_core import Task, TaskManager

__all__ = ["FixedWindowStrategy"]


class FixedWindowStrategy(Gate):
    """At most ``max_requests`` starts in each window of ``window_seconds``.

    A window opens with the first start after the last one closed, or lies on multiples of the window. A start counts
    when the task's first step runs.

    What it promises in an *arbitrary* window of the same length: up to ``2 * max_requests - 1`` starts, across the edge
    of two windows (``2 * max_requests`` where windows are aligned). Where that is too many, use ``sliding_window`` of
    the package ``atm-sliding-window``.

    O(1) a task in time; one entry a key, dropped when its window has closed.

    Args:
        max_requests: How many; with ``cost`` the sum of the costs. At least 1.
        window_seconds: Greater than 0.
        align: ``"first"``: a window opens with a start. ``"epoch"``: on multiples of ``window_seconds`` since 1970, by
            the wall clock as it stood when the manager started.
        key: A metadata field, or a function of the task: windows of its own for each value.
        cost: A metadata field, or a function of the task: as how many starts it counts, a number above 0.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(
        self, max_requests: int, window_seconds: float, *, align: str = "first", key: Key = None, cost: Cost = None
    ) -> None:
        with Settings("FixedWindowStrategy") as check:
            self.max_requests: int = check.count("max_requests", max_requests)
            self.window_seconds: float = check.duration("window_seconds", window_seconds, zero=False)
            self.align: str = check.choice("align", align, ("first", "epoch"))
            super().__init__(key=key, cost=cost)
        self._epoch = 0.0  # what the loop's clock shows at a multiple of the window
        self._windows: OrderedDict[Hashable, _Window] = OrderedDict()  # the one opened longest ago first
        self._plain = self._key is None and self._cost is None
        self._only = _Window()  # without keys and costs
        self._shared: Tuple[Hashable, _Window, float] = (None, self._only, 1)  # the same for every task
        self._unbegun: Dict[Task[Any], Tuple[Hashable, _Window, float]] = {}  # started, the first step still to come

    def capacity(self, key: Hashable) -> float:
        """A whole window."""
        return self.max_requests

    def remaining(self, key: Hashable, now: float) -> float:
        """How many more may start in the present window; all of them if none is open."""
        window = self._only if self._plain else self._windows.get(key)
        if window is None:
            return self.max_requests
        return self.max_requests - window.unbegun - (window.used if now < window.closes_at else 0)

    def explain(self, task: Task[Any], now: float) -> str:
        return f"{self.max_requests} starts in {self.window_seconds:g} s are used up"

    def stats(self) -> Dict[str, Any]:
        return {"max_requests": self.max_requests, "window_seconds": self.window_seconds, "keys": len(self._windows)}

    @hookimpl
    def atm_manager_started(self, manager: TaskManager) -> None:
        """Note where the wall clock's windows lie on the loop's clock, and close those of another loop's clock."""
        loop: Any = asyncio.get_running_loop()
        now = loop.time()
        for window in (self._only, *self._windows.values()):
            if window.closes_at > now + self.window_seconds:
                window.closes_at = -math.inf
        if self.align == "epoch":
            wall_time = loop.wall_time() if hasattr(loop, "wall_time") else time.time()
            self._epoch = (now - wall_time) % self.window_seconds

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> Optional[float]:
        """At once while the window has room, otherwise when it closes."""
        if self._plain:
            window, cost = self._only, 1.0
            if now < window.closes_at and window.used + window.unbegun < self.max_requests:
                return now  # the most frequent answer
        else:
            cost = self.cost_of(task)
            found = self._windows.get(self.key_of(task))
            if found is None:
                return now
            window = found
        if now < window.closes_at:
            return now if window.used + window.unbegun + cost <= self.max_requests else window.closes_at
        if window.unbegun + cost <= self.max_requests:
            return now
        # As many as fit are about to open the next window with their first steps: this is the earliest it can close.
        return self._closing(now)

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """It takes its place, but counts only with its first step."""
        if self._plain:
            self._unbegun[task] = self._shared
            self._only.unbegun += 1
            return
        key, cost = self.key_of(task), self.cost_of(task)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window()
        window.enter(cost)
        self._unbegun[task] = (key, window, cost)

    @hookimpl
    def atm_began(self, task: Task[Any], now: float) -> None:
        """It counts, in the window that is open now or that it opens."""
        key, window, cost = self._unbegun.pop(task)
        if self._plain:
            window.unbegun -= 1
        else:
            window.leave(cost)
        if now < window.closes_at:
            window.used += cost
            return
        window.closes_at = self._closing(now)
        window.used = cost
        if not self._plain:
            self._windows.move_to_end(key)
            self._drop_closed(now)

    @hookimpl
    def atm_finished(self, task: Task[Any]) -> None:
        """A start that never came to its first step does not count."""
        if self._unbegun and task in self._unbegun:
            _, window, cost = self._unbegun.pop(task)
            if self._plain:
                window.unbegun -= 1
            else:
                window.leave(cost)

    def _closing(self, now: float) -> float:
        if self.align == "first":
            return now + self.window_seconds
        n = math.floor((now - self._epoch) / self.window_seconds) + 1
        closes_at = self._epoch + n * self.window_seconds
        return closes_at if closes_at > now else closes_at + self.window_seconds

    def _drop_closed(self, now: float) -> None:
        for _ in range(2):  # two leave for each that comes, so what has closed does not pile up
            key, oldest = next(iter(self._windows.items()))
            if now < oldest.closes_at or oldest.unbegun:
                break
            del self._windows[key]


class _Window:
    """The starts under one key."""

    __slots__ = ("closes_at", "starting", "unbegun", "used")

    def __init__(self) -> None:
        self.closes_at = -math.inf
        self.used: float = 0
        self.unbegun: float = 0  # the cost of those between start and first step
        self.starting = 0  # their number

    def enter(self, cost: float) -> None:
        self.starting += 1
        self.unbegun += cost

    def leave(self, cost: float) -> None:
        self.starting -= 1
        self.unbegun = self.unbegun - cost if self.starting else 0  # sums of costs such as 0.1 are not exact
