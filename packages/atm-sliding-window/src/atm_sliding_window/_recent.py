"""States by key, without those that no longer say anything."""

from __future__ import annotations

from collections import OrderedDict
from typing import Callable, Generic, Hashable, Optional, TypeVar

__all__ = ["Recent"]

S = TypeVar("S")


class Recent(Generic[S]):
    """A state for each key, the one used longest ago first. O(1).

    Whenever one is used, up to two that are over are dropped from the front, so idle keys do not pile up.

    Args:
        over: Whether a state is as good as none at a time.
    """

    def __init__(self, over: Callable[[S, float], bool]) -> None:
        self._over = over
        self._states: OrderedDict[Hashable, S] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def get(self, key: Hashable) -> Optional[S]:
        """The state of a key; None if it has none."""
        return self._states.get(key)

    def put(self, key: Hashable, state: S, now: float) -> None:
        """The state of a key that is used now."""
        states = self._states
        states[key] = state
        if len(states) == 1:
            return
        states.move_to_end(key)
        for _ in range(2):
            oldest = next(iter(states))
            if not self._over(states[oldest], now):
                break
            del states[oldest]
