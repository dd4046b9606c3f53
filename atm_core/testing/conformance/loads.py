"""Random loads, the same in every run."""

from __future__ import annotations

from typing import Any, Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from atm_core.testing.conformance.plays import Piece

__all__ = ["CROWD", "for_random", "loads"]

# Multiples of powers of two add up without rounding, and so do meet.
_TIMES = st.sampled_from([0.0, 0.0, 0.125, 0.25, 0.5, 1.0, 1.5])


#: Everybody at once.
CROWD = [Piece(arrives=0.0, lasts=1.0)] * 6


def loads(most: int = 8) -> Any:
    """Up to ``most`` pieces of work."""
    piece = st.builds(
        Piece,
        arrives=_TIMES,
        lasts=_TIMES,
        fails=st.sampled_from([False, False, False, True]),
        cancelled_at=st.sampled_from([None, None, None, 0.0, 0.25, 0.5, 1.0]),
    )
    return st.lists(piece, min_size=1, max_size=most)


def for_random(holds: Callable[..., None], *drawn: Any, examples: int = 25) -> None:
    """Call ``holds`` with values that hypothesis draws, always the same ones.

    What fails is not made smaller: it is small already, and where each try may wait for a task that is lost, that
    would take minutes.
    """
    with_drawn: Any = given(*drawn)
    limits: Any = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=examples,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    limits(with_drawn(holds))()
