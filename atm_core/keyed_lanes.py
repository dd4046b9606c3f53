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
from typing import Any, Dict, Hashable, List, Optional, Tuple, Type

from atm_core.calls import HookCalls
from atm_core.compat import RAISED
from atm_core.errors import HookError
from atm_core.lane_queue import FifoLane, Lane, SortedLane, rank, waits
from atm_core.lanes import LATER, Board, OneLane, Refused, hook_error
from atm_core.task import PENDING, Task

__all__ = ["ManyLanes", "make_board"]

_ASK_AT_MOST = 256  # lanes in a row without a start, before the loop has its turn


class _Group:
    """The lanes that wait for one gate and key, as a heap of ``(*rank, ticket, lane)``."""

    __slots__ = ("armed_at", "name", "waiting")

    def __init__(self, name: Tuple[int, Hashable]) -> None:
        self.name = name
        self.waiting: List[Any] = []
        self.armed_at = math.inf


class ManyLanes(Board):
    """Lanes, ordered among themselves by their first tasks. O(log n) a task."""

    def __init__(self, calls: HookCalls) -> None:
        super().__init__(calls)
        self._make_lane: Type[Lane] = SortedLane if calls.order else FifoLane
        self._lanes: Dict[Tuple[Hashable, ...], Lane] = {}
        self._groups: Dict[Tuple[int, Hashable], _Group] = {}
        self._ready: List[Any] = []  # a heap of (*rank, ticket, lane)
        self._times: List[Tuple[float, int, _Group]] = []
        self._count = itertools.count(1)
        self._sample: Any = _LAST  # what the orders of all tasks compare with

    def add(self, task: Task[Any], now: float) -> None:
        order = self._order(task, now) if self.calls.order else ()
        self._put((order, task._added_at, 0 if task._attempts else 1, next(self._count)), task, self._key(task))

    def next(self, now: float) -> Any:
        asked = 0
        while self._ready:
            asked += 1
            if asked > _ASK_AT_MOST:
                return LATER
            _, _, _, _, ticket, lane = heapq.heappop(self._ready)
            if lane.ticket != ticket:
                continue
            group = lane.let_out_by
            lane.ticket = 0
            lane.let_out_by = None
            entry = lane.head()
            if entry is None:
                self._drop(lane)
                self._advance(group)
                continue
            task, gate = entry[4], 0
            try:
                blocked = None
                for gate, ready_at in enumerate(self.calls.ready_at):
                    at = ready_at(task, now)
                    if at is not None and not at <= now:
                        blocked = self._must_wait(task, now, gate, at)
                        break
            except RAISED as error:
                return self._refused(task, error, gate) if self._take(entry, group) else LATER
            # Seen last, since a gate may have changed what the lane hangs on.
            if self.calls.lane and self._moved(task, lane):
                try:
                    key = self._key(task)
                except HookError as error:
                    return Refused(task, error) if self._take(entry, group) else LATER
                if not self._take(entry, group):
                    return LATER
                self._put(rank(entry), task, key)
                continue
            if blocked is None and self._groups:
                blocked = self._outranked(lane, entry, group)
            if blocked is None:
                if not self._take(entry, group):
                    return LATER
                task._place = lane
                return task
            if not self._park(entry, group, *blocked):
                return LATER
        self.wake_at = self._next_time()
        return None

    def discard(self, task: Task[Any]) -> None:
        entry = task._place
        if not isinstance(entry, tuple):
            return
        lane = entry[5]
        lane.live -= 1
        if lane.first() is entry or not lane.live:
            self._let_out(lane, None)
        lane.sweep()

    def finished(self, place: Any) -> None:
        if self.calls.coarse or place is None:
            self.wake()
        elif self._groups:
            for gate in range(len(self.calls.ready_at)):
                self._advance(self._groups.get(self._group_name(gate, place.key)))

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
        if not self.calls.order:
            return
        entry = task._place
        order = self._order(task, now)
        if not waits(entry):  # the hook has just settled it, or had it ordered again
            return
        lane = entry[5]
        was_first = lane.first() is entry
        task._place = fresh = (order, *entry[1:])  # the old entry is dead now
        if lane.push(fresh) or was_first:
            self._let_out(lane, None)
        lane.sweep()

    def tasks(self) -> List[Task[Any]]:
        entries = [one for lane in self._lanes.values() for one in lane.entries()]
        return [one[4] for one in sorted(entries, key=rank)]

    def ahead(self, task: Task[Any]) -> List[Task[Any]]:
        entry = task._place
        before = [one for one in entry[5].entries() if one < entry]
        return [one[4] for one in sorted(before, key=rank)]

    def _order(self, task: Task[Any], now: float) -> Any:
        """The task's sort key, checked to be comparable with those of the others, so that no heap is ever torn."""
        position = 0
        try:
            answers = []
            for position, order in enumerate(self.calls.order):
                answer = order(task, now)
                answers.append(_LAST if answer is None else answer)
            key: Any = answers[0] if len(answers) == 1 else tuple(answers)
            self._sample = _sample(key, self._sample)
        except RAISED as error:
            raise hook_error(self.calls, "atm_order", position, task, error) from error
        return key

    def _key(self, task: Task[Any]) -> Tuple[Hashable, ...]:
        position, answers = 0, []
        try:
            for position, lane in enumerate(self.calls.lane):
                answer = lane(task)
                hash(answer)
                answers.append(answer)
        except RAISED as error:
            raise hook_error(self.calls, "atm_lane", position, task, error) from error
        return tuple(answers)

    def _moved(self, task: Task[Any], lane: Lane) -> bool:
        """Whether the task belongs elsewhere by now, since its metadata was changed."""
        try:
            for ask, before in zip(self.calls.lane, lane.key):
                found = ask(task)
                # What is equal to nothing, a NaN for instance, would seem to have changed each time.
                if found is not before and found != before and ask(task) == found:
                    return True
        except RAISED:
            return True
        return False

    def _put(self, ranked: Any, task: Task[Any], key: Tuple[Hashable, ...]) -> None:
        if task._state is not PENDING:  # a hook has just settled it
            return
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = self._make_lane(key)
        entry = task._place = (*ranked, task, lane)
        lane.live += 1
        if lane.push(entry):
            self._let_out(lane, None)

    def _take(self, entry: Any, group: Optional[_Group]) -> bool:
        """The first entry leaves its lane; the lane's next one, and the next of the group that let it out, may try.

        Returns:
            False, and nothing leaves, if a gate has settled the task, or put another one before it.
        """
        lane: Lane = entry[5]
        if self._overtaken(entry, group):
            return False
        lane.pop()
        entry[4]._place = None
        lane.live -= 1
        if lane.live:
            self._let_out(lane, None)
        else:
            self._drop(lane)
            lane.keep([])  # the task that starts refers to it
        if group is not None:
            self._advance(group)
        return True

    def _drop(self, lane: Lane) -> None:
        if self._lanes.get(lane.key) is lane:  # and not its successor
            del self._lanes[lane.key]

    def _overtaken(self, entry: Any, group: Optional[_Group]) -> bool:
        """Whether the entry that was asked about is no more the first one; its lane is among the ready ones then."""
        if waits(entry) and entry[5].first() is entry:
            return False
        self._advance(group)
        return True

    def _let_out(self, lane: Lane, by: Optional[_Group]) -> None:
        """The lane's first task is to be asked (again)."""
        if lane.ticket and by is None:
            # Whichever group it was in, or had been let out by, hears of how it fares.
            by = lane.group or lane.let_out_by
        lane.ticket, lane.group, lane.let_out_by = next(self._count), None, by
        entry = lane.head()
        order, added_at, again, n = (self._sample, -math.inf, 0, 0) if entry is None else entry[:4]
        heapq.heappush(self._ready, (order, added_at, again, n, lane.ticket, lane))

    def _park(self, entry: Any, let_out_by: Optional[_Group], gate: int, until: float) -> bool:
        """The entry's lane has to wait; false if :meth:`_take` would not find it."""
        lane: Lane = entry[5]
        if self._overtaken(entry, let_out_by):
            return False
        name = self._group_name(gate, lane.key)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(name)
        lane.ticket, lane.group = next(self._count), group
        heapq.heappush(group.waiting, (*entry[:4], lane.ticket, lane))
        if until < group.armed_at:
            group.armed_at = until
            heapq.heappush(self._times, (until, next(self._count), group))
        if let_out_by is not group:
            self._advance(let_out_by)
        return True

    def _outranked(self, lane: Lane, entry: Any, let_out_by: Optional[_Group]) -> Optional[Tuple[int, float]]:
        """A gate for which a better task waits already: a small one must not starve a large one."""
        for gate in range(len(self.calls.ready_at)):
            group = self._groups.get(self._group_name(gate, lane.key))
            if group is not None and group is not let_out_by:
                best = self._best(group)
                if best is not None and rank(best) < rank(entry):
                    return gate, group.armed_at
        return None

    def _best(self, group: _Group) -> Any:
        waiting = group.waiting
        while waiting and waiting[0][5].ticket != waiting[0][4]:
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
        self._let_out(best[5], group)

    def _group_name(self, gate: int, key: Tuple[Hashable, ...]) -> Tuple[int, Hashable]:
        at = self.calls.lane_of_gate[gate]
        return gate, None if at < 0 else key[at]

    def _next_time(self) -> float:
        times = self._times
        while times and (times[0][2].armed_at != times[0][0] or self._groups.get(times[0][2].name) is not times[0][2]):
            heapq.heappop(times)
        return times[0][0] if times else math.inf


