"""The queues: what starts next, and what each waiting task waits for.

Two boards with one interface. :class:`OneLane` serves as long as no strategy looks at anything in a task: one queue,
first in, first out. :class:`ManyLanes` serves keys and orders. Both ask only the first task of a lane, and only when
something has happened that could change the answer.
"""

from __future__ import annotations

import abc
import heapq
import math
from collections import deque
from typing import Any, Deque, List, Optional, Tuple

from atm_core.calls import HookCalls
from atm_core.compat import RAISED
from atm_core.errors import HookError, TaskRejected
from atm_core.task import PENDING, Task

__all__ = ["LATER", "Board", "OneLane", "Refused", "as_refusal", "check_time", "hook_error"]

_NEVER = math.inf
_SWEEP_ABOVE = 64  # dead entries; with fewer, a sweep costs more than it frees


#: What :meth:`Board.next` answers when it has asked so often that the loop should have its turn first.
LATER: Any = object()


class Refused:
    """What :meth:`Board.next` answers for a task that a gate has refused.

    Args:
        task: No longer on the board.
        error: What it is to settle with.
    """

    __slots__ = ("error", "task")

    def __init__(self, task: Task[Any], error: Exception) -> None:
        self.task = task
        self.error = error


class Board(abc.ABC):
    """The tasks that wait for a gate or for their turn.

    Args:
        calls: The hooks to ask.
    """

    def __init__(self, calls: HookCalls) -> None:
        self.calls = calls
        #: The earliest time at which asking again makes sense; infinite if only an event can change anything.
        self.wake_at = math.inf
        #: How often each gate made a lane wait, by the gate's position.
        self.waits = [0] * len(calls.ready_at)
        #: Nothing on it can start before something happens.
        self.parked = False
        self._asked = 0

    @abc.abstractmethod
    def add(self, task: Task[Any], now: float) -> None:
        """A task joins its lane. Raises :class:`HookError` if a hook cannot say where."""

    @abc.abstractmethod
    def next(self, now: float) -> Any:
        """The next task that every gate lets start, taken off the board; or a :class:`Refused`, LATER or None."""

    @abc.abstractmethod
    def discard(self, task: Task[Any]) -> None:
        """A task has been settled while it waited."""

    @abc.abstractmethod
    def finished(self, place: Any) -> None:
        """An attempt ended, or lent what it holds: ask again those whom that can help."""

    @abc.abstractmethod
    def due(self, now: float) -> None:
        """``wake_at`` has come."""

    @abc.abstractmethod
    def wake(self) -> None:
        """Anything may have changed: ask everyone again."""

    def reorder(self, task: Task[Any], now: float) -> None:  # noqa: B027 - nothing to do where nothing is ordered
        """Ask for the task's order again."""

    @abc.abstractmethod
    def tasks(self) -> List[Task[Any]]:
        """Everything that waits, the next first."""

    @abc.abstractmethod
    def ahead(self, task: Task[Any]) -> List[Task[Any]]:
        """The tasks before ``task`` in its lane, the next first."""

    def _must_wait(self, task: Task[Any], now: float, gate: int, at: Any) -> Tuple[int, float]:
        """``gate`` was the first to object, with ``at``: whom to wait for, and until when.

        Of several that object: the first that names no time, or else the one with the latest.
        """
        gates = self.calls.ready_at
        latest, until = gate, -math.inf
        while True:
            if at is not None:
                check_time(at)
                if at > until:
                    latest, until = gate, at
            gate += 1
            if until == math.inf or gate == len(gates):
                self.waits[latest] += 1
                return latest, until
            self._asked = gate
            at = gates[gate](task, now)

    def _refused(self, task: Task[Any], error: BaseException, gate: int) -> Refused:
        """``gate`` raised, or one that was asked after it for the time of waiting."""
        gate, self._asked = max(gate, self._asked), 0
        return Refused(task, as_refusal(self.calls, gate, task, error))


