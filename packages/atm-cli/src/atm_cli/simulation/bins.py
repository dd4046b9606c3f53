"""What happened over time, in a bounded number of bins whatever the time."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple

__all__ = ["Bin", "Bins"]


class Bin(NamedTuple):
    """A span of time: starts in it, the means of what ran and waited, the most that waited, and figures at its end."""

    starts: int
    running: float
    waiting: float
    most_waiting: int
    figures: Dict[str, Any]


class Bins:
    """Adds up what is told to it; when there are too many bins, two become one.

    Means are by time and stay exact when bins are merged.

    Args:
        width: Of the first bins, in seconds.
        probe: Called at the end of each bin with the task-seconds of waiting in it: what strategies say of themselves.
        most: How many bins there are at most; half as many at least, once there were so many.
    """

    def __init__(self, width: float, probe: Callable[[float], Dict[str, Any]], most: int = 512) -> None:
        self.width = width
        self.closed: List[Bin] = []
        self._probe = probe
        self._most = most
        self.starts = 0  # in the open bin
        self.at = 0.0  # up to where it is added up
        self.ends_at = width
        self._running = self._waiting = 0.0  # times seconds
        self._most_waiting = 0
        self.most_waiting = 0  # ever

    def advance(self, now: float, running: int, waiting: int) -> None:
        """Until now, so many ran and waited."""
        while now >= self.ends_at:
            self._add(self.ends_at, running, waiting)
            self._close()
        self._add(now, running, waiting)

    def finish(self) -> None:
        """The end: the last bin is closed early, unless nothing was in it."""
        if self.starts or not self.closed or self.at > self.ends_at - self.width:
            self._close()

    def _add(self, until: float, running: int, waiting: int) -> None:
        passed = until - self.at
        if not passed:
            return  # what waits for no time at all does not wait
        self._running += running * passed
        self._waiting += waiting * passed
        self._most_waiting = max(self._most_waiting, waiting)
        self.most_waiting = max(self.most_waiting, waiting)
        self.at = until

    def _close(self) -> None:
        passed = self.at - (self.ends_at - self.width) or self.width
        figures = self._probe(self._waiting)
        running, waiting = self._running / passed, self._waiting / passed
        self.closed.append(Bin(self.starts, running, waiting, self._most_waiting, figures))
        self.starts, self._running, self._waiting, self._most_waiting = 0, 0.0, 0.0, 0
        if len(self.closed) == self._most:
            pairs = zip(self.closed[::2], self.closed[1::2])
            self.closed = [_merged(one, other) for one, other in pairs]
            self.width *= 2
        # By multiplication: a sum of many widths would drift away from the ends that merging expects.
        self.ends_at = (len(self.closed) + 1) * self.width


def _merged(one: Bin, other: Bin) -> Bin:
    return Bin(
        one.starts + other.starts,
        (one.running + other.running) / 2,
        (one.waiting + other.waiting) / 2,
        max(one.most_waiting, other.most_waiting),
        other.figures,
    )
