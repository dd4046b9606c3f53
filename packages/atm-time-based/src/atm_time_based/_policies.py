"""What becomes of runs that are due at the wrong time: late ones, and ones that find the task running.

Plain functions of lists of due times, so that every rule can be read, and tested, without a clock.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

__all__ = [
    "ON_MISSED",
    "OVERLAPS",
    "PUNCTUAL_SECONDS",
    "Meeting",
    "Selection",
    "choose_late",
    "meet_running",
    "most_late",
]

ON_MISSED = ("run_latest", "run_all", "run_earliest", "skip")
OVERLAPS = ("skip", "buffer_one", "buffer_all", "cancel_running", "allow")

#: What a timer and a turn of the loop may take is not lateness.
PUNCTUAL_SECONDS = 0.1
# A change of the wall clock is noticed within a minute, so "on time" is not judged any finer; as in Quartz.
_ON_TIME_SECONDS = 60.0


class Selection(NamedTuple):
    """Of late runs: those to make up for, in order, and how many are missed for good."""

    runs: List[float]
    missed: int


class Meeting(NamedTuple):
    """Of times that come in a run: which to start beside it, which to keep, whether to cancel it."""

    beside: List[float]
    kept: List[float]
    cancel: bool
    skipped: int


def choose_late(
    due: Sequence[float], now: float, on_missed: str, grace_seconds: Optional[float], catchup_seconds: float
) -> Selection:
    """Which of the runs that are due by now are to happen.

    A run later than ``grace_seconds`` or ``catchup_seconds`` is missed; of the others ``on_missed`` picks.
    With ``"skip"`` and no grace, what is a minute late is missed, and of what is not, the latest runs.

    Args:
        due: Due times up to ``now``, in order; at least one.
        now: The time on the same clock.
        on_missed: One of ``ON_MISSED``.
        grace_seconds: How late a run may start; None for any time.
        catchup_seconds: How far back runs are made up for.
    """
    most = most_late(on_missed, grace_seconds, catchup_seconds)
    alive = [at for at in due if now - at <= most]
    if len(alive) > 1 and on_missed != "run_all":
        alive = alive[:1] if on_missed == "run_earliest" else alive[-1:]
    return Selection(alive, len(due) - len(alive))


def most_late(on_missed: str, grace_seconds: Optional[float], catchup_seconds: float) -> float:
    """How late a run may start at the most; for the arguments see :func:`choose_late`."""
    if grace_seconds is None:
        grace_seconds = _ON_TIME_SECONDS if on_missed == "skip" else catchup_seconds
    return max(min(grace_seconds, catchup_seconds), PUNCTUAL_SECONDS)


def meet_running(due: Sequence[float], kept: Sequence[float], overlap: str) -> Meeting:
    """What becomes of runs that are due while the task runs (after Temporal's ``ProcessBuffer``).

    Args:
        due: Their due times, in order; at least one.
        kept: Those that wait for the end of the run already.
        overlap: One of ``OVERLAPS``.
    """
    every = [*kept, *due]
    if overlap == "allow":
        return Meeting(list(due), list(kept), False, 0)
    if overlap == "buffer_all":
        return Meeting([], every, False, 0)
    if overlap == "buffer_one":
        # Late runs that are to be made in turn may be kept already: nothing comes in their place.
        left = list(kept or due[:1])
        return Meeting([], left, False, len(every) - len(left))
    if overlap == "cancel_running":
        return Meeting([], every[-1:], True, len(every) - 1)
    return Meeting([], list(kept), False, len(due))
