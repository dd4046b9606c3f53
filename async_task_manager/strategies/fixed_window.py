"""The original import path of ``FixedWindowStrategy``."""

from __future__ import annotations

from atm_plugins import FixedWindowStrategy

__all__ = ["FixedWindowStrategy"]
