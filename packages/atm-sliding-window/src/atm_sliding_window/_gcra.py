"""The small one: a float for each key."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Hashable

from atm_sliding_window._numbers import after
from atm_sliding_window._recent import Recent

__all__ = ["Gcra"]

_SHORT = 32  # bits of a number that times a whole one of up to 2 million is exact


class Gcra:
    """The generic cell rate algorithm in its virtual-scheduling form (ITU-T I.371), as in redis-cell.

    Remembers the theoretical arrival time: the one at which the starts so far would have come at an even pace. One
    may come before its time, by up to ``burst - 1`` intervals.

    Args:
        max_requests: How many per window in the long run.
        window_seconds: The window.
        burst: How many may start at once after a pause.
    """

    def __init__(self, max_requests: float, window_seconds: float, burst: float) -> None:
        self._burst = burst
        interval = window_seconds / max_requests
        exact = Fraction(interval) * max_requests == Fraction(window_seconds)
        short = interval.as_integer_ratio()[0].bit_length() <= _SHORT
        # Products with the interval between two starts err to the safe side, whatever the rounding.
        self._interval_up = interval if exact and short else interval * (1 + 2.0**-51)
        self._interval_down = interval if exact and short else interval * (1 - 2.0**-51)
        self._due_at: Recent[float] = Recent(lambda due_at, now: due_at <= now)

    def __len__(self) -> int:
        return len(self._due_at)

    def ready_at(self, key: Hashable, cost: float, reserved: float, now: float) -> float:
        """When so much as ``cost`` may start."""
        due_at = self._due_at.get(key)
        room = self._burst - reserved - cost
        if due_at is None or due_at <= now:
            return now if room >= 0 else after(now, -room * self._interval_up)
        return after(due_at, -room * (self._interval_down if room >= 0 else self._interval_up))

    def began(self, key: Hashable, cost: float, now: float) -> None:
        """A start."""
        due_at = self._due_at.get(key)
        base = now if due_at is None or due_at < now else due_at
        self._due_at.put(key, after(base, cost * self._interval_up), now)

    def remaining(self, key: Hashable, reserved: float, now: float) -> float:
        """How much more may start now, in whole starts."""
        due_at = self._due_at.get(key)
        used = 0.0 if due_at is None or due_at < now else (due_at - now) / self._interval_up
        room = math.floor(self._burst - reserved - used + 0.5)
        return room if room <= 0 or self.ready_at(key, room, reserved, now) <= now else room - 1
