"""What becomes of a failed call: again for parts of its items, or not."""

from __future__ import annotations

import asyncio
import socket
from typing import List, NamedTuple, Optional, TypeVar

from atm_bulk._errors import BatchResultError
from atm_core import Settings, WorkError

__all__ = ["Splitting", "check_splitting"]

T = TypeVar("T")

#: What tells that nobody knows whether the work was done. All the same class from Python 3.11 on.
_TIMEOUTS = (asyncio.TimeoutError, TimeoutError, socket.timeout)


class Splitting(NamedTuple):
    """The settings of :class:`BulkStrategy` by these names."""

    on_failure: str
    max_splits: Optional[int]
    split_on_timeout: bool

    def parts(self, failed: List[T], error: Exception, splits: int) -> List[List[T]]:
        """The items of a failed call in parts, each to be called on its own; none if it is to fail as it is.

        Args:
            failed: The items.
            error: What the call raised.
            splits: How many calls of the batch were split before.
        """
        if len(failed) == 1 or splits == self.max_splits:
            return []
        if isinstance(error, _TIMEOUTS) and not self.split_on_timeout:
            return []
        if isinstance(error, (BatchResultError, WorkError)):  # mistakes in the program
            return []
        if self.on_failure == "isolate":
            return [[one] for one in failed]
        if self.on_failure == "bisect":
            middle = (len(failed) + 1) // 2
            return [failed[:middle], failed[middle:]]
        return []


def check_splitting(check: Settings, on_failure: str, max_splits: Optional[int], on_timeout: bool) -> Splitting:
    """The settings, checked."""
    return Splitting(
        check.choice("on_failure", on_failure, ("isolate", "bisect", "raise")),
        check.count("max_splits", max_splits, optional=True),
        check.flag("split_on_timeout", on_timeout),
    )
