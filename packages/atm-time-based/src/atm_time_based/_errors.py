"""What a schedule is refused with, and what a run that did not happen settles with."""

from __future__ import annotations

from typing import Any

from atm_core import TaskRejected

__all__ = ["MissedRunError", "ScheduleError", "StateFileError"]


class ScheduleError(TaskRejected, ValueError):
    """A schedule is malformed, or can never fire. Also a ``TaskRejected``, since ``add_task`` raises it.

    Args:
        field: The part at fault: ``"minute"``, ``"day-of-month"``, ``"timezone"``, ``"every_seconds"``.
        expected: ``"must be ..."``.
        value: What was refused.
        where: The whole of which it is a part.
    """

    def __init__(self, field: str, expected: str, value: Any, where: str = "") -> None:
        super().__init__(f"{field} {expected}, got {value!r}" + (f" ({where})" if where else ""))
        self.field = field
        self.expected = expected
        self.value = value
        self.where = where

    def __reduce__(self) -> Any:
        return type(self), (self.field, self.expected, self.value, self.where)


class MissedRunError(TaskRejected):
    """A run came too late to be made up for. A task whose only or last run was missed settles with it."""


class StateFileError(TaskRejected, OSError):
    """The state file cannot be used: another manager or process has it, or it is no such file."""
