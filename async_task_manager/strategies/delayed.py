"""The original import path of ``DelayedStrategy``."""

from __future__ import annotations

from atm_plugins import DelayedStrategy

__all__ = ["DelayedStrategy"]
