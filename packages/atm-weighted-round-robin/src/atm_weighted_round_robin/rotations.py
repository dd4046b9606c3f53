"""Whose turn it is: the algorithms, and a round for each key."""

from __future__ import annotations

import abc
import heapq
import math
from collections import OrderedDict
from typing import AbstractSet, Collection, Dict, Hashable, Iterable, List, Optional, Tuple, Type

from atm_weighted_round_robin.fleet import Fleet, Resource

__all__ = ["ROTATIONS", "EarliestDeadline", "LeastRequest", "Rotation", "Rounds", "Smooth"]

_REBASE_ABOVE = 2.0**20  # virtual time starts again, so that in long runs the smallest gap is still a gap

_FORGOTTEN_SECONDS = 60.0  # after so long without a task a key begins where the common round is
_REMEMBERED_KEYS = 4096  # at most; those used last


class Rotation(abc.ABC):
    """One place in the round.

    Args:
        fleet: Who takes part.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @abc.abstractmethod
    def pick(self, avoid: AbstractSet[Resource], now: float) -> Resource:
        """Whose turn it is, which passes to the next; at least one that is not to be avoided must be open."""

    @abc.abstractmethod
    def copy(self) -> Rotation:
        """Another one that goes on from this place."""

    def weight_of(self, one: Resource, now: float) -> float:
        """What a resource's weight counts at present."""
        return one.ramped(one.weight, now)


class Smooth(Rotation):
    """nginx's smooth weighted round robin: each picked as evenly in between the others as can be.

    Each open resource gains its effective weight, the one that has most is picked (of equals, the first
    added) and pays the sum. The effective weight has lost ``weight // max_failures`` for each failure and
    regains 1 a turn. Follows ``ngx_http_upstream_get_peer`` in nginx's
    ``src/http/ngx_http_upstream_round_robin.c``.

    O(n) a pick, and one number a resource.
    """

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._version = -1
        self._current: Dict[Resource, float] = {}

    def pick(self, avoid: AbstractSet[Resource], now: float) -> Resource:
        return self._pick_from(self._usable(avoid) if avoid else self._fleet.open, now)

    def weight_of(self, one: Resource, now: float) -> float:
        return one.ramped(one.effective, now)

    def _usable(self, avoid: AbstractSet[Resource]) -> Collection[Resource]:
        return [one for one in self._fleet.open if one not in avoid]

    def _pick_from(self, resources: Iterable[Resource], now: float) -> Resource:
        if self._version != self._fleet.version:
            self._follow_changes()
        best, most, total = None, -math.inf, 0.0
        currents = self._current
        for one in resources:
            weight = one.weight if one.whole else self._growing(one, now)
            currents[one] = current = currents[one] + weight
            total += weight
            if current > most or (current == most and best is not None and one.serial < best.serial):
                best, most = one, current
        assert best is not None
        currents[best] = most - total
        return best

    def _growing(self, one: Resource, now: float) -> float:
        """What counts of a weight that is not whole, which regains 1 a turn."""
        weight = one.ramped(one.effective, now)
        if one.effective < one.weight:
            one.effective = min(one.weight, one.effective + 1)
        one.whole = one.effective == one.weight and now >= one.steady_at
        return weight

    def _follow_changes(self) -> None:
        """Names or weights are different."""
        self._version = self._fleet.version
        staying = self._fleet.resources.values()
        self._current = {one: self._current.get(one, 0.0) for one in staying}

    def copy(self) -> Smooth:
        other = type(self)(self._fleet)
        other._version, other._current = self._version, dict(self._current)
        return other


class LeastRequest(Smooth):
    """To the one with the largest weight / (running + 1); among equals smoothly in turn.

    Envoy's formula for its least-request balancer, with a bias of 1, and what Linux's IPVS calls the
    shortest expected delay. While nothing runs anywhere there is nothing to compare: all are in turn, so
    that shares follow the weights and slow resources stay in sight.

    O(n) a pick, and one number a resource.
    """

    def pick(self, avoid: AbstractSet[Resource], now: float) -> Resource:
        usable = self._usable(avoid) if avoid else self._fleet.open
        running, most = 0.0, -math.inf
        best: List[Resource] = []
        for one in usable:
            running += one.running
            weight = (one.weight if one.whole else one.ramped(one.weight, now)) / (one.running + 1)
            if weight > most:
                best, most = [one], weight
            elif weight == most:
                best.append(one)
        return self._pick_from(best if running else usable, now)

    def weight_of(self, one: Resource, now: float) -> float:
        return one.ramped(one.weight, now) / (one.running + 1)


