"""What the last calls were: a window of so many calls, or of so many seconds."""

from __future__ import annotations

import abc
import math
from collections import deque
from typing import Deque, List

__all__ = ["CountWindow", "TimeWindow", "Window"]


class Window(abc.ABC):
    """Totals of the calls in a window that slides."""

    __slots__ = ("calls", "failures", "slow")

    def __init__(self) -> None:
        self.calls = 0
        self.failures = 0
        self.slow = 0

    @abc.abstractmethod
    def record(self, failed: bool, slow: bool, now: float) -> None:
        """A call has ended."""

    def slide(self, now: float) -> None:  # noqa: B027 - only time moves by itself
        """Drop what is too old."""


class CountWindow(Window):
    """The last ``size`` calls, as in resilience4j's FixedSizeSlidingWindowMetrics. O(1) a call, a byte each.

    Args:
        size: How many, at least 1.
    """

    __slots__ = ("_calls", "_next", "_size")

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._calls = bytearray()  # a ring once it is full: 1 for a failure, plus 2 for a slow call
        self._next = 0

    def record(self, failed: bool, slow: bool, now: float) -> None:
        call = failed | slow << 1
        if self.calls < self._size:
            self._calls.append(call)
            self.calls += 1
        else:
            oldest = self._calls[self._next]
            self.failures -= oldest & 1
            self.slow -= oldest >> 1
            self._calls[self._next] = call
            self._next = (self._next + 1) % self._size
        self.failures += failed
        self.slow += slow


class TimeWindow(Window):
    """The calls of the last ``size`` seconds, in slices that are dropped whole.

    A slice is a second, as in resilience4j's SlidingTimeWindowMetrics; a tenth of windows shorter than ten
    seconds, and a 300th of those longer than 300, so that there are never more than 300. Amortised O(1) a
    call.

    Args:
        size: Seconds, greater than 0.
    """

    __slots__ = ("_kept", "_seconds", "_slices")

    def __init__(self, size: float) -> None:
        super().__init__()
        self._seconds = max(min(1.0, size / 10), size / 300)
        self._kept = math.ceil(size / self._seconds)
        # [number, calls, failures, slow] of those with calls, the oldest first.
        self._slices: Deque[List[int]] = deque()

    def record(self, failed: bool, slow: bool, now: float) -> None:
        self.slide(now)
        number = math.floor(now / self._seconds)
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append([number, 0, 0, 0])
        newest = self._slices[-1]
        for at, count in enumerate((1, failed, slow), 1):
            newest[at] += count
        self.calls += 1
        self.failures += failed
        self.slow += slow

    def slide(self, now: float) -> None:
        number = math.floor(now / self._seconds)
        while self._slices and not self._slices[0][0] <= number < self._slices[0][0] + self._kept:
            _, calls, failures, slow = self._slices.popleft()
            self.calls -= calls
            self.failures -= failures
            self.slow -= slow
