"""The original import path of ``ConcurrentLimitStrategy``."""

from __future__ import annotations

from atm_plugins import ConcurrentLimitStrategy

__all__ = ["ConcurrentLimitStrategy"]