class EarliestDeadline(Rotation):
    """Earliest deadline first: each resource's next turn is 1 / weight after its last.

    Follows gRPC's ``internal/wrr/edf.go``, ties to the first added. A turn that comes to a resource that
    cannot take it is lost, so that nothing piles up for its return. Where few are open, the earliest of
    those is looked up instead.

    O(log n) a pick while most resources are open or only a few are, in no case more than O(open * log n);
    one heap entry a resource.
    """

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self._version = -1
        self._time = 0.0
        self._deadlines: Dict[Resource, float] = {}
        # One valid entry a resource: that with its deadline. The others are void.
        self._heap: List[Tuple[float, int, Resource]] = []

    def pick(self, avoid: AbstractSet[Resource], now: float) -> Resource:
        if self._version != self._fleet.version:
            self._follow_changes(now)
        best = self._first_open(avoid, now)
        if best is None:
            usable = (one for one in self._fleet.open if one not in avoid)
            best = min(usable, key=lambda one: (self._deadlines[one], one.serial))
        self._take_turn(best, now)
        if self._time > _REBASE_ABOVE or len(self._heap) > 2 * len(self._deadlines) + 8:
            self._rebuild({one: deadline - self._time for one, deadline in self._deadlines.items()})
        return best

    def _first_open(self, avoid: AbstractSet[Resource], now: float) -> Optional[Resource]:
        """The first in the heap that can take its turn; None if so many cannot that another way is faster."""
        heap = self._heap
        avoided = []  # these lose nothing: it is the task that does not want them
        may_lose = len(self._fleet.open)
        best = None
        while heap and may_lose:
            deadline, _, one = heap[0]
            if self._deadlines.get(one) != deadline:
                heapq.heappop(heap)
            elif not one.open:
                self._take_turn(one, now)
                may_lose -= 1
            elif one in avoid:
                avoided.append(heapq.heappop(heap))
            else:
                best = one
                break
        for entry in avoided:
            heapq.heappush(heap, entry)
        return best

    def _take_turn(self, one: Resource, now: float) -> None:
        if self._deadlines[one] > self._time:
            self._time = self._deadlines[one]
        weight = one.weight if one.whole else self.weight_of(one, now)
        deadline = self._deadlines[one] = self._time + 1 / weight
        entry = (deadline, one.serial, one)
        if self._heap and self._heap[0][2] is one:
            heapq.heapreplace(self._heap, entry)
        else:
            heapq.heappush(self._heap, entry)

    def _follow_changes(self, now: float) -> None:
        """Names or weights are different: whoever would be served earlier now is."""
        self._version = self._fleet.version
        weighted = [one for one in self._fleet.resources.values() if one.weight]
        fresh = {one: 1 / self.weight_of(one, now) for one in weighted}
        left = {one: deadline - self._time for one, deadline in self._deadlines.items()}
        self._rebuild({one: min(wait, left.get(one, wait)) for one, wait in fresh.items()})

    def _rebuild(self, waits: Dict[Resource, float]) -> None:
        self._time = 0.0
        self._deadlines = waits
        self._heap = [(wait, one.serial, one) for one, wait in waits.items()]
        heapq.heapify(self._heap)

    def copy(self) -> EarliestDeadline:
        other = EarliestDeadline(self._fleet)
        other._version, other._time = self._version, self._time
        other._deadlines, other._heap = dict(self._deadlines), list(self._heap)
        return other


ROTATIONS: Dict[str, Type[Rotation]] = {
    "smooth": Smooth,
    "edf": EarliestDeadline,
    "least_request": LeastRequest,
}


class Rounds:
    """A round for each key, or one for all.

    O(n) for a new key; one number a resource for each key that is remembered.

    Args:
        algorithm: One of ``ROTATIONS``.
        fleet: Who takes part.
    """

    def __init__(self, algorithm: str, fleet: Fleet) -> None:
        self.common: Rotation = ROTATIONS[algorithm](fleet)
        # With the time of the last use; the one used last at the end.
        self._of_keys: OrderedDict[Hashable, Tuple[Rotation, float]] = OrderedDict()

    def __len__(self) -> int:
        return 1 + len(self._of_keys)

    def pick(self, key: Hashable, avoid: AbstractSet[Resource], now: float) -> Resource:
        """Whose turn it is for ``key``; None is the key of the common round."""
        if key is None:
            return self.common.pick(avoid, now)
        self._forget_idle(now)
        known = self._of_keys.pop(key, None)
        if known is not None:
            own = known[0]
            resource = own.pick(avoid, now)
        else:
            # A new key takes the next turn of the common round and goes on from there: if each began with the
            # heaviest, a million keys with one task each would all meet at that.
            resource = self.common.pick(avoid, now)
            own = self.common.copy()
        self._of_keys[key] = (own, now)
        return resource

    def _forget_idle(self, now: float) -> None:
        for _ in range(2):  # two leave for each that comes, so idle ones do not pile up
            if not self._of_keys:
                return
            key, (_, used_at) = next(iter(self._of_keys.items()))
            if now - used_at < _FORGOTTEN_SECONDS and len(self._of_keys) < _REMEMBERED_KEYS:
                return
            del self._of_keys[key]
