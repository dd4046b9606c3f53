"""At most so many starts in any window of time."""

from __future__ import annotations

from atm_sliding_window.strategy import SlidingWindowStrategy

__all__ = ["SlidingWindowStrategy"]
