"""The strategy: at most so many starts in a sliding window."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Callable, Dict, Hashable, Optional, Tuple, Union

from atm_core import Gate, Settings, hookimpl
from atm_core.strategy import Cost, Key
from atm_sliding_window._counter import Counter
from atm_sliding_window._gcra import Gcra
from atm_sliding_window._log import Log

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["SlidingWindowStrategy"]

_ALGORITHMS = ("log", "counter", "gcra")
_NOTHING = (0, 0)


class SlidingWindowStrategy(Gate):
    """At most ``max_requests`` starts in any ``window_seconds``, wherever that window begins.

    A start counts at the moment in which the task's first step runs. One exactly ``window_seconds`` after another is
    outside its window. What a window of any place may hold at most, and what a key takes:

    ===========  ==================================  ===============================================
    algorithm    most in any window                  memory a key
    ===========  ==================================  ===============================================
    ``log``      ``max_requests``, to the digit      8 bytes a start in the window, 16 with ``cost``
    ``gcra``     ``max_requests + burst - 1``        one number
    ``counter``  ``2 * max_requests``                two counts
    ===========  ==================================  ===============================================

    With fractions of cost ``gcra`` may come closer to ``max_requests + burst``, and stays below it. In the long run
    each lets ``max_requests`` start per window. O(1) a start; ``log`` with ``cost`` O(log n). What is kept of a key is
    dropped when it has left the window.

    Args:
        max_requests: How many; with ``cost`` the sum of the costs. At least 1.
        window_seconds: Greater than 0.
        algorithm: ``"log"``, ``"counter"`` or ``"gcra"``.
        burst: For ``gcra``: how many may start at once after a pause, at least 1. 1 is perfectly smooth: one every
            ``window_seconds / max_requests``, and never more than ``max_requests`` in a window. None: ``max_requests``.
        key: A metadata field, or a function of the task: a window of its own for each value.
        cost: A metadata field, or a function of the task: as how many starts it counts, a number above 0. Whole ones
            are counted to the digit, others within rounding.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(
        self,
        max_requests: int,
        window_seconds: float,
        *,
        algorithm: str = "log",
        burst: Optional[int] = None,
        key: Key = None,
        cost: Cost = None,
    ) -> None:
        with Settings("SlidingWindowStrategy") as check:
            self.max_requests: int = check.count("max_requests", max_requests)
            self.window_seconds: float = check.duration("window_seconds", window_seconds, zero=False)
            self.algorithm: str = check.choice("algorithm", algorithm, _ALGORITHMS)
            self.burst: Optional[int] = check.count("burst", burst, optional=True)
            if burst is not None and algorithm != "gcra":
                check.fail("burst", burst, "is for algorithm 'gcra' only: leave it out")
            super().__init__(key=key, cost=cost)
        if algorithm == "gcra":
            self.burst = self.burst or max_requests
        self._window = self._empty()
        self._clock: Callable[[], float] = lambda: -math.inf  # of the loop it has worked in
        # Started, the first step still to come: they have their place, but no time yet.
        self._unbegun: Dict[Task[Any], Tuple[Hashable, float]] = {}
        self._reserved: Dict[Hashable, Tuple[int, float]] = {}  # how many those are, and what they take, by key

    def capacity(self, key: Hashable) -> float:
        """A whole window, or a whole burst."""
        return self.burst or self.max_requests

    def remaining(self, key: Hashable, now: float) -> float:
        """How much more may start now."""
        return max(0, self._window.remaining(key, self._reserved.get(key, _NOTHING)[1], now))

    def explain(self, task: Task[Any], now: float) -> str:
        return f"{self.max_requests} starts in any {self.window_seconds:g} s are used up"

    def stats(self) -> Dict[str, Any]:
        figures = {
            "algorithm": self.algorithm,
            "max_requests": self.max_requests,
            "window_seconds": self.window_seconds,
        }
        return {**figures, "keys": len(self._window)}

    @hookimpl
    def atm_manager_started(self) -> None:
        """Forget starts that lie ahead of the loop's clock: they are by another loop's, which showed something else."""
        before, self._clock = self._clock(), asyncio.get_running_loop().time
        if self._clock() < before:
            self._window = self._empty()

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> float:
        """At once while the window has room, otherwise when enough has left it."""
        key = self.key_of(task)
        return self._window.ready_at(key, self.cost_of(task), self._reserved.get(key, _NOTHING)[1], now)

    @hookimpl
    def atm_started(self, task: Task[Any]) -> None:
        """It takes its place, but counts only with its first step."""
        key, cost = self.key_of(task), self.cost_of(task)
        self._unbegun[task] = (key, cost)
        many, reserved = self._reserved.get(key, _NOTHING)
        self._reserved[key] = many + 1, reserved + cost

    @hookimpl
    def atm_began(self, task: Task[Any], now: float) -> None:
        """It counts from now on."""
        key, cost = self._place_of(task)
        self._window.began(key, cost, now)

    @hookimpl
    def atm_finished(self, task: Task[Any]) -> None:
        """A start that never came to its first step does not count."""
        if task in self._unbegun:
            self._place_of(task)

    def _empty(self) -> Union[Log, Counter, Gcra]:
        if self.burst is not None:
            return Gcra(self.max_requests, self.window_seconds, self.burst)
        if self.algorithm == "counter":
            return Counter(self.max_requests, self.window_seconds)
        return Log(self.max_requests, self.window_seconds, weighted=self._cost is not None)

    def _place_of(self, task: Task[Any]) -> Tuple[Hashable, float]:
        """Give up what is reserved for a task."""
        key, cost = self._unbegun.pop(task)
        many, reserved = self._reserved[key]
        if many > 1:
            self._reserved[key] = many - 1, reserved - cost
        else:  # sums of fractions need not come out at 0
            del self._reserved[key]
        return key, cost