class _Last:
    """The order of a task of which a strategy has no opinion: after all others."""

    def __lt__(self, other: Any) -> bool:
        return False

    def __gt__(self, other: Any) -> bool:
        return other is not self


_LAST = _Last()


def _sample(key: Any, sample: Any) -> Any:
    """What every order has to compare with: the first one, with what later ones have beyond it.

    A comparison of two tuples stops at the first difference, so each part is compared.

    Raises:
        TypeError: ``key`` does not compare; in words that go on after "it", or those of the comparison.
    """
    if sample is _LAST:
        return key
    if key is _LAST:
        return sample
    if key.__class__ is not tuple or sample.__class__ is not tuple:
        if key != key:
            raise TypeError(f"it answered {key!r}, which is no order")
        key < sample  # noqa: B015 - it is asked whether this raises
        return sample
    for mine, its in zip(key, sample):
        if mine != mine or mine.__class__ is not its.__class__ or mine.__class__ is tuple:
            break
    else:
        return key if len(key) > len(sample) else sample
    parts = [_sample(mine, its) for mine, its in zip(key, sample)]
    return (*parts, *max(key, sample, key=len)[len(parts) :])


def make_board(calls: HookCalls) -> Board:
    """The simplest board that serves these hooks."""
    return ManyLanes(calls) if calls.order or calls.lane else OneLane(calls)
