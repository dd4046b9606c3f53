"""Latencies, and what is typical of them."""

from __future__ import annotations

import math
from typing import List, Optional, Tuple

__all__ = ["Latencies"]

_KEPT = 1024  # numbers; of more, every second one, then every fourth, and so on


class Latencies:
    """Collects latencies and tells their midmean, the mean of the middle half.

    A few stragglers do not move it, and it is known before the last quarter has ended. Of a mixture of quick and slow
    work it shows the shares, where a median would jump from the one to the other.

    O(1) a latency, O(n log n) a midmean; at most 1024 numbers are kept, evenly spread over what came.
    """

    __slots__ = ("_every", "_kept", "count", "dropped")

    def __init__(self) -> None:
        self.count = 0
        #: How many of them were timeouts.
        self.dropped = 0
        self._kept: List[float] = []
        self._every = 1

    def add(self, rtt: float, dropped: bool = False) -> None:
        """Take one; infinity for one that still runs and is among the longest quarter."""
        self.dropped += dropped
        if self.count % self._every == 0:
            self._kept.append(rtt)
            if len(self._kept) == _KEPT:
                del self._kept[1::2]
                self._every *= 2
        self.count += 1

    def typical(self) -> Tuple[float, float]:
        """The midmean and its standard error (from the winsorized variance: Tukey, McLaughlin 1963)."""
        ordered = sorted(self._kept)
        cut = len(ordered) // 4
        middle = ordered[cut : len(ordered) - cut]
        mean = math.fsum(middle) / len(middle)
        squares = math.fsum((one - mean) ** 2 for one in middle)
        squares += cut * ((middle[0] - mean) ** 2 + (middle[-1] - mean) ** 2)
        return mean, 2 * math.sqrt(squares) / len(ordered)

    def upper_quartile(self, running: int) -> Optional[float]:
        """What a quarter exceeds, if the ``running`` ones will all be among that; None if they are more."""
        count = len(self._kept) + running
        last = count - count // 4 - 1
        return sorted(self._kept)[last] if last < len(self._kept) else None

    def merge(self, other: Latencies) -> None:
        """Take those of another too; half of what can be kept is remembered of the older ones."""
        self._kept = self._kept[-_KEPT // 2 :] + other._kept[-_KEPT // 2 + 1 :]
        self.count = len(self._kept)
