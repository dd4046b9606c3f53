"""The board for keys and orders: a lane for each combination of what the gates look at.

A lane whose first task must wait is parked in a *group*: the lanes that wait for one gate and one of its keys, sorted
by rank. When an attempt under that key ends, or the group's time comes, the best lane is let out and asked again. If
it starts, or has to wait for something else, the next one is let out; if it has to wait for the same gate and key,
so would the others. So an event costs O(log lanes), however many lanes wait.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any, Dict, Hashable, List, Optional, Tuple

from atm_core.calls import HookCalls
from atm_core.lanes import LATER, Board, OneLane, hook_error
from atm_core.task import PENDING, Task

__all__ = ["ManyLanes", "make_board"]

_SWEEP_ABOVE = 64  # dead entries; with fewer, a sweep costs more than it frees
_ASK_AT_MOST = 256  # lanes in a row without a start, before the loop has its turn


class _Lane:
    """The tasks that no gate can tell apart, as a heap of ``(order, n, task, lane)``; those not pending are dead."""

    __slots__ = ("heap", "key", "live", "ticket")

    def __init__(self, key: Tuple[Hashable, ...]) -> None:
        self.key = key
        self.heap: List[Any] = []
        self.live = 0
        self.ticket: Optional[_Ticket] = None


class _Ticket:
    """A lane's only valid place, among the ready ones or in a group; older tickets are void.

    ``let_out_by`` is the group that is waiting to hear how the lane fared.
    """

    __slots__ = ("group", "lane", "let_out_by")

    def __init__(self, lane: _Lane, group: Optional[_Group], let_out_by: Optional[_Group]) -> None:
        self.lane = lane
        self.group = group
        self.let_out_by = let_out_by


class _Group:
    """The lanes that wait for one gate and key, as a heap of ``(order, n, m, ticket)``."""

    __slots__ = ("armed_at", "name", "waiting")

    def __init__(self, name: Tuple[int, Hashable]) -> None:
        self.name = name
        self.waiting: List[Any] = []
        self.armed_at = math.inf


class ManyLanes(Board):
    """Lanes, ordered among themselves by their first tasks. O(log n) a task."""

    def __init__(self, calls: HookCalls) -> None:
        super().__init__(calls)
        self._lanes: Dict[Tuple[Hashable, ...], _Lane] = {}
        self._groups: Dict[Tuple[int, Hashable], _Group] = {}
        self._ready: List[Any] = []
        self._times: List[Tuple[float, int, _Group]] = []
        self._count = itertools.count(1)
        self._sample: Any = None

    def add(self, task: Task[Any], now: float) -> None:
        order = self._order(task, now)
        key = self._key(task)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key)
        # A retried task keeps its place among those of its age: the count grows with the time of adding.
        entry = (order, self._number(task), task, lane)
        task._place = entry
        heapq.heappush(lane.heap, entry)
        lane.live += 1
        if lane.heap[0] is entry:
            self._let_out(lane, None)

    def next(self, now: float) -> Any:
        asked = 0
        while self._ready:
            asked += 1
            if asked > _ASK_AT_MOST:
                return LATER
            ticket = heapq.heappop(self._ready)[3]
            lane, group = ticket.lane, ticket.let_out_by
            if lane.ticket is not ticket:
                continue
            lane.ticket = None
            entry = self._head(lane)
            if entry is None:
                self._lanes.pop(lane.key, None)
                self._advance(group)
                continue
            task, gate = entry[2], 0
            try:
                blocked = None
                for gate, ready_at in enumerate(self.calls.ready_at):
                    at = ready_at(task, now)
                    if at is not None and not at <= now:
                        blocked = self._must_wait(task, now, gate, at)
                        break
            except Exception as error:
                self._take(lane, group)
                return self._refused(task, error, gate)
            if blocked is None:
                blocked = self._outranked(lane, entry, group)
            if blocked is None:
                self._take(lane, group)
                task._place = lane.key
                return task
            self._park(lane, entry, group, *blocked)
        self.wake_at = self._next_time()
        return None

    def discard(self, task: Task[Any]) -> None:
        entry = task._place
        if not isinstance(entry, tuple) or len(entry) != 4:
            return
        lane = entry[3]
        lane.live -= 1
        if lane.heap[0] is entry or not lane.live:
            self._let_out(lane, None)
        dead = len(lane.heap) - lane.live
        if dead > _SWEEP_ABOVE and dead > lane.live:
            lane.heap = [one for one in lane.heap if _waits(one)]
            heapq.heapify(lane.heap)

    def finished(self, place: Any) -> None:
        if self.calls.coarse or not isinstance(place, tuple):
            self.wake()
            return
        for gate in range(len(self.calls.ready_at)):
            self._advance(self._groups.get(self._group_name(gate, place)))

    def due(self, now: float) -> None:
        while self._times and self._times[0][0] <= now:
            at, _, group = heapq.heappop(self._times)
            if group.armed_at == at:
                group.armed_at = math.inf
                self._advance(group)
        self.wake_at = self._next_time()

    def wake(self) -> None:
        for lane in list(self._lanes.values()):
            self._let_out(lane, None)

    def reorder(self, task: Task[Any], now: float) -> None:
        """Ask for the task's order again."""
        entry = task._place
        order = self._order(task, now)
        lane = entry[3]
        task._place = fresh = (order, entry[1], task, lane)  # the old entry is dead now
        heapq.heappush(lane.heap, fresh)
        if lane.heap[0] is fresh or lane.heap[0] is entry:
            self._let_out(lane, None)
        if len(lane.heap) - lane.live > max(_SWEEP_ABOVE, lane.live):
            lane.heap = [one for one in lane.heap if _waits(one)]
            heapq.heapify(lane.heap)

    def tasks(self) -> List[Task[Any]]:
        entries = [one for lane in self._lanes.values() for one in lane.heap if _waits(one)]
        return [one[2] for one in sorted(entries, key=lambda one: one[:2])]

    def ahead(self, task: Task[Any]) -> List[Task[Any]]:
        entry = task._place
        before = [one for one in entry[3].heap if _waits(one) and one[:2] < entry[:2]]
        return [one[2] for one in sorted(before, key=lambda one: one[:2])]

    def _order(self, task: Task[Any], now: float) -> Any:
        """The task's sort key, checked to be comparable with those of the others, so that no heap is ever torn."""
        position = 0
        try:
            answers = []
            for position, order in enumerate(self.calls.order):
                answers.append(order(task, now))
            if all(one is None for one in answers):
                key: Any = ()
            else:
                key = answers[0] if len(answers) == 1 else tuple(answers)
            if key != key:
                raise TypeError(f"it answered {key!r}, which is no order")
            if self._sample is None:
                self._sample = key
            key < self._sample  # noqa: B015 - it is asked whether this raises
        except Exception as error:
            raise hook_error(self.calls, "atm_order", position, task, error) from error
        return key

    def _key(self, task: Task[Any]) -> Tuple[Hashable, ...]:
        position = 0
        try:
            answers = []
            for position, lane in enumerate(self.calls.lane):
                answer = lane(task)
                hash(answer)
                answers.append(answer)
        except Exception as error:
            raise hook_error(self.calls, "atm_lane", position, task, error) from error
        return tuple(answers)

    def _number(self, task: Task[Any]) -> Any:
        return (task._added_at, 0 if task._attempts else 1, next(self._count))

    def _head(self, lane: _Lane) -> Any:
        heap = lane.heap
        while heap and not _waits(heap[0]):
            heapq.heappop(heap)
        return heap[0] if heap else None

    def _take(self, lane: _Lane, group: Optional[_Group]) -> None:
        """The first task leaves the lane; the lane's next one, and the next of the group that let it out, may try."""
        heapq.heappop(lane.heap)
        lane.live -= 1
        if lane.live:
            self._let_out(lane, None)
        else:
            self._lanes.pop(lane.key, None)
        self._advance(group)

    def _let_out(self, lane: _Lane, by: Optional[_Group]) -> None:
        """The lane's first task is to be asked (again)."""
        old = lane.ticket
        if old is not None and by is None:
            # Whichever group it was in, or had been let out by, hears of how it fares.
            by = old.group or old.let_out_by
        ticket = lane.ticket = _Ticket(lane, None, by)
        entry = self._head(lane)
        order, number = (entry[0], entry[1]) if entry is not None else (self._sample, (-math.inf, 0, 0))
        heapq.heappush(self._ready, (order, number, next(self._count), ticket))

    def _park(self, lane: _Lane, entry: Any, let_out_by: Optional[_Group], gate: int, until: float) -> None:
        name = self._group_name(gate, lane.key)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(name)
        ticket = lane.ticket = _Ticket(lane, group, None)
        heapq.heappush(group.waiting, (entry[0], entry[1], next(self._count), ticket))
        if until < group.armed_at:
            group.armed_at = until
            heapq.heappush(self._times, (until, next(self._count), group))
        if let_out_by is not group:
            self._advance(let_out_by)

    def _outranked(self, lane: _Lane, entry: Any, let_out_by: Optional[_Group]) -> Optional[Tuple[int, float]]:
        """A gate for which a better task waits already: a small one must not starve a large one."""
        for gate in range(len(self.calls.ready_at)):
            group = self._groups.get(self._group_name(gate, lane.key))
            if group is not None and group is not let_out_by:
                best = self._best(group)
                if best is not None and best[:2] < entry[:2]:
                    return gate, group.armed_at
        return None

    def _best(self, group: _Group) -> Any:
        waiting = group.waiting
        while waiting and waiting[0][3].lane.ticket is not waiting[0][3]:
            heapq.heappop(waiting)
        return waiting[0] if waiting else None

    def _advance(self, group: Optional[_Group]) -> None:
        """Let the best lane out of a group, which is dropped when it is empty."""
        if group is None:
            return
        best = self._best(group)
        if best is None:
            if self._groups.get(group.name) is group:
                del self._groups[group.name]
            return
        heapq.heappop(group.waiting)
        self._let_out(best[3].lane, group)

    def _group_name(self, gate: int, key: Tuple[Hashable, ...]) -> Tuple[int, Hashable]:
        at = self.calls.lane_of_gate[gate]
        return gate, None if at < 0 else key[at]

    def _next_time(self) -> float:
        times = self._times
        while times and (times[0][2].armed_at != times[0][0] or self._groups.get(times[0][2].name) is not times[0][2]):
            heapq.heappop(times)
        return times[0][0] if times else math.inf


def _waits(entry: Any) -> bool:
    task = entry[2]
    return task._place is entry and task._state is PENDING


def make_board(calls: HookCalls) -> Board:
    """The simplest board that serves these hooks."""
    return ManyLanes(calls) if calls.order or calls.lane else OneLane(calls)
