"""The original import path of ``BaseStrategy``."""

from __future__ import annotations

from atm_core import BaseStrategy

__all__ = ["BaseStrategy"]
