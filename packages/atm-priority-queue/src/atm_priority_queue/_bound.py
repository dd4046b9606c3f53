"""A bound on the queue, and who goes when it is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from atm_priority_queue._ranked import Ranked

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["OVERFLOW", "Bound"]

OVERFLOW = ("reject", "drop_oldest", "drop_lowest")


class Bound:
    """The queued tasks, and which of them makes room for a new one.

    The rules are Bottleneck's (``_addToQueue`` in src/Bottleneck.coffee): ``reject`` is its OVERFLOW, ``drop_oldest``
    LEAK, ``drop_lowest`` OVERFLOW_PRIORITY. O(log n) a task.

    Args:
        max_pending: How many may be queued.
        overflow: One of :data:`OVERFLOW`.
    """

    def __init__(self, max_pending: int, overflow: str) -> None:
        self.max_pending = max_pending
        self.dropped = 0
        self._overflow = overflow
        self._queued = Ranked()  # the oldest of the lowest level first
        self._ended = self._queued.discard  # one object for all

    def __len__(self) -> int:
        return len(self._queued)

    @property
    def full(self) -> bool:
        """Whether a new task has no room."""
        return len(self._queued) >= self.max_pending

    def put(self, task: Task[Any], level: float) -> None:
        """A task is queued, or has changed its level there."""
        if task not in self._queued:
            # Not by atm_settled, which comes after the callbacks of users: these may want its room.
            task.add_done_callback(self._ended)
        self._queued.put(task, (-level, task.added_at))

    def discard(self, task: Task[Any]) -> None:
        """A task left the queue."""
        if self._queued.discard(task):
            task.remove_done_callback(self._ended)

    def clear(self) -> None:
        """None of those that are queued counts any more."""
        self._queued.clear()

    def victim(self, level: float) -> Optional[Task[Any]]:
        """Who makes room for a task of this level; None if that one has to go itself."""
        first = self._queued.first()
        if first is None or self._overflow == "reject":
            return None
        lowest = -self._queued.first_rank()[0]
        return first if lowest > level or (lowest == level and self._overflow == "drop_oldest") else None
