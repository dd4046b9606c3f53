"""Gradient2, Vegas and AIMD: from latencies to a concurrency limit, to the digit as Netflix's concurrency-limits.

Pure state machines, one ``update`` a sample: no clock, no tasks. Each O(1) in time and memory. Any unit of latency will
do, as only ratios count (AIMD: the unit of its ``timeout``).
"""

from __future__ import annotations

import abc
import math
import random
from typing import Callable, Optional, Union

__all__ = ["AIMDLimit", "ExpAvg", "Gradient2Limit", "LimitAlgorithm", "VegasLimit", "log10"]

Amount = Union[int, Callable[[int], int]]


class LimitAlgorithm(abc.ABC):
    """What the three have in common: an estimate, its bounds, and how to take it back.

    Args:
        initial_limit: The first estimate.
        min_limit: Never below.
        max_limit: Never above.
    """

    name = ""

    def __init__(self, initial_limit: int, min_limit: int, max_limit: int) -> None:
        self.min_limit = min_limit
        self.max_limit = max_limit
        #: The limit before it is rounded down.
        self.estimate: float = initial_limit

    @property
    def limit(self) -> int:
        """How much may be in flight."""
        return int(self.estimate)

    @abc.abstractmethod
    def update(self, rtt: float, in_flight: int, dropped: bool = False) -> int:
        """Take a sample.

        Args:
            rtt: A latency, greater than 0.
            in_flight: How much was in flight at the time.
            dropped: The sample holds a timeout or another sign of overload.

        Returns:
            The new limit.
        """

    def hold(self, most: float) -> None:
        """Take the estimate back to at most ``most``, within the bounds."""
        self.estimate = max(self.min_limit, min(self.estimate, most))

    @abc.abstractmethod
    def rebase(self, rtt: float) -> None:
        """Take ``rtt`` for the latency without load, from now on."""


class Gradient2Limit(LimitAlgorithm):
    """Compares each latency with a long average of them; the gradient of the two scales the limit.

    ``limit * gradient + queue_size``, smoothed, where the gradient is ``rtt_tolerance * long / short`` in [0.5, 1].
    Follows Gradient2Limit.java of Netflix/concurrency-limits. Drops are no signal to it.

    Args:
        initial_limit, min_limit, max_limit: See :class:`LimitAlgorithm`.
        smoothing: The weight of the new estimate, above 0 up to 1.
        queue_size: By how much the limit may exceed what the latency asks for; a number, or a function of the limit.
        long_window: How many samples the long average spans.
        rtt_tolerance: How many times the long average is no reason to shrink, 1 or more.
    """

    name = "gradient"

    def __init__(
        self,
        initial_limit: int = 20,
        min_limit: int = 20,
        max_limit: int = 200,
        *,
        smoothing: float = 0.2,
        queue_size: Amount = 4,
        long_window: int = 600,
        rtt_tolerance: float = 1.5,
    ) -> None:
        super().__init__(initial_limit, min_limit, max_limit)
        self._smoothing = smoothing
        self._queue_size = _amount(queue_size)
        self._tolerance = rtt_tolerance
        self._long = ExpAvg(long_window, warmup=10)

    @property
    def long_rtt(self) -> float:
        """The long average: the latency that is held to be normal."""
        return self._long.value

    def update(self, rtt: float, in_flight: int, dropped: bool = False) -> int:
        long_rtt = self._long.add(rtt)
        if long_rtt / rtt > 2:  # load has ended: the average is to come down faster than it went up
            self._long.value *= 0.95
        if in_flight < self.estimate / 2:
            return self.limit
        gradient = max(0.5, min(1.0, self._tolerance * long_rtt / rtt))
        wanted = self.estimate * gradient + self._queue_size(self.limit)
        smoothed = self.estimate * (1 - self._smoothing) + wanted * self._smoothing
        self.estimate = max(self.min_limit, min(self.max_limit, smoothed))
        return self.limit

    def rebase(self, rtt: float) -> None:
        self._long.value = rtt


