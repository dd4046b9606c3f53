"""The original import path of the strategies."""

from __future__ import annotations

from atm_core import BaseStrategy
from atm_plugins import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy

__all__ = ["BaseStrategy", "ConcurrentLimitStrategy", "DelayedStrategy", "FixedWindowStrategy"]
