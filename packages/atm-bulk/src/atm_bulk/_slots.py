"""At most so many batches at once."""

from __future__ import annotations

from typing import Any, Awaitable, Dict, Optional

from atm_bulk._batch import Batch
from atm_core import ConcurrentLimitStrategy, Task, hookimpl

__all__ = ["BatchSlots"]


class BatchSlots:
    """Base of :class:`BulkStrategy`: a limit on how much runs at once that looks at batches alone.

    A batch function that waits for items of another batch lends its slot to it, as tasks do under every
    such limit.

    Args:
        most: How many batches; None: any number.
    """

    def __init__(self, most: Optional[int]) -> None:
        self._batches: Dict[Task[Any], Batch] = {}  # by their tasks, until these are settled
        self._slots = None if most is None else ConcurrentLimitStrategy(most)
        if self._slots is None:
            # An attribute hides the hook, which then costs nothing.
            self.atm_lane = None  # type: ignore[assignment, method-assign]
            self.atm_ready_at = None  # type: ignore[assignment, method-assign]
            self.atm_finished = None  # type: ignore[assignment, method-assign]
            self.atm_awaited = None  # type: ignore[assignment, method-assign]
            self.atm_resumed = None  # type: ignore[assignment, method-assign]

    @hookimpl
    def atm_lane(self, task: Task[Any]) -> Optional[bool]:
        """Batches wait for each other, and for nothing else."""
        return True if task in self._batches else None

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> Optional[float]:
        """For a batch: at once while there is room, otherwise when another one ends."""
        return self._slots.atm_ready_at(task, now) if self._slots and task in self._batches else None

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """A batch takes its slot."""
        if self._slots and task in self._batches:
            self._slots.atm_started(task, now)

    @hookimpl
    def atm_finished(self, task: Task[Any]) -> None:
        """A batch gives its slot back."""
        if self._slots and task in self._batches:
            self._slots.atm_finished(task)

    @hookimpl
    def atm_awaited(self, task: Task[Any], by: Task[Any]) -> None:
        """A batch that waits lends its slot."""
        if self._slots and by in self._batches:
            self._slots.atm_awaited(task, by)

    @hookimpl
    def atm_resumed(self, task: Task[Any], by: Task[Any], cancelled: bool) -> Optional[Awaitable[None]]:
        """It takes the slot back, as soon as there is one."""
        return self._slots.atm_resumed(task, by, cancelled) if self._slots and by in self._batches else None
