"""What a task gets in place of a call to a service that is down."""

from __future__ import annotations

from typing import Hashable, Optional

from atm_circuit_breaker._state import State
from atm_core import TaskRejected

__all__ = ["CircuitOpenError"]


class CircuitOpenError(TaskRejected):
    """The breaker lets no call through; ``__cause__`` and ``last_cause`` tell of the last failure.

    Args:
        message: What it saw, and when the next call may be made.
        retry_after: Seconds until it lets a probe through, or until the present probes are decided.
        key: Whose breaker it is.
        state: Open, or half-open with all its probes under way.
        failure_rate: The part of failures in the calls that it last saw, from 0 to 1; None if it saw none.
        slow_call_rate: The part of slow calls, likewise.
        last_cause: A copy of the last failure, without its traceback; None if there was none, or it cannot be copied.
    """

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: Optional[float] = None,
        key: Hashable = None,
        state: State = State.OPEN,
        failure_rate: Optional[float] = None,
        slow_call_rate: Optional[float] = None,
        last_cause: Optional[BaseException] = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.key = key
        self.state = state
        self.failure_rate = failure_rate
        self.slow_call_rate = slow_call_rate
        self.last_cause = self.__cause__ = last_cause
