"""Refuse tasks whose number is odd."""

from __future__ import annotations

from typing import Any

from atm_core import Settings, Task, TaskRejected, hookimpl

__all__ = ["OnlyEvenStrategy"]


class OnlyEvenStrategy:
    """Admits a task only if ``metadata[field]`` is even.

    Args:
        field: The metadata field to look at.

    Raises:
        SettingError: ``field`` is no string.
    """

    def __init__(self, field: str = "number") -> None:
        with Settings("OnlyEvenStrategy") as check:
            if not isinstance(field, str):
                check.fail("field", field, "must be a string", wrong_type=True)
        self.field = field

    @hookimpl
    def atm_admit(self, task: Task[Any]) -> None:
        if task.metadata.get(self.field, 0) % 2:
            raise TaskRejected(f"{task!r} has an odd {self.field}")
