"""Which resource does which task: the strategy."""

from __future__ import annotations

import math
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Any,
    Callable,
    Dict,
    FrozenSet,
    Hashable,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Union,
)

from atm_core import AtmError, Outcome, Settings, TaskRejected, hookimpl
from atm_core.strategy import Key
from atm_weighted_round_robin.fleet import Fleet, Resource
from atm_weighted_round_robin.health_checks import HealthChecks, loop_time
from atm_weighted_round_robin.rotations import ROTATIONS, Rounds
from atm_weighted_round_robin.settings import check_known, check_new, check_resources, check_weight
from atm_weighted_round_robin.slots import ResourceSlots

if TYPE_CHECKING:
    from atm_core import Task, TaskManager

__all__ = ["WeightedRoundRobinStrategy"]

_WHEN_ALL_DOWN = ("use_all", "wait", "reject")
_NOTHING: FrozenSet[Resource] = frozenset()


class WeightedRoundRobinStrategy(ResourceSlots):
    """Gives each attempt of a task a resource (a server, an account, a proxy), in proportion to weights.

    The work finds it with :func:`~atm_weighted_round_robin.current_resource`. It is picked when the attempt starts;
    no turn is lost while a task waits for another strategy. A retry goes to a resource that the task has not tried,
    if any that is in health is left.

    Health: a resource that fails ``max_failures`` times in a row is ejected (Envoy's consecutive failures, with the
    times of gRPC's A50) for ``ejection_seconds``, the n-th time n times as long, up to ``max_ejection_seconds``; n
    falls by one for each ``ejection_seconds`` in use. A failed health check takes it out, too, until one that
    passes, which also ends an ejection. Cancelled attempts and errors of the framework (``AtmError``, rejections
    among them) say nothing about a resource; any other end that is no ``failure`` is a success.

    A running task that awaits a queued one of the same manager lends its slot, so nested work cannot deadlock on
    ``max_concurrent_per_resource`` (see :class:`~atm_core.SlotGate`).

    Time of an attempt with n resources: O(n) (``smooth``, ``least_request``), O(log n) (``edf``, faster from about
    100 on); of a retry and of an ejection O(n). Memory: one entry a resource and one a running task; with ``key``
    one number a resource for each key of the last minute (the last 4096 at most); for a task that is retried, what
    it has tried.

    Args:
        resources: Weights by name: 0 (gets nothing: drain), or from 1e-6 to 1e6. May be empty.
        algorithm: ``"smooth"``: nginx's smooth weighted round robin. ``"edf"``: earliest deadline first, as gRPC
            does it. ``"least_request"``: the largest weight / (running + 1), among equals smooth.
        max_concurrent_per_resource: Tasks at once on one resource; None: any number.
        max_failures: In a row, for an ejection; None: no ejections.
        ejection_seconds: Greater than 0.
        max_ejection_seconds: Greater than 0; less than ``ejection_seconds`` counts as that.
        max_ejected_fraction: From 0 to 1: no resource is ejected while this share of those with a weight is. It is
            tested before an ejection, as gRPC and Envoy do: 0.1 lets one of three be ejected, 0 none.
        failure: Exception classes or their names, or a function of an exception: what speaks against a resource.
        health_check: A function of a resource's name, or its dotted name; may be async. False, a ``failure``, or no
            answer within the interval is a failed check; another exception is logged and changes nothing.
        health_check_interval_seconds: Between two checks of a resource, and the longest that one may take.
        slow_start_seconds: A resource that came back, or was added to a running manager, begins with a tenth of its
            weight, which grows to the whole in this time (Envoy's slow start, aggression 1). 0: at once.
        when_all_down: No resource is in health: ``"use_all"``, ``"wait"`` for one, or ``"reject"`` the task.
        key: A metadata field, or a function of the task: a round of its own for each value. Weights, health and
            slots are the resource's, whoever asks.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(
        self,
        resources: Mapping[Any, float],
        *,
        algorithm: str = "smooth",
        max_concurrent_per_resource: Optional[int] = None,
        max_failures: Optional[int] = 3,
        ejection_seconds: float = 30.0,
        max_ejection_seconds: float = 300.0,
        max_ejected_fraction: float = 0.5,
        failure: Union[Any, Sequence[Any], Callable[[BaseException], bool]] = (Exception,),
        health_check: Union[str, Callable[[Any], Any], None] = None,
        health_check_interval_seconds: float = 5.0,
        slow_start_seconds: float = 0.0,
        when_all_down: str = "use_all",
        key: Key = None,
    ) -> None:
        with Settings("WeightedRoundRobinStrategy") as check:
            weights = check_resources(check, resources)
            self.algorithm: str = check.choice("algorithm", algorithm, tuple(ROTATIONS))
            self.when_all_down: str = check.choice("when_all_down", when_all_down, _WHEN_ALL_DOWN)
            most: Optional[int] = check.count("max_concurrent_per_resource", max_concurrent_per_resource,
                optional=True)
            self._is_failure = check.failure("failure", failure)
            self._health_check = check.callable("health_check", health_check)
            interval: float = check.duration("health_check_interval_seconds", health_check_interval_seconds, zero=False)
            self._round_of = check.field("key", key)
            fleet = Fleet(
                max_running=math.inf if most is None else most,
                max_failures=check.count("max_failures", max_failures, optional=True),
                ejection_seconds=check.duration("ejection_seconds", ejection_seconds, zero=False),
                max_ejection_seconds=check.duration("max_ejection_seconds", max_ejection_seconds, zero=False),
                max_ejected_fraction=check.number("max_ejected_fraction", max_ejected_fraction, least=0.0, most=1.0),
                slow_start_seconds=check.duration("slow_start_seconds", slow_start_seconds),
                use_all=when_all_down == "use_all",
            )
        super().__init__(fleet)
        self._interval_seconds = interval
        if most is None:
            self.atm_lane = None  # type: ignore[assignment, method-assign]  # no task waits for a particular resource
        for name, weight in weights.items():
            fleet.add(name, weight, fresh=False)
        self._rounds = Rounds(algorithm, fleet)
        self._tried: Dict[Task[Any], Set[Resource]] = {}  # of tasks that failed and are not settled
        self._checks: Optional[HealthChecks] = None

    # Resources.

    def add(self, resource: Any, weight: float = 1) -> None:
        """A new resource, also while the manager runs.

        Raises:
            SettingError: There is one of this name, or the weight is wrong.
        """
        with Settings("WeightedRoundRobinStrategy.add") as check:
            weight = check_weight(check, "weight", weight)
            check_new(check, resource, self._fleet.resources)
        self._fleet.add(resource, weight)
        if self._checks is not None:
            self._checks.watch(resource)
        self.wake()

    def remove(self, resource: Any) -> None:
        """Take a resource out, also while the manager runs; what runs on it may end there.

        Raises:
            SettingError: There is none of this name.
        """
        with Settings("WeightedRoundRobinStrategy.remove") as check:
            check_known(check, resource, self._fleet.resources)
        self._fleet.remove(resource)
        if self._checks is not None:
            self._checks.forget(resource)
        self.wake()

    def set_weight(self, resource: Any, weight: float) -> None:
        """A new weight, also while the manager runs; 0: no new tasks, what runs on it may end there.

        Raises:
            SettingError: There is no resource of this name, or the weight is wrong.
        """
        with Settings("WeightedRoundRobinStrategy.set_weight") as check:
            check_known(check, resource, self._fleet.resources)
            weight = check_weight(check, "weight", weight)
        self._fleet.set_weight(resource, weight)
        self.wake()

    def snapshot(self, now: Optional[float] = None) -> Dict[Any, Dict[str, Any]]:
        """Weights, health and load by resource.

        Args:
            now: ``loop.time()``; by default that of the running loop.

        Returns:
            For each resource: ``weight``; ``effective_weight``, what that counts now (less after failures with
            ``smooth``, in slow start, by load with ``least_request``); ``healthy``; ``passes``, the verdict of its
            last check, None if there was none; ``failures`` in a row; ``ejected_seconds`` still to go;
            ``ejections``, the factor of its last ejection's length; ``running``; ``picks`` since it was added.
        """
        return self._fleet.snapshot(loop_time() if now is None else now, self._rounds.common.weight_of)

    def stats(self) -> Dict[str, Any]:
        resources = {str(name): figures for name, figures in self.snapshot().items()}
        return {"resources": resources, "rounds": len(self._rounds), "retried": len(self._tried)}

    def explain(self, task: Task[Any], now: float) -> str:
        usable = self._usable(task, now)
        if not usable:
            weighted = any(one.weight for one in self._fleet.resources.values())
            return "no resource is in health" if weighted else "no resource has a weight"
        names = ", ".join(repr(one.name) for one in usable[:5]) + (", ..." if len(usable) > 5 else "")
        return f"every resource that it may use runs {self._fleet.max_running:g} tasks: {names}"

    # The gate.

    @hookimpl
    def atm_lane(self, task: Task[Any]) -> Hashable:
        """What it has tried: a task that waits for one of few resources is not in the way of the others."""
        return frozenset(self._tried[task]) if task in self._tried else None

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> Optional[float]:
        """At once if a resource that it may use has room.

        Raises:
            TaskRejected: None is in health, and ``when_all_down`` is ``"reject"``.
        """
        fleet = self._fleet
        if fleet.open and now < fleet.changes_at and task not in self._tried:
            return now
        usable = self._usable(task, now)
        if any(one.running < fleet.max_running for one in usable):
            return now
        at = fleet.next_return(now)
        if not usable and self.when_all_down == "reject":
            raise TaskRejected(self.explain(task, now), retry_after=None if at == math.inf else at - now)
        return at

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """Pick a resource, and take a slot of it."""
        fleet = self._fleet
        if now >= fleet.changes_at:
            fleet.tell(now)
        avoid = self._to_avoid(task, now) if self._tried else _NOTHING
        if self._round_of is None:
            resource = self._rounds.common.pick(avoid, now)
        else:
            resource = self._rounds.pick(self._round_of(task), avoid, now)
        resource.picks += 1
        task.metadata["resource"] = resource.name
        self._serving[task] = resource
        if self._limited:
            self.take_slot(task, resource, now)
        else:
            resource.running += 1

    @hookimpl
    def atm_finished(  # type: ignore[override]  # passed by name
        self, task: Task[Any], outcome: Outcome, now: float
    ) -> None:
        """Give the slot back, and see what the outcome says about the resource."""
        fleet = self._fleet
        resource = self._serving.pop(task)
        if self.books(task):
            self.return_slot(task, resource)
        else:
            resource.running -= 1
        if now >= fleet.changes_at:
            fleet.tell(now)
        error = outcome.exception
        if self._tried:
            self.wake_lanes()
            if error is None:
                self._forget_tried(task)
        if error is None:
            resource.failures = 0
        elif not outcome.cancelled and not isinstance(error, AtmError):
            self._note_tried(task, resource)
            if self._is_failure(error):
                fleet.failed(resource, now)
            else:
                resource.failures = 0

    def wake_lanes(self) -> None:
        if self._limited and self._tried:
            self.wake()

    # Background.

    @hookimpl
    def atm_manager_started(self, manager: TaskManager) -> None:
        """Begin the health checks."""
        self._manager = manager
        if self._health_check is not None:
            self._checks = HealthChecks(self._health_check, self._interval_seconds, self._is_failure, self._checked)
            for name in self._fleet.resources:
                self._checks.watch(name)

    @hookimpl
    async def atm_manager_stopped(self, manager: TaskManager) -> None:
        """End them."""
        checks, self._checks = self._checks, None
        if checks is not None:
            await checks.stop()

    def _checked(self, name: Hashable, passes: bool) -> None:
        if self._fleet.checked(self._fleet.resources[name], passes, loop_time()):
            self.wake()

    # What a task has tried.

    def _note_tried(self, task: Task[Any], resource: Resource) -> None:
        tried = self._tried.get(task)
        if tried is None:
            tried = self._tried[task] = set()
            # Not by atm_settled, which would be told of every task: most never fail.
            task.add_done_callback(self._forget_tried)
        tried.add(resource)

    def _forget_tried(self, task: Task[Any]) -> None:
        if self._tried.pop(task, None) is not None:
            task.remove_done_callback(self._forget_tried)  # it may succeed, and come again for ever

    def _to_avoid(self, task: Task[Any], now: float) -> AbstractSet[Resource]:
        """What it has tried, unless that are all."""
        tried = self._tried.get(task, _NOTHING)
        return tried if any(one not in tried for one in self._fleet.in_use(now)) else _NOTHING

    def _usable(self, task: Task[Any], now: float) -> List[Resource]:
        """Those in health that it has not tried, or all of those in health."""
        in_use = self._fleet.in_use(now)
        tried = self._tried.get(task, _NOTHING)
        return [one for one in in_use if one not in tried] or in_use
