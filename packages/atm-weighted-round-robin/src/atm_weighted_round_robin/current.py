"""What the work asks."""

from __future__ import annotations

from typing import Any

from atm_core import current_task

__all__ = ["current_resource"]


def current_resource() -> Any:
    """Inside work: the resource that it is to use; None elsewhere.

    The same as ``current_task().metadata["resource"]``. Where a manager has several strategies of this
    kind, ask the one that is meant: ``strategy.resource_of(current_task())``.
    """
    task = current_task()
    return None if task is None else task.metadata.get("resource")
