"""The original import paths: ``from async_task_manager import TaskManager``. New code imports from ``atm_core``."""

from __future__ import annotations

from atm_core import BaseStrategy, Task, TaskManager

__all__ = ["BaseStrategy", "Task", "TaskManager"]
