"""What an attempt says about the service that it called."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Callable, Optional

from atm_circuit_breaker._breaker import FAILURE, NOTHING, SUCCESS, Verdict
from atm_core import HookError, TaskRejected, WorkError

if TYPE_CHECKING:
    from atm_core import Outcome

__all__ = ["Judge"]

_log = logging.getLogger("atm_circuit_breaker")

Matcher = Callable[[BaseException], bool]


class Judge:
    """Decides whether an attempt counts as a success, as a failure, or not at all, and whether it was slow.

    Args:
        record: Says of an exception whether it counts as a failure.
        ignore: Says whether it does not count at all.
        slow_seconds: An attempt that takes longer is slow; None: none is.
    """

    def __init__(self, record: Matcher, ignore: Matcher, slow_seconds: Optional[float]) -> None:
        self._records = record
        self._ignores = ignore
        self._slow_seconds = slow_seconds

    def verdict(self, outcome: Outcome) -> Verdict:
        """What the outcome says."""
        error = outcome.exception
        if outcome.cancelled:
            return NOTHING
        if error is None:
            return SUCCESS
        if outcome.duration is None or isinstance(error, (TaskRejected, HookError, WorkError)):
            return NOTHING  # it never got as far as the service
        try:
            if self._ignores(error):
                return NOTHING
            if self._records(error):
                return FAILURE
        except Exception:
            _log.exception("record or ignore raised; the attempt does not count")
            return NOTHING
        # What stops the program says nothing about the service; any other exception is an answer of it.
        return SUCCESS if isinstance(error, Exception) else NOTHING

    def slow(self, outcome: Outcome) -> bool:
        """Whether it took too long."""
        if self._slow_seconds is None or outcome.duration is None:
            return False
        return outcome.duration > self._slow_seconds
