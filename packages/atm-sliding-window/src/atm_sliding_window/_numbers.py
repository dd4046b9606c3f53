"""Sums that never come out too small."""

from __future__ import annotations

import math

__all__ = ["ROUNDING", "after", "float_up"]

ROUNDING = 1e-9  # of cost: 0.1 + 0.2 + 0.7 fits into 1


def after(at: float, seconds: float) -> float:
    """A time that is at least ``seconds`` after ``at`` in exact arithmetic, and no more than two floats later.

    A rounded sum may lie below the true one: 0.9 + 1 gives 1.9, and 1.9 - 0.9 is less than 1.
    """
    end = at + seconds
    shift = end - at
    # What rounding took from the sum, exactly: Knuth, The Art of Computer Programming, 4.2.2, theorem B.
    lost = (at - (end - shift)) + (seconds - shift)
    return end if lost <= 0 else _next(end)


def float_up(number: int) -> float:
    """The smallest float that is not below a whole number above 0."""
    rounded = float(number)
    return rounded if rounded >= number else _next(rounded)


def _next(number: float) -> float:
    """The next float (``math.nextafter``, which came with Python 3.9)."""
    return number + math.ldexp(1.0, math.frexp(number)[1] - 53)
