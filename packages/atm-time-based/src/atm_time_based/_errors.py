"""What a schedule is refused with, and what a run that did not happen settles with."""

from __future__ import annotations

from typing import Any

from atm_core import TaskRejected

__all__ = ["MissedRunError", "ScheduleError", "StateFileError"]


class ScheduleError(TaskRejected, ValueError):
    """A schedule is malformed, or can never fire. Also a ``TaskRejected``, since ``add_task`` raises it.

    Args:
        message: What was expected, what came, and where.
        field: The part at fault: ``"minute"``, ``"day-of-month"``, ``"timezone"``, ``"every_seconds"``.
        value: What was refused.
    """

    def __init__(self, message: str, field: str = "", value: Any = None) -> None:
        super().__init__(message)
        self.field = field
        self.value = value


class MissedRunError(TaskRejected):
    """A run came too late to be made up for. A task whose only or last run was missed settles with it."""


class StateFileError(TaskRejected, OSError):
    """The state file cannot be used: another manager or process has it, or it is no such file."""
