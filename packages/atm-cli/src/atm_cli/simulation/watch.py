"""Takes part in the simulated manager as a plugin, and measures."""

from __future__ import annotations

import asyncio
import itertools
from array import array
from typing import Any, Callable, Dict, List, Optional, Tuple

from atm_cli.simulation.bins import Bins
from atm_core import Outcome, Task, TaskManager, hookimpl

__all__ = ["Watch"]

_ASKED = 3  # of the waiting tasks, the oldest: why they wait


class Watch:
    """Times, counts and reasons.

    A few microseconds a task; of each it keeps three numbers, and its key for each strategy with windows and keys.

    Args:
        manager: Where it registers itself.
        width: Of the first bins of time, in seconds.
    """

    def __init__(self, manager: TaskManager, width: float) -> None:
        self.manager = manager
        self.bins = Bins(width, self._probe)
        self.starts = array("d")  # of attempts
        self.waits = array("d")  # from arrival to first start
        self.succeeded = self.failed = self.rejected = 0
        self.running = self.most_running = 0
        self.waited_for: Dict[str, float] = {}  # task-seconds by strategy
        self.whom: Dict[str, Dict[str, float]] = {}  # ... and by the key of those who wait
        #: For each strategy that counts starts in windows: their keys, in the order of ``starts``.
        self.keys: Dict[str, List[Any]] = {}
        self._key_of: Dict[str, Callable[[Task[Any]], Any]] = {}
        self._waiting: Dict[Task[Any], float] = {}  # never begun, by arrival; the oldest first
        self._again: Dict[Task[Any], None] = {}  # begun before, and waiting again
        self._sampling = False
        self._figures: Dict[str, Any] = {}
        self._reasons: List[Tuple[str, Optional[str]]] = []
        self._stats = {
            name: one.stats for name, one in manager.strategies.items() if callable(getattr(one, "stats", None))
        }
        for name, strategy in manager.strategies.items():
            key_of = getattr(strategy, "key_of", None)
            if callable(key_of):
                self._key_of[name] = key_of
                if hasattr(strategy, "window_seconds") and hasattr(strategy, "max_requests"):
                    self.keys[name] = []
        manager.register(self, "atm-simulate")

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting) + len(self._again)

    def oldest(self) -> Optional[Task[Any]]:
        """The task that waits longest; None if none does."""
        return next(iter(self._waiting or self._again), None)

    def finish(self) -> None:
        """Nothing more will happen, but that what is left is cancelled."""
        self.manager.unregister(self)
        self.bins.finish()

    @hookimpl(trylast=True)
    def atm_admitted(self, task: Task[Any], now: float) -> None:
        """It arrives."""
        self._advance(now)
        self._waiting[task] = now

    @hookimpl(tryfirst=True)
    def atm_began(self, task: Task[Any], now: float) -> None:
        """An attempt begins."""
        self._advance(now)
        self.bins.starts += 1
        self.starts.append(now)
        arrived = self._waiting.pop(task, None)
        if arrived is None:
            self._again.pop(task, None)
        else:
            self.waits.append(now - arrived)
        for name, keys in self.keys.items():
            keys.append(self._key_of[name](task))
        self.running += 1
        if self.running > self.most_running:
            self.most_running = self.running

    @hookimpl(tryfirst=True)
    def atm_finished(self, task: Task[Any], outcome: Outcome, now: float) -> None:
        """An attempt ends; the task waits again, unless it is settled next."""
        self._advance(now)
        if outcome.duration is not None:
            self.running -= 1
            self._again[task] = None

    @hookimpl(tryfirst=True)
    def atm_settled(self, task: Task[Any], outcome: Outcome, now: float) -> None:
        """It is final."""
        self._advance(now)
        self._waiting.pop(task, None)
        self._again.pop(task, None)
        if outcome.succeeded:
            self.succeeded += 1
        elif outcome.failed:
            self.failed += 1
            task.exception()  # seen

    def _advance(self, now: float) -> None:
        if now != self.bins.at:
            self.bins.advance(now, self.running, self.waiting)
            if not self._sampling:
                # Not now, in the middle of something, but soon; and only after something has happened, so that no
                # timer of ours keeps a simulation alive that has come to its end.
                self._sampling = True
                loop = asyncio.get_running_loop()
                loop.call_at(now + self.bins.width / 2, self._sample)

    def _sample(self) -> None:
        """What strategies say of themselves, and why the oldest tasks wait."""
        self._sampling = False
        self._figures = {
            f"{name}.{figure}": value
            for name, stats in self._stats.items()
            for figure, value in stats().items()
            if value is None or isinstance(value, (bool, int, float, str))
        }
        oldest = itertools.islice(self._waiting or self._again, _ASKED)
        self._reasons = [self._reason(task) for task in oldest]

    def _reason(self, task: Task[Any]) -> Tuple[str, Optional[str]]:
        explained = self.manager.explain(task)
        name = explained.strategy or ("asleep" if explained.obstacles or explained.until is not None else "nothing")
        key = self._key_of[name](task) if name in self._key_of else None
        return name, None if key is None else str(key)

    def _probe(self, waiting_seconds: float) -> Dict[str, Any]:
        """A bin ends: who waited in it waited for what the last sample says."""
        for name, key in self._reasons:
            seconds = waiting_seconds / len(self._reasons)
            self.waited_for[name] = self.waited_for.get(name, 0.0) + seconds
            if key is not None:
                whom = self.whom.setdefault(name, {})
                whom[key] = whom.get(key, 0.0) + seconds
        return self._figures
