"""How long to wait after each failed attempt: a backoff, a cap, and jitter that is drawn inside the cap."""

from __future__ import annotations

import math
from typing import Callable, Optional, Tuple, Union

__all__ = ["BACKOFFS", "GROWING_JITTERS", "JITTERS", "Delays"]

BACKOFFS = ("exponential", "linear", "constant")
JITTERS = ("full", "equal", "decorrelated", "smooth", "none")
#: These carry the growth themselves, so they replace the exponential backoff instead of spreading it.
GROWING_JITTERS = ("decorrelated", "smooth")

# From Polly's DecorrelatedJitterBackoffV2: how fast the curve rises at its beginning, and what brings the
# median of the first delay to the initial one.
_SMOOTH_RISE = 4.0
_SMOOTH_SCALE = 1 / 1.4


class Delays:
    """The delays between attempts. Each costs O(1) and at most two random numbers.

    Jitter, for a delay ``d`` that was capped first and ``r`` drawn from ``[0, 1)``:

    - ``"full"``: ``[0, d)``; ``"equal"``: ``[d/2, d)``; ``"decorrelated"``: from the initial delay to three
      times the previous one or the cap, whichever is less. All as in "Exponential Backoff And Jitter" (AWS
      Architecture Blog, aws-samples/aws-arch-backoff-simulator), save that the last draws inside the cap
      instead of cutting at it.
    - ``"smooth"``: Polly's DecorrelatedJitterBackoffV2, whose delays of many clients spread without clusters.
    - a number ``f``: ``[d * (1 - f), d * (1 + f)]``, cut to the cap before it is drawn (gRPC and failsafe
      call it jitter, resilience4j the randomization factor).

    Cutting after the draw would let all clients that have reached the cap meet there.

    Args:
        backoff: One of :data:`BACKOFFS`, or a function of the attempt's number, from 1, that gives seconds.
        initial: The first delay before jitter, in seconds.
        most: The cap in seconds.
        multiplier: The growth of the exponential backoff.
        jitter: One of :data:`JITTERS`, or a number from 0 to 1.
        random: Draws from ``[0, 1)``.
    """

    def __init__(
        self,
        backoff: Union[str, Callable[[int], float]],
        initial: float,
        most: float,
        multiplier: float,
        jitter: Union[str, float],
        random: Callable[[], float],
    ) -> None:
        self._backoff = backoff
        self._initial = initial
        self._most = most
        self._multiplier = multiplier
        self._jitter = jitter
        self._random = random

    def after(self, attempt: int, memory: Optional[float]) -> Tuple[float, Optional[float]]:
        """The delay after the failure of this attempt.

        Args:
            attempt: Its number, from 1.
            memory: What this method answered beside the previous delay of the same task; None at first.

        Returns:
            Seconds, and what to remember until the next call.

        Raises:
            TypeError, ValueError: A backoff function answered no number, or a negative one.
        """
        if self._jitter == "decorrelated":
            low = min(self._initial, self._most)
            high = min(3 * (self._initial if memory is None else memory), self._most)
            delay = low + self._random() * (high - low)
            return delay, delay
        if self._jitter == "smooth":
            return self._smooth(attempt, memory)
        return self._spread(min(self._most, self.base(attempt))), None

    def base(self, attempt: int) -> float:
        """The delay before cap and jitter; infinite where a float ends."""
        if self._backoff == "exponential":
            return self._initial and self._initial * _power(self._multiplier, attempt - 1)
        if self._backoff == "linear":
            return self._initial * attempt
        if self._backoff == "constant":
            return self._initial
        assert callable(self._backoff)
        seconds = self._backoff(attempt)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"backoff({attempt}) answered {seconds!r}: it must be seconds")
        if not seconds >= 0:
            raise ValueError(f"backoff({attempt}) answered {seconds!r}: it must be 0 or more")
        return seconds  # it may be a whole number that no float can hold

    def _spread(self, delay: float) -> float:
        if self._jitter == "full":
            return self._random() * delay
        if self._jitter == "equal":
            return delay / 2 + self._random() * delay / 2
        if self._jitter == "none":
            return delay
        assert isinstance(self._jitter, float)
        low, high = delay * (1 - self._jitter), min(delay * (1 + self._jitter), self._most)
        return low + self._random() * (high - low)

    def _smooth(self, attempt: int, memory: Optional[float]) -> Tuple[float, Optional[float]]:
        at = attempt - 1 + self._random()
        curve = _power(self._multiplier, at) * math.tanh(math.sqrt(_SMOOTH_RISE * at))
        if curve != math.inf:
            delay = (curve - (memory or 0.0)) * _SMOOTH_SCALE * self._initial
            if delay <= self._most:
                return delay, curve
        return self._most * (1 + self._random()) / 2, curve


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
