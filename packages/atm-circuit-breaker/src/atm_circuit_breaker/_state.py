"""The states of a breaker, and what can be seen of one."""

from __future__ import annotations

import enum
from typing import NamedTuple, Optional

__all__ = ["Snapshot", "State"]


class State(str, enum.Enum):
    """Closed: all goes through. Open: nothing does. Half-open: a few probes do, and decide."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Snapshot(NamedTuple):
    """What a breaker has seen.

    ``calls``, ``failures`` and ``slow_calls`` count what is in the window: while open, what opened it. The
    rates are None as long as there are too few calls to judge by.
    """

    state: State
    calls: int
    failures: int
    slow_calls: int
    consecutive_failures: int
    failure_rate: Optional[float]
    slow_call_rate: Optional[float]
    openings: int  # since it was last closed
