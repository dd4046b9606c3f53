"""The built-in strategies."""

from __future__ import annotations

from atm_plugins.concurrent_limit import ConcurrentLimitStrategy
from atm_plugins.delayed import DelayedStrategy
from atm_plugins.fixed_window import FixedWindowStrategy

__all__ = ["ConcurrentLimitStrategy", "DelayedStrategy", "FixedWindowStrategy"]