class VegasLimit(LimitAlgorithm):
    """Estimates the queue in the service, ``limit * (1 - least / rtt)``, and keeps it between ``alpha`` and ``beta``.

    Follows VegasLimit.java of Netflix/concurrency-limits (and Brakmo, O'Malley, Peterson: TCP Vegas, SIGCOMM 1994).

    Args:
        initial_limit, min_limit, max_limit: See :class:`LimitAlgorithm`.
        smoothing: The weight of the new estimate, above 0 up to 1.
        alpha: Below this queue the limit grows by ``increase``; a number, or a function of the limit.
        beta: Above this queue it shrinks by ``decrease``; also the step while there is next to no queue.
        threshold: What next to no queue is.
        increase, decrease: The next estimate from this one.
        probe_multiplier: After 0.5 to 1 times this, times the limit, samples the latest latency is taken for the
            least, since an old least may no longer be true; None: never.
        jitter: Gives numbers in [0, 1), for the time of that.
    """

    name = "vegas"

    def __init__(
        self,
        initial_limit: int = 20,
        min_limit: int = 1,
        max_limit: int = 1000,
        *,
        smoothing: float = 1.0,
        alpha: Amount = lambda limit: 3 * log10(limit),
        beta: Amount = lambda limit: 6 * log10(limit),
        threshold: Amount = lambda limit: log10(limit),
        increase: Callable[[float], float] = lambda limit: limit + log10(int(limit)),
        decrease: Callable[[float], float] = lambda limit: limit - log10(int(limit)),
        probe_multiplier: Optional[float] = 30,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(initial_limit, min_limit, max_limit)
        self._smoothing = smoothing
        self._alpha = _amount(alpha)
        self._beta = _amount(beta)
        self._threshold = _amount(threshold)
        self._increase = increase
        self._decrease = decrease
        self._probe_multiplier = math.inf if probe_multiplier is None else probe_multiplier
        self._jitter = jitter
        self._probe_at = 0.5 + 0.5 * jitter()
        self._samples = 0
        #: The least latency seen: that of the service without load. 0 before the first sample.
        self.rtt_noload: float = 0

    def update(self, rtt: float, in_flight: int, dropped: bool = False) -> int:
        self._samples += 1
        if self._probe_at * self._probe_multiplier * self.estimate <= self._samples:
            self._probe_at = 0.5 + 0.5 * self._jitter()
            self._samples = 0
            self.rtt_noload = rtt
        elif not self.rtt_noload or rtt < self.rtt_noload:
            self.rtt_noload = rtt
        else:
            wanted = self._next(rtt, in_flight, dropped)
            if wanted is not None:
                wanted = max(self.min_limit, min(self.max_limit, wanted))
                self.estimate = (1 - self._smoothing) * self.estimate + self._smoothing * wanted
        return self.limit

    def _next(self, rtt: float, in_flight: int, dropped: bool) -> Optional[float]:
        if dropped:
            return self._decrease(self.estimate)
        if in_flight * 2 < self.estimate:
            return None
        limit = self.limit
        queue = math.ceil(self.estimate * (1 - self.rtt_noload / rtt))
        if queue <= self._threshold(limit):
            return self.estimate + self._beta(limit)
        if queue < self._alpha(limit):
            return self._increase(self.estimate)
        if queue > self._beta(limit):
            return self._decrease(self.estimate)
        return None

    def rebase(self, rtt: float) -> None:
        self.rtt_noload = rtt


class AIMDLimit(LimitAlgorithm):
    """One more while all goes well, a fraction less at a drop: additive increase, multiplicative decrease.

    Follows AIMDLimit.java of Netflix/concurrency-limits (and Chiu, Jain, 1989). Blind to latency below the timeout.

    Args:
        initial_limit, min_limit, max_limit: See :class:`LimitAlgorithm`.
        backoff_ratio: What a drop leaves of the limit, from 0.5 to below 1.
        timeout: A latency above it is a drop.
    """

    name = "aimd"

    def __init__(
        self,
        initial_limit: int = 20,
        min_limit: int = 20,
        max_limit: int = 200,
        *,
        backoff_ratio: float = 0.9,
        timeout: float = 5.0,
    ) -> None:
        super().__init__(initial_limit, min_limit, max_limit)
        self._backoff_ratio = backoff_ratio
        self._timeout = timeout

    def update(self, rtt: float, in_flight: int, dropped: bool = False) -> int:
        limit = self.limit
        if dropped or rtt > self._timeout:
            limit = int(limit * self._backoff_ratio)
        elif in_flight * 2 >= limit:
            limit += 1
        self.estimate = min(self.max_limit, max(self.min_limit, limit))
        return self.limit

    def rebase(self, rtt: float) -> None:
        """It has no use for it."""


class ExpAvg:
    """An exponential moving average that starts as a plain mean (ExpAvgMeasurement.java).

    Args:
        window: The weight of a sample is ``2 / (window + 1)``.
        warmup: For so many samples it is the mean.
    """

    __slots__ = ("_count", "_factor", "_sum", "_warmup", "value")

    def __init__(self, window: int, warmup: int) -> None:
        self.value = 0.0
        self._factor = 2.0 / (window + 1)
        self._warmup = warmup
        self._count = 0
        self._sum = 0.0

    def add(self, sample: float) -> float:
        """Take a sample; returns the new average."""
        if self._count < self._warmup:
            self._count += 1
            self._sum += sample
            self.value = self._sum / self._count
        else:
            self.value = self.value * (1 - self._factor) + sample * self._factor
        return self.value


def log10(limit: int) -> int:
    """The decimal logarithm as a whole number, at least 1 (Log10RootIntFunction.java)."""
    return max(1, len(str(limit)) - 1)


def _amount(given: Amount) -> Callable[[int], int]:
    if callable(given):
        return given
    fixed = given
    return lambda limit: fixed
