"""The exact one: remembers each start until it has left the window."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Hashable

from atm_sliding_window._numbers import ROUNDING, after
from atm_sliding_window._recent import Recent

__all__ = ["Log"]

_SWEEP_ABOVE = 16  # starts that have left; with fewer, a sweep costs more than it frees


class Log:
    """Never more than ``max_requests`` in any window, to the digit.

    8 bytes a start that is in the window, 16 with costs.

    Args:
        max_requests: How many.
        window_seconds: In which time.
        weighted: Whether starts have costs other than 1.
    """

    def __init__(self, max_requests: float, window_seconds: float, weighted: bool) -> None:
        self._most = max_requests
        self._window = window_seconds
        self._kind = _WeightedStarts if weighted else _Starts
        self._recent: Recent[_Starts] = Recent(lambda starts, now: starts.over_at[-1] <= now)

    def __len__(self) -> int:
        return len(self._recent)

    def ready_at(self, key: Hashable, cost: float, reserved: float, now: float) -> float:
        """When so much as ``cost`` may start: when enough of those in the window have left it."""
        starts = self._recent.get(key)
        if starts is None:
            if cost + reserved - ROUNDING <= self._most:
                return now
        else:
            n = starts.to_leave(cost + reserved - self._most)
            if n <= 0:
                return now
            if n <= len(starts.over_at):
                return starts.over_at[n - 1]
        # Some of those reserved have to leave, too: they begin now or later, so this is not too late to ask again.
        return after(now, self._window)

    def began(self, key: Hashable, cost: float, now: float) -> None:
        """A start."""
        starts = self._recent.get(key)
        if starts is None:
            starts = self._kind()
        starts.add(after(now, self._window), cost, now)
        self._recent.put(key, starts, now)

    def remaining(self, key: Hashable, reserved: float, now: float) -> float:
        """How much more may start now."""
        starts = self._recent.get(key)
        return self._most - reserved - (0 if starts is None else starts.used(now))


class _Starts:
    """The starts under one key, each with a cost of 1: when each leaves the window, the earliest first."""

    __slots__ = ("gone", "over_at")

    def __init__(self) -> None:
        self.over_at = array("d")
        self.gone = 0  # so many at the front have left

    def to_leave(self, excess: float) -> int:
        """How many from the front must have left for the rest to be no more than ``-excess``."""
        return len(self.over_at) + int(excess)

    def add(self, over_at: float, cost: float, now: float) -> None:
        """A start, and a look at which have left by now."""
        self.over_at.append(over_at)
        while self.over_at[self.gone] <= now:
            self.gone += 1
        if self.gone > _SWEEP_ABOVE and 2 * self.gone > len(self.over_at):
            self.sweep()

    def sweep(self) -> None:
        """Forget those that have left."""
        del self.over_at[: self.gone]
        self.gone = 0

    def used(self, now: float) -> float:
        """How much is in the window."""
        return len(self.over_at) - self._left(now)

    def _left(self, now: float) -> int:
        """How many have left."""
        left = bisect_left(self.over_at, now, self.gone)
        while left < len(self.over_at) and self.over_at[left] <= now:
            left += 1
        return left


class _WeightedStarts(_Starts):
    """The same with costs: also the sum of the costs up to each start, so that one search finds any amount."""

    __slots__ = ("totals",)

    def __init__(self) -> None:
        super().__init__()
        self.totals = array("d")

    def to_leave(self, excess: float) -> int:
        target = self.totals[-1] + excess - ROUNDING
        if target <= (self.totals[self.gone - 1] if self.gone else 0.0):
            return self.gone
        return bisect_left(self.totals, target, self.gone) + 1

    def add(self, over_at: float, cost: float, now: float) -> None:
        self.totals.append((self.totals[-1] if self.totals else 0.0) + cost)
        super().add(over_at, cost, now)

    def sweep(self) -> None:
        gone = self.totals[self.gone - 1]
        self.totals = array("d", (total - gone for total in self.totals[self.gone :]))
        super().sweep()

    def used(self, now: float) -> float:
        left = self._left(now)
        return self.totals[-1] - (self.totals[left - 1] if left else 0.0)
