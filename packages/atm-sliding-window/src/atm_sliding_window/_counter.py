"""The simple one: two counts for each key."""

from __future__ import annotations

import math
from typing import Dict, Hashable, Tuple

from atm_sliding_window._numbers import ROUNDING

__all__ = ["Counter"]


class Counter:
    """Counts starts in windows that lie on multiples of ``window_seconds`` of the loop's clock.

    The starts of the previous window are taken as evenly spread over it, and leave the sliding window one by one as
    it moves on: the estimate of the library limits (``SlidingWindowCounterRateLimiter``) and of Cloudflare. Both
    windows of all keys are dropped when they are over.

    Args:
        max_requests: How many.
        window_seconds: In which time.
    """

    def __init__(self, max_requests: float, window_seconds: float) -> None:
        self._most = max_requests
        self._window = window_seconds
        self._n = 0  # the window of `_current`
        self._current: Dict[Hashable, float] = {}
        self._previous: Dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._current.keys() | self._previous.keys())

    def ready_at(self, key: Hashable, cost: float, reserved: float, now: float) -> float:
        """When so much as ``cost`` may start."""
        n = self._number(now)
        previous, current = self._counts(key, n)
        room = self._most - current - reserved - cost
        if room >= -ROUNDING:
            return self._left_at(n, previous, previous - room)
        # Not before the next window, for which this one is the previous.
        current += reserved
        return self._left_at(n + 1, current, current - (self._most - cost))

    def began(self, key: Hashable, cost: float, now: float) -> None:
        """A start."""
        n = self._number(now)
        if n != self._n:
            self._previous = self._current if n == self._n + 1 else {}
            self._current = {}
            self._n = n
        self._current[key] = self._current.get(key, 0) + cost

    def remaining(self, key: Hashable, reserved: float, now: float) -> float:
        """How much more may start now."""
        n = self._number(now)
        previous, current = self._counts(key, n)
        return self._most - reserved - current - self._still_in(n, previous, now)

    def _still_in(self, n: int, previous: float, now: float) -> float:
        """How many of the previous window's starts have not left in window ``n``."""
        if not previous:
            return 0
        left = math.floor((now - n * self._window) / self._window * previous) + 1
        if self._left_at(n, previous, left + 1) <= now:  # the division was rounded: the times are what counts
            left += 1
        elif self._left_at(n, previous, left) > now:
            left -= 1
        return max(0, previous - left)

    def _left_at(self, n: int, previous: float, many: float) -> float:
        """From when on in window ``n`` so many of the previous window's starts have left."""
        first = n * self._window
        if many <= 1 + ROUNDING:  # it has left with the beginning of the window: one exactly a window ago is outside
            return first
        return first + self._window * ((math.ceil(many - ROUNDING) - 1) / previous)

    def _counts(self, key: Hashable, n: int) -> Tuple[float, float]:
        if n == self._n:
            return self._previous.get(key, 0), self._current.get(key, 0)
        return (self._current.get(key, 0) if n == self._n + 1 else 0), 0

    def _number(self, now: float) -> int:
        """The window in which a time lies."""
        n = math.floor(now / self._window)
        if (n + 1) * self._window <= now:
            return n + 1
        return n - 1 if n * self._window > now else n
