"""At most so many tasks at once."""

from __future__ import annotations

from typing import Any, Dict, Hashable

from atm_core import Settings, SlotGate
from atm_core.strategy import Cost, Key

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

    def limit(self, key: Hashable) -> float:
        """The same for every key."""
        return self.max_concurrent

    def stats(self) -> Dict[str, Any]:
        return {"max_concurrent": self.max_concurrent, **super().stats()}
