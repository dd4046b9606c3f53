"""Who runs where: the slots of the resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Hashable, Optional

from atm_core import SlotGate, hookimpl
from atm_weighted_round_robin.fleet import Fleet, Resource

if TYPE_CHECKING:
    from atm_core import Task, TaskManager

__all__ = ["ResourceSlots"]


class ResourceSlots(SlotGate):
    """Slots whose key is the resource that a task was given; tells the fleet what runs where.

    Args:
        fleet: Whose resources, and how many slots each has.
    """

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(key=lambda task: self._serving[task])
        self._fleet = fleet
        self._serving: Dict[Task[Any], Resource] = {}
        self._manager: Optional[TaskManager] = None

    def limit_of(self, key: Hashable) -> float:
        return self._fleet.max_running

    def resource_of(self, task: Task[Any]) -> Any:
        """The resource that a running task uses; None for others."""
        resource = self._serving.get(task)
        return None if resource is None else resource.name

    def occupy(self, task: Task[Any], resource: Resource, now: float) -> None:
        """The task starts on this resource."""
        self._serving[task] = resource
        super().atm_started(task, now)
        self._count(resource)

    def vacate(self, task: Task[Any]) -> Resource:
        """The task has ended; returns the resource on which it ran."""
        super().atm_finished(task)
        resource = self._serving.pop(task)
        self._count(resource)
        return resource

    @hookimpl
    def atm_awaited(self, task: Task[Any], by: Task[Any]) -> None:
        """Lend the slot of ``by``."""
        super().atm_awaited(task, by)
        self._count(self._serving[by])
        self.wake_lanes()

    def wake(self) -> None:
        """Have the manager ask again."""
        if self._manager is not None:
            self._manager.wake()

    def wake_lanes(self) -> None:
        """A slot came free: the manager asks the lane of the task that had it; others may want it, too."""

    def _take_back(self, loan: Any) -> None:
        super()._take_back(loan)
        self._count(loan.pool.key)

    def _count(self, resource: Resource) -> None:
        self._fleet.load(resource, self.used(resource))
