"""What limits the retries of many tasks together, so that they cannot multiply the load of a weak service."""

from __future__ import annotations

import abc
import math
import threading
from typing import List

from atm_core import Settings

__all__ = ["Budget", "RetryBudget", "RetryThrottle"]

_SLICES = 10
_ROUNDING = 1e-9  # ten times 0.1 must be 1


class Budget(abc.ABC):
    """Is told how attempts end, and asked before each retry. May be shared among strategies and threads."""

    @abc.abstractmethod
    def ended(self, first: bool, failed: bool, now: float) -> None:
        """An attempt has ended: a task's first or a retry, with a success or a failure worth a retry."""

    @abc.abstractmethod
    def withdraw(self, now: float) -> bool:
        """Whether a retry may be made; it is paid for then."""


class RetryBudget(Budget):
    """At most so many retries for each first attempt, beside a small number a second that is always there.

    As Finagle's ``RetryBudget`` (finagle-core, com/twitter/finagle/service/RetryBudget.scala): each first
    attempt deposits ``ratio``, each retry withdraws 1, and both are forgotten after ``ttl_seconds``. In any
    ``ttl_seconds`` there are at most ``ratio`` retries a task, plus ``min_per_second * ttl_seconds``; the
    windows slide in steps of a tenth.

    O(1) a call, 20 numbers in memory.

    Args:
        ratio: Retries for each task, 0 to 1000: 0.2 lets retries add a fifth to the load.
        min_per_second: Retries for those who send little, 0 or more.
        ttl_seconds: How long a deposit can be used, 1 to 60.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(self, ratio: float = 0.2, min_per_second: float = 10, ttl_seconds: float = 10) -> None:
        with Settings("RetryBudget") as check:
            self.ratio: float = check.number("ratio", ratio, least=0, most=1000)
            self.min_per_second: float = check.number("min_per_second", min_per_second, least=0)
            self.ttl_seconds: float = check.number("ttl_seconds", ttl_seconds, least=1, most=60)
        self._reserve: float = self.min_per_second * self.ttl_seconds
        # Counted in whole numbers, as a sum of many fractions would drift.
        self._deposits: List[int] = [0] * _SLICES
        self._withdrawals: List[int] = [0] * _SLICES
        self._slice = 0
        self._lock = threading.Lock()  # managers in several threads may share it

    def balance(self, now: float) -> int:
        """How many retries may be made at this time."""
        with self._lock:
            self._turn_to(now)
            return max(0, math.floor(self._credit() + _ROUNDING))

    def deposit(self, now: float) -> None:
        """A first attempt was made."""
        with self._lock:
            self._turn_to(now)
            self._deposits[self._slice % _SLICES] += 1

    def withdraw(self, now: float) -> bool:
        """Take one retry; False if there is none."""
        with self._lock:
            self._turn_to(now)
            if self._credit() + _ROUNDING < 1:
                return False
            self._withdrawals[self._slice % _SLICES] += 1
            return True

    def ended(self, first: bool, failed: bool, now: float) -> None:
        """First attempts deposit."""
        if first:
            self.deposit(now)

    def _credit(self) -> float:
        return sum(self._deposits) * self.ratio + self._reserve - sum(self._withdrawals)

    def _turn_to(self, now: float) -> None:
        """Forget the slices that are over; all of them if the clock was set back (another loop)."""
        current = math.floor(now * _SLICES / self.ttl_seconds)
        passed = current - self._slice
        if -_SLICES < passed <= 0:
            return  # another thread's clock may have been read a moment later
        for one in range(current - min(abs(passed), _SLICES) + 1, current + 1):
            self._deposits[one % _SLICES] = self._withdrawals[one % _SLICES] = 0
        self._slice = current

    def __repr__(self) -> str:
        settings = f"ratio={self.ratio:g}, min_per_second={self.min_per_second:g}, "
        settings += f"ttl_seconds={self.ttl_seconds:g}"
        return f"RetryBudget({settings})"


class RetryThrottle(Budget):
    """No retries while failures outweigh successes.

    gRPC's retry throttling (proposal A6, "Throttling Retry Attempts and Hedged RPCs"; retry_throttle.cc): a
    failure takes one token, a success adds ``token_ratio``, and retries are made while more than half of the
    tokens are there. It needs no clock.

    O(1) a call.

    Args:
        max_tokens: How many there are at first and at most, above 0 and up to 1000.
        token_ratio: Greater than 0; thousandths count.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(self, max_tokens: float = 10, token_ratio: float = 0.1) -> None:
        with Settings("RetryThrottle") as check:
            self.max_tokens: float = check.number("max_tokens", max_tokens, above=0, most=1000)
            self.token_ratio: float = check.number("token_ratio", token_ratio, above=0, most=1000)
        # In thousandths, as gRPC counts them: whole numbers do not drift.
        self._most: int = round(self.max_tokens * 1000)
        self._ratio: int = max(1, round(self.token_ratio * 1000))
        self._tokens: int = self._most
        self._lock = threading.Lock()

    @property
    def tokens(self) -> float:
        """How many there are."""
        return self._tokens / 1000

    def ended(self, first: bool, failed: bool, now: float) -> None:
        """Failures take a token, successes add their part of one."""
        with self._lock:
            if failed:
                self._tokens = max(0, self._tokens - 1000)
            else:
                self._tokens = min(self._most, self._tokens + self._ratio)

    def withdraw(self, now: float) -> bool:
        """Whether more than half of the tokens are there."""
        return self._tokens * 2 > self._most

    def __repr__(self) -> str:
        return f"RetryThrottle(max_tokens={self.max_tokens:g}, token_ratio={self.token_ratio:g})"
