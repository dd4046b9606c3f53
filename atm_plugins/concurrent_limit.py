"""At most so many tasks at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, Hashable, Optional

from atm_core import Settings, SlotGate, hookimpl
from atm_core.strategy import Cost, Key

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["ConcurrentLimitStrategy"]


class ConcurrentLimitStrategy(SlotGate):
    """At most ``max_concurrent`` tasks run at once; the next one starts in the loop turn in which one ends.

    A slot comes back in every case: result, failure, cancellation at any point. A running task that awaits a queued
    one lends its slot meanwhile (see :class:`~atm_core.SlotGate`).

    O(1) a task in time. With ``key`` or ``cost``, one dictionary entry a running task and one a key in use.

    Args:
        max_concurrent: How many; with ``cost`` the sum of the costs of what runs. At least 1.
        key: A metadata field, or a function of the task: so many for each value, ``key="host"``.
        cost: A metadata field, or a function of the task: how many slots a task takes, a number above 0.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(self, max_concurrent: int, *, key: Key = None, cost: Cost = None) -> None:
        with Settings("ConcurrentLimitStrategy") as check:
            self.max_concurrent: int = check.count("max_concurrent", max_concurrent)
            super().__init__(key=key, cost=cost)

    def limit_of(self, key: Hashable) -> float:
        """The same for every key."""
        return self.max_concurrent

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> Optional[float]:
        """At once while there is room, otherwise when something finishes."""
        if self._plain:  # the most frequent question of all, in its shortest form
            pool = self._shared
            return now if pool.used < self.max_concurrent and not pool.returning else math.inf
        return super().atm_ready_at(task, now)

    def stats(self) -> Dict[str, Any]:
        return {"max_concurrent": self.max_concurrent, **super().stats()}
