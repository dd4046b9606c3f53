"""Sums that never come out too small."""

from __future__ import annotations

import math

__all__ = ["ROUNDING", "after"]

ROUNDING = 1e-9  # of cost: 0.1 + 0.2 + 0.7 fits into 1


def after(at: float, seconds: float) -> float:
    """A time that is at least ``seconds`` after ``at`` in exact arithmetic, and no more than two floats later.

    A rounded sum may lie below the true one: 0.9 + 1 gives 1.9, and 1.9 - 0.9 is less than 1.
    """
    end = at + seconds
    shift = end - at
    # What rounding took from the sum, exactly: Knuth, The Art of Computer Programming, 4.2.2, theorem B.
    lost = (at - (end - shift)) + (seconds - shift)
    if lost <= 0:
        return end
    return end + math.ldexp(1.0, math.frexp(end)[1] - 53)