class OneLane(Board):
    """One queue, first in, first out. O(1) a task."""

    def __init__(self, calls: HookCalls) -> None:
        super().__init__(calls)
        self._gates = calls.ready_at
        self.queue: Deque[Task[Any]] = deque()
        # Tasks that come back, or late, keep their age, so they stand before younger ones: few, and sorted by it.
        self._returned: List[Tuple[float, int, Task[Any]]] = []
        self._n = 0
        self._dead = 0

    def add(self, task: Task[Any], now: float) -> None:
        queue = self.queue
        if not task._attempts and not (queue and task._added_at < queue[-1]._added_at):
            queue.append(task)
            return
        self._n += 1
        heapq.heappush(self._returned, (task._added_at, self._n, task))
        self.parked = False

    def next(self, now: float) -> Any:
        if self.parked:
            return None
        queue, gates, returned = self.queue, self._gates, self._returned
        while True:
            if returned and not (queue and queue[0]._added_at < returned[0][0]):
                task, back = returned[0][2], True
            elif queue:
                task, back = queue[0], False
            else:
                self.wake_at = math.inf
                return None
            if task._state is not PENDING:
                self._take(task)
                self._dead -= 1
                continue
            ready_at = None
            try:
                for ready_at in gates:
                    at = ready_at(task, now)
                    if at is not None and not at <= now:
                        return self._wait(task, now, gates.index(ready_at), at)
            except RAISED as error:
                self.parked = False  # perhaps it was said already that this task has to wait
                if task._state is not PENDING:
                    return LATER
                self._take(task)
                return self._refused(task, error, gates.index(ready_at))
            if task._state is not PENDING:  # a gate settled it
                return LATER
            if back:
                self._take(task)
            else:
                queue.popleft()
            return task

    def _wait(self, task: Task[Any], now: float, gate: int, at: Any) -> Any:
        """``gate`` objects: nobody is asked again before its time, unless the gates have settled the task meanwhile."""
        self.parked = True
        if at == _NEVER:
            self.waits[gate] += 1
            until = _NEVER
        else:
            until = self._must_wait(task, now, gate, at)[1]
        if task._state is not PENDING:
            self.parked = False
            return LATER
        self.wake_at = until
        return None

    def _take(self, task: Task[Any]) -> None:
        """It leaves; one that came back, from behind another if that one came back while the gates were asked."""
        returned = self._returned
        if self.queue and self.queue[0] is task:
            self.queue.popleft()
        elif returned[0][2] is task:
            heapq.heappop(returned)
        else:
            returned[:] = [one for one in returned if one[2] is not task]
            heapq.heapify(returned)

    def discard(self, task: Task[Any]) -> None:
        self.parked = False  # the one behind it may cost less
        self._dead += 1
        if self._dead > _SWEEP_ABOVE and self._dead * 2 > len(self.queue) + len(self._returned):
            waiting = [one for one in self.queue if one._state is PENDING]
            self.queue.clear()  # the same object: the scheduler knows its end, and a gate may be asked just now
            self.queue.extend(waiting)
            self._returned[:] = [one for one in self._returned if one[2]._state is PENDING]
            heapq.heapify(self._returned)
            self._dead = 0

    def finished(self, place: Any) -> None:
        self.parked = False

    def due(self, now: float) -> None:
        self.parked = False

    def wake(self) -> None:
        self.parked = False

    def tasks(self) -> List[Task[Any]]:
        waiting = [one for one in self.queue if one._state is PENDING]
        back = [one[2] for one in sorted(self._returned, key=lambda one: one[:2]) if one[2]._state is PENDING]
        return list(heapq.merge(back, waiting, key=lambda task: task._added_at))

    def ahead(self, task: Task[Any]) -> List[Task[Any]]:
        waiting = self.tasks()
        return waiting[: waiting.index(task)] if task in waiting else []


def check_time(answer: Any) -> None:
    """Refuse what is no time: only numbers are, and NaN is none.

    Raises:
        TypeError: In words that go on after "it".
    """
    if isinstance(answer, bool) or not isinstance(answer, (int, float)) or answer != answer:
        raise TypeError(f"it answered {answer!r}, which is no time")


def as_refusal(calls: HookCalls, gate: int, task: Task[Any], error: BaseException) -> Exception:
    """What a task settles with when a gate raised."""
    if isinstance(error, (TaskRejected, HookError)):
        return error
    return hook_error(calls, "atm_ready_at", gate, task, error)


def hook_error(
    calls: HookCalls, hook: str, position: int, task: Optional[Task[Any]], cause: BaseException
) -> HookError:
    """The error for a hook that raised ``cause``."""
    owner = calls.owners[hook][position]
    about = "" if task is None else f" for {task!r}"
    error = HookError(f"{hook} of plugin {owner!r} failed{about}: {type(cause).__name__}: {cause}", owner, hook)
    error.__cause__ = cause
    return error
