"""Who runs where: the slots of the resources."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, Hashable, Optional

from atm_core import SlotGate, hookimpl
from atm_weighted_round_robin.fleet import Fleet, Resource

if TYPE_CHECKING:
    from atm_core import Task, TaskManager

__all__ = ["ResourceSlots"]


class ResourceSlots(SlotGate):
    """Slots whose key is the resource that a task was given; tells the fleet what runs where.

    Without a limit, slots are booked only for tasks that lend theirs: the others need none.

    Args:
        fleet: Whose resources, and how many slots each has.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._serving: Dict[Task[Any], Resource] = {}
        super().__init__(key=self._serving.__getitem__)
        self._fleet = fleet
        self._limited = fleet.max_running < math.inf
        self._manager: Optional[TaskManager] = None

    def limit_of(self, key: Hashable) -> float:
        return self._fleet.max_running

    def resource_of(self, task: Task[Any]) -> Any:
        """The resource that a running task uses; None for others."""
        resource = self._serving.get(task)
        return None if resource is None else resource.name

    def take_slot(self, task: Task[Any], resource: Resource, now: float) -> None:
        """The task starts on this resource."""
        super().atm_started(task, now)
        self._fleet.load(resource, resource.running + 1)

    def return_slot(self, task: Task[Any], resource: Resource) -> None:
        """The task has ended on this resource."""
        if not self.lends(task):
            self._fleet.load(resource, resource.running - 1)
        super().atm_finished(task)

    @hookimpl
    def atm_awaited(self, task: Task[Any], by: Task[Any]) -> None:
        """Lend the slot of ``by``."""
        if not self.books(by):
            super().atm_started(by, by.added_at)
        lent = self.lends(by)
        super().atm_awaited(task, by)
        if self.lends(by) and not lent:
            resource = self._serving[by]
            self._fleet.load(resource, resource.running - 1)
        self.wake_lanes()

    def wake(self) -> None:
        """Have the manager ask again."""
        if self._manager is not None:
            self._manager.wake()

    def wake_lanes(self) -> None:
        """A slot came free: the manager asks the lane of the task that had it; others may want it, too."""

    def _take_back(self, loan: Any) -> None:
        super()._take_back(loan)
        resource = loan.pool.key
        self._fleet.load(resource, resource.running + 1)
