"""The limit that CPU, memory and the event loop set, with hysteresis."""

from __future__ import annotations

import math
from typing import Dict, Mapping, NamedTuple

__all__ = ["Band", "ResourceLimit"]


class Band(NamedTuple):
    """From ``high`` on there is too much; at ``low`` or less there is room again; between them nothing changes."""

    low: float
    high: float


class ResourceLimit:
    """No limit while there is room; from what is in flight downwards while there is not.

    A reading at or above its high mark takes the limit to ``backoff_ratio`` of what is in flight, and on with every
    further one; it rises again when all are at or below their low marks, until it limits nothing. O(1).

    Args:
        bands: The marks, by the reading's name.
        backoff_ratio: What is left at each step, and how it grows back.
        min_limit: Never below.
        max_limit: Above this it limits nothing.
    """

    def __init__(self, bands: Mapping[str, Band], *, backoff_ratio: float, min_limit: int, max_limit: int) -> None:
        self._bands = bands
        self._backoff_ratio = backoff_ratio
        self._min_limit = min_limit
        self._max_limit = max_limit
        #: How much may be in flight; infinite: any number.
        self.limit: float = math.inf
        #: The reading that lowered it last.
        self.why = ""
        #: The last readings.
        self.readings: Dict[str, float] = {}

    def observe(self, readings: Mapping[str, float], in_flight: int) -> None:
        """Take readings.

        Args:
            readings: Values by name; those that are missing say nothing.
            in_flight: How much runs, under the busiest key.
        """
        self.readings = dict(readings)
        seen = {name: value for name, value in readings.items() if name in self._bands}
        excess = {name: value / self._bands[name].high for name, value in seen.items()}
        worst = max(excess, key=lambda name: excess[name], default="")
        if worst and excess[worst] >= 1:
            if in_flight:
                self.limit = max(self._min_limit, math.floor(min(self.limit, in_flight) * self._backoff_ratio))
                self.why = worst
        elif self.limit < math.inf and all(value <= self._bands[name].low for name, value in seen.items()):
            more = math.floor(self.limit / self._backoff_ratio) + 1
            self.limit = more if more < self._max_limit else math.inf
