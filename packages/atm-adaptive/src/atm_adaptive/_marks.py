"""The marks for CPU and memory, which need psutil: whether they were asked for, and whether they hold."""

from __future__ import annotations

from typing import Optional

from atm_adaptive._meters import psutil_or_none
from atm_adaptive._resources import Band
from atm_core import Settings

__all__ = ["CPU_HIGH", "CPU_LOW", "MEMORY_HIGH", "MEMORY_LOW", "band"]


class _Default(float):
    """A mark that nobody asked for: it holds if psutil is installed. One that is given is a plain number."""


CPU_HIGH, CPU_LOW = _Default(0.85), _Default(0.70)
MEMORY_HIGH, MEMORY_LOW = _Default(0.90), _Default(0.80)


def band(check: Settings, name: str, high: Optional[float], low: float) -> Optional[Band]:
    """Check the marks of a resource; None: it is not watched.

    Args:
        check: Collects the mistakes; one is a mark that was asked for without psutil.
        name: ``"cpu"`` or ``"memory"``.
        high, low: Fractions; ``high=None``: not to be watched.
    """
    checked_high = check.number(f"{name}_high", high, above=0.0, most=1.0, optional=True)
    checked_low = check.number(f"{name}_low", low, least=0.0, most=1.0)
    if checked_high is None:
        return None
    if isinstance(checked_high, float) and isinstance(checked_low, float) and checked_low >= checked_high:
        check.fail(f"{name}_low", low, f"must be less than {name}_high ({checked_high:g})")
    if psutil_or_none() is None:
        for parameter, value in ((f"{name}_high", high), (f"{name}_low", low)):
            if not isinstance(value, _Default):
                check.fail(parameter, value, "needs psutil: pip install 'atm-adaptive[system]'")
        return None
    return Band(checked_low, checked_high)
