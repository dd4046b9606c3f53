"""The resources: their weights, their health, and which of them can take a task."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
from typing import Any, Callable, Dict, Hashable, List, Optional, Tuple

__all__ = ["Fleet", "Resource"]

_log = logging.getLogger("atm_weighted_round_robin")

_LEAST_SHARE = 0.1  # of its weight, at the beginning of a slow start: Envoy's default


class Resource:
    """One resource: what it is to get, and how it fares.

    Args:
        name: The user's name for it.
        weight: Its share; 0 gives it nothing.
        serial: Its place in the order of adding, which decides ties.
    """

    __slots__ = (
        "effective",
        "ejected_until",
        "ejections",
        "failures",
        "name",
        "open",
        "passes",
        "picks",
        "returned_at",
        "running",
        "serial",
        "slow_start_seconds",
        "steady_at",
        "up",
        "weight",
        "whole",
    )

    def __init__(self, name: Hashable, weight: float, serial: int) -> None:
        self.name = name
        self.weight = weight
        self.serial = serial
        self.running: float = 0  # tasks that hold a slot of it
        self.picks = 0
        self.effective = weight  # nginx's effective weight: less after failures
        self.whole = True  # all of its weight counts: it has none to regain, and is in no slow start
        self.failures = 0  # in a row
        self.passes: Optional[bool] = None  # its last active check
        self.ejected_until = -math.inf
        self.ejections = 0  # the factor of its next ejection's length, less one
        self.returned_at = -math.inf
        self.slow_start_seconds = 0.0
        self.steady_at = -math.inf  # when its slow start ends
        self.up = False  # has a weight, is not ejected, did not fail its check
        self.open = False  # may be picked

    def healthy(self, now: float) -> bool:
        """Not ejected, and its last check did not fail."""
        return self.passes is not False and self.ejected_until <= now

    def ramped(self, weight: float, now: float) -> float:
        """``weight`` as slow start leaves it: Envoy's formula, with an aggression of 1."""
        if now >= self.steady_at:
            return weight
        elapsed = self.slow_start_seconds - (self.steady_at - now)
        return weight * min(1.0, max(_LEAST_SHARE, max(elapsed, 1.0) / self.slow_start_seconds))


WeightOf = Callable[[Resource, float], float]


