"""Tasks that wait for a time of their own: ``not_before``, retries, recurring jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Set

from atm_core.alarms import Alarms

if TYPE_CHECKING:
    from atm_core.task import Task

__all__ = ["Sleepers"]


class Sleepers(Alarms):
    """Who sleeps until when, by whose wish, and which tasks recur."""

    __slots__ = ("by", "dormant", "recurring")

    def __init__(self) -> None:
        super().__init__()
        #: Which plugin sent it to sleep, if one did.
        self.by: Dict[Task[Any], str] = {}
        self.recurring: Set[Task[Any]] = set()
        #: Recurring and asleep: nobody waits for those.
        self.dormant: Set[Task[Any]] = set()

    def set(self, task: Task[Any], at: float) -> None:
        """Sleep until ``at``, also if it slept until another time."""
        super().set(task, at)
        if task in self.recurring:
            self.dormant.add(task)

    def drop(self, task: Task[Any]) -> bool:
        """It sleeps no longer."""
        self.by.pop(task, None)
        self.dormant.discard(task)
        return super().drop(task)

    def recur(self, task: Task[Any], recurs: bool) -> None:
        """Whether it comes again for ever."""
        if recurs:
            self.recurring.add(task)
        else:
            self.recurring.discard(task)
            self.dormant.discard(task)

    def forget(self, task: Task[Any]) -> None:
        """It is settled."""
        self.drop(task)
        self.recurring.discard(task)
