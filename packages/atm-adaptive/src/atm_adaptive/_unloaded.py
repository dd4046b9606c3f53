"""The latency without load: what is known of it, and the probe that finds out."""

from __future__ import annotations

import math
from typing import Any, Dict, Optional

from atm_adaptive._samples import Latencies

__all__ = ["Probe", "Unloaded"]

_FIRST_WAIT, _LONGEST_WAIT = 5.0, 40.0  # between probes, in windows
_STILL_QUEUED = 0.65  # at half the limit, latency falls to 0.5 of it if all of it is queue, and to 1 if none is


class Unloaded:
    """The latency without load.

    A probe that agrees with what was known adds to it, one that does not replaces it. The surer it is, the less often
    it need be measured again.

    Args:
        latencies: The first measurement.
    """

    __slots__ = ("_latencies", "error", "mean", "wait")

    def __init__(self, latencies: Latencies) -> None:
        self._latencies = latencies
        self.mean, self.error = latencies.typical()
        #: In how many windows to measure again.
        self.wait = _FIRST_WAIT

    def measured(self, latencies: Latencies) -> None:
        """A probe has ended with these."""
        mean, error = latencies.typical()
        if abs(mean - self.mean) > 2 * (error + self.error):
            self._replace(latencies)
            return
        self._latencies.merge(latencies)
        self.mean, self.error = self._latencies.typical()
        self.wait = min(2 * self.wait, _LONGEST_WAIT)

    def seen(self, latencies: Latencies, mean: float, error: float) -> None:
        """Under load there were these; if they are clearly shorter, it was believed too long."""
        if mean + 2 * error < self.mean - 2 * self.error:
            self._replace(latencies)

    def _replace(self, latencies: Latencies) -> None:
        self._latencies, self.wait = latencies, _FIRST_WAIT
        self.mean, self.error = latencies.typical()


class Probe:
    """Watches some tasks that run at half the limit, to see whether the latency is lower there.

    It looks at the first tasks that start in it, and is over when their midmean is known: stragglers need not end.
    O(n) memory for n twice the limit, only while it lasts.

    Args:
        limit: The limit under which ``latency`` was seen.
        latency: What it may undercut.
        least: The lowest limit to try.
        min_samples: Watch at least twice as many.
    """

    __slots__ = ("_latency", "_least", "_needs", "_running", "latencies", "limit")

    def __init__(self, limit: int, latency: float, least: int, min_samples: int) -> None:
        #: How much may be in flight while it lasts.
        self.limit = max(least, limit // 2)
        self.latencies = Latencies()
        self._latency = latency
        self._least = least
        self._needs = 2 * max(min_samples, self.limit)
        self._running: Dict[Any, float] = {}  # the tasks it watches, and since when they run

    def started(self, task: Any, now: float) -> None:
        """A task starts."""
        if self.latencies.count + len(self._running) < self._needs:
            self._running[task] = now

    def finished(self, task: Any, now: float, rtt: Optional[float], dropped: bool) -> bool:
        """A task has ended. Returns whether the probe is over."""
        if self._running.pop(task, None) is not None and rtt is not None:
            self.latencies.add(rtt, dropped)
        if self.latencies.count + len(self._running) < self._needs:
            return False
        quartile = self.latencies.upper_quartile(len(self._running))
        if quartile is None or any(now - at <= quartile for at in self._running.values()):
            return False
        for _ in self._running:
            self.latencies.add(math.inf)  # beyond the middle half, where how far makes no difference
        return True

    @property
    def failed(self) -> bool:
        """Whether timeouts have spoilt it."""
        return self.latencies.dropped * 4 > self.latencies.count

    def still_queued(self, mean: float) -> bool:
        """Whether the latency has come down to ``mean`` as much as the limit has, so that it may go on doing so."""
        return self.limit > self._least and mean < self._latency * _STILL_QUEUED