class Fleet:
    """All resources, and which of them are open: have a weight, are in health, and have room.

    An event costs O(log n), but for the first and last healthy resource's coming and going, an ejection,
    and the exact answer of :meth:`in_use`, which cost O(n).

    Args:
        max_running: Tasks at once on one resource.
        max_failures: In a row, for an ejection; None: no ejections.
        ejection_seconds: The first ejection's length; the n-th in a row takes n times as long.
        max_ejection_seconds: What an ejection takes at most, if that is more than ``ejection_seconds``.
        max_ejected_fraction: No resource is ejected while this share is.
        slow_start_seconds: In which the share of a resource that came back, or was added, grows to its
            weight.
        use_all: If none is healthy, all are in use.
    """

    def __init__(
        self,
        *,
        max_running: float = math.inf,
        max_failures: Optional[int] = None,
        ejection_seconds: float = 30.0,
        max_ejection_seconds: float = 300.0,
        max_ejected_fraction: float = 0.5,
        slow_start_seconds: float = 0.0,
        use_all: bool = True,
    ) -> None:
        self.max_running = max_running
        self.max_failures = max_failures
        self.ejection_seconds = ejection_seconds
        self.max_ejection_seconds = max_ejection_seconds
        self.max_ejected_fraction = max_ejected_fraction
        self.slow_start_seconds = slow_start_seconds
        self.use_all = use_all
        self.resources: Dict[Hashable, Resource] = {}
        self.open: Dict[Resource, None] = {}
        self.version = 0  # of the names and weights
        self.changes_at = math.inf  # when time alone changes who is open: from then on, tell() is to be called
        self._serials = itertools.count()
        self._n_up = 0
        self._returns: List[Tuple[float, int, Resource]] = []  # ends of ejections; of early ends void
        self._newcomers: Dict[Resource, None] = {}  # their slow start begins at the next time that is told

    # Names and weights.

    def add(self, name: Hashable, weight: float, *, fresh: bool = True) -> Resource:
        """A new resource, which begins slowly if it is ``fresh``."""
        resource = self.resources[name] = Resource(name, weight, next(self._serials))
        if fresh and self.slow_start_seconds:
            self._begins_slowly(resource)
        self.version += 1
        self._refresh(resource)
        return resource

    def remove(self, name: Hashable) -> Resource:
        """Take a resource out; what runs on it may end there."""
        resource = self.resources[name]
        resource.weight = resource.effective = 0
        self._newcomers.pop(resource, None)
        self._refresh(resource)
        del self.resources[name]
        self.version += 1
        return resource

    def set_weight(self, name: Hashable, weight: float) -> None:
        """A new weight; one that was 0 begins slowly."""
        resource = self.resources[name]
        if not resource.weight and self.slow_start_seconds:
            self._begins_slowly(resource)
        resource.weight = resource.effective = weight
        self.version += 1
        self._refresh(resource)

    # Events.

    def tell(self, now: float) -> None:
        """Time has passed: ejections end, slow starts begin."""
        while self._returns and self._returns[0][0] <= now:
            until, _, resource = heapq.heappop(self._returns)
            if resource.ejected_until == until:
                _log.info("resource %r is back after its ejection", resource.name)
                self._readmit(resource, until)
        for resource in self._newcomers:
            self._start_slowly(resource, now)
        self._newcomers.clear()
        self.changes_at = self._returns[0][0] if self._returns else math.inf

    def load(self, resource: Resource, running: float) -> None:
        """So many tasks hold a slot of it now."""
        resource.running = running
        if self.max_running != math.inf:
            self._set_open(resource)

    def failed(self, resource: Resource, now: float) -> None:
        """It failed: less weight (nginx), and out if it was too often in a row (Envoy)."""
        if self.max_failures is None:
            return
        resource.effective = max(0, resource.effective - resource.weight // self.max_failures)
        resource.whole = False
        if resource.ejected_until > now:
            return  # it began before the ejection
        resource.failures += 1
        if resource.failures >= self.max_failures and resource.weight and self._may_eject():
            self._eject(resource, now)

    def checked(self, resource: Resource, passes: bool, now: float) -> bool:
        """The answer of an active check; returns whether it is news.

        One that was seen down and is seen up again has come back: that ends its ejection, too.
        """
        before, resource.passes = resource.passes, passes
        if passes == (before is not False):
            return False
        if passes:
            _log.info("resource %r passes its health check again", resource.name)
            self._readmit(resource, now)
        else:
            _log.warning("resource %r fails its health check", resource.name)
            self._refresh(resource)
        return True

    # Questions.

    def in_use(self, now: float) -> List[Resource]:
        """Those that get tasks when they have room, whatever has been told: the healthy ones, or else all."""
        weighted = [one for one in self.resources.values() if one.weight]
        up = [one for one in weighted if one.healthy(now)]
        return up or (weighted if self.use_all else [])

    def next_return(self, now: float) -> float:
        """When the next ejection ends that can help; infinite if none does."""
        useful = [one for one in self.resources.values() if one.weight and one.running < self.max_running]
        ends = [one.ejected_until for one in useful if one.passes is not False and one.ejected_until > now]
        return min(ends, default=math.inf)

    def snapshot(self, now: float, weight_of: WeightOf) -> Dict[Hashable, Dict[str, Any]]:
        """See the strategy."""
        return {
            name: {
                "weight": one.weight,
                "effective_weight": weight_of(one, now),
                "healthy": one.healthy(now),
                "passes": one.passes,
                "failures": one.failures,
                "ejected_seconds": max(0.0, one.ejected_until - now),
                "ejections": one.ejections,
                "running": one.running,
                "picks": one.picks,
            }
            for name, one in self.resources.items()
        }

    # Inside.

    def _may_eject(self) -> bool:
        # Counted before the ejection, as gRPC and Envoy do: a cap of 10% still lets one of three go.
        weighted = [one for one in self.resources.values() if one.weight]
        ejected = sum(one.ejected_until > -math.inf for one in weighted)
        return ejected / len(weighted) < self.max_ejected_fraction

    def _eject(self, resource: Resource, now: float) -> None:
        # The factor has fallen by one for each ejection_seconds in use (gRPC A50: for each interval).
        first, most = self.ejection_seconds, max(self.ejection_seconds, self.max_ejection_seconds)
        rested = math.floor(min((now - resource.returned_at) / first, resource.ejections))
        resource.ejections = min(resource.ejections - rested + 1, math.ceil(most / first))
        seconds = min(first * resource.ejections, most)
        resource.ejected_until = now + seconds
        heapq.heappush(self._returns, (resource.ejected_until, resource.serial, resource))
        self.changes_at = min(self.changes_at, resource.ejected_until)
        failures = resource.failures
        _log.warning("resource %r failed %d times in a row: out for %g s", resource.name, failures, seconds)
        self._refresh(resource)

    def _readmit(self, resource: Resource, at: float) -> None:
        resource.ejected_until = -math.inf
        resource.failures = 0
        resource.returned_at = at
        if self.slow_start_seconds:
            self._start_slowly(resource, at)
        self._refresh(resource)

    def _begins_slowly(self, resource: Resource) -> None:
        """... from the next time on that is told."""
        self._newcomers[resource] = None
        self.changes_at = -math.inf

    def _start_slowly(self, resource: Resource, at: float) -> None:
        resource.effective = resource.weight
        resource.whole = False
        resource.slow_start_seconds = self.slow_start_seconds
        resource.steady_at = at + self.slow_start_seconds

    def _refresh(self, resource: Resource) -> None:
        up = resource.weight > 0 and resource.passes is not False and resource.ejected_until == -math.inf
        if up != resource.up:
            resource.up = up
            self._n_up += 1 if up else -1
            if self.use_all and self._n_up == (1 if up else 0):
                for one in self.resources.values():
                    self._set_open(one)
        self._set_open(resource)

    def _set_open(self, resource: Resource) -> None:
        in_use = resource.up or (self.use_all and not self._n_up and resource.weight > 0)
        resource.open = in_use and resource.running < self.max_running
        if resource.open:
            self.open[resource] = None
        else:
            self.open.pop(resource, None)
