"""The original import path of ``Task``."""

from __future__ import annotations

from atm_core import Task

__all__ = ["Task"]
