"""The original import path of ``TaskManager``."""

from __future__ import annotations

from atm_core import TaskManager

__all__ = ["TaskManager"]
