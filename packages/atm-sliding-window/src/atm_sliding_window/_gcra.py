"""The small one: a number for each key."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Hashable

from atm_sliding_window._numbers import float_up
from atm_sliding_window._recent import Recent

__all__ = ["Gcra"]

_GRAINS = 2.0**96  # a second: every float above 1e-13 is a whole number of them
_FOREVER = 1e100  # seconds


class Gcra:
    """The generic cell rate algorithm in its virtual-scheduling form (ITU-T I.371), as in redis-cell.

    Remembers the theoretical arrival time: the one at which the starts so far would have come at an even pace. One
    may come before its time, by up to ``burst - 1`` intervals.

    Times are whole numbers of grains / ``max_requests``, and so is the interval between two starts. Floats would be
    rounded: either a start would come too early, or the last of a burst too late.

    Args:
        max_requests: How many per window in the long run.
        window_seconds: The window.
        burst: How many may start at once after a pause.
    """

    def __init__(self, max_requests: int, window_seconds: float, burst: int) -> None:
        self._per_grain = max_requests
        self._burst = burst
        self._interval = math.ceil(Fraction(min(window_seconds, _FOREVER)) * int(_GRAINS))
        self._due_at: Recent[int] = Recent(lambda due_at, now: due_at <= self._exact(now))

    def __len__(self) -> int:
        return len(self._due_at)

    def ready_at(self, key: Hashable, cost: float, reserved: float, now: float) -> float:
        """When so much as ``cost`` may start."""
        exactly_now = self._exact(now)
        at = self._base(key, exactly_now) + self._intervals(cost + reserved - self._burst)
        return now if at <= exactly_now else float_up(-(-at // self._per_grain)) / _GRAINS

    def began(self, key: Hashable, cost: float, now: float) -> None:
        """A start."""
        self._due_at.put(key, self._base(key, self._exact(now)) + self._intervals(cost), now)

    def remaining(self, key: Hashable, reserved: float, now: float) -> float:
        """How much more may start now, in whole starts."""
        exactly_now = self._exact(now)
        used = self._base(key, exactly_now) - exactly_now
        return (self._intervals(self._burst - reserved) - used) // self._interval

    def _base(self, key: Hashable, exactly_now: int) -> int:
        """What the next interval begins with: the time that is due, or now."""
        due_at = self._due_at.get(key)
        return exactly_now if due_at is None or due_at < exactly_now else due_at

    def _exact(self, seconds: float) -> int:
        return int(seconds * _GRAINS) * self._per_grain

    def _intervals(self, cost: float) -> int:
        whole = int(cost)
        return whole * self._interval if whole == cost else math.ceil(cost * self._interval)
