"""Who waits for whom among the tasks of one manager."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Dict, Generator, List, Optional, Set

from atm_core.compat import RAISED
from atm_core.errors import WaitCycleError
from atm_core.lanes import hook_error
from atm_core.task import PENDING, RUNNING

if TYPE_CHECKING:
    from atm_core.scheduler import Scheduler
    from atm_core.task import Task

__all__ = ["Waits"]

_log = logging.getLogger("atm_core")


class Waits:
    """The graph of waits: announces its edges to the strategies, and refuses to close a circle.

    An edge lasts as long as the wait. O(edges) for a wait, which is one or two in practice.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waits_for: Dict[Task[Any], Dict[Task[Any], int]] = {}
        self._waited_by: Dict[Task[Any], Dict[Task[Any], None]] = {}  # a set that keeps its order
        # For each task, those of its waits that were announced when nothing went on there: queued, or waiting likewise.
        self._idle: Dict[Task[Any], Set[Task[Any]]] = {}

    def wait(self, task: Task[Any], by: Task[Any]) -> Generator[Any, Any, None]:
        """Wait inside ``by``, which runs, until ``task`` is settled."""
        if by._origin.scheduler is not self._scheduler:
            yield from task._future_settled()
            return
        self._refuse_circle(task, by)
        tasks = self._waits_for.setdefault(by, {})
        tasks[task] = tasks.get(task, 0) + 1
        if tasks[task] == 1:
            self._waited_by.setdefault(task, {})[by] = None
            self._tell(task, by)
        try:
            yield from task._future_settled()
        except BaseException:
            self._end(task, by, tasks, cancelled=True)
            raise
        left = self._end(task, by, tasks, cancelled=False)
        try:
            while left:
                yield from left.pop(0).__await__()
        finally:
            for awaitable in left:  # it is being cancelled
                if hasattr(awaitable, "close"):
                    awaitable.close()

    def requeued(self, task: Task[Any]) -> None:
        """A task for which others wait is pending again; what its last attempt left waiting is none of the next."""
        for one in list(self._waits_for.get(task, ())):
            self._waits_for[task][one] = 1
            self._end(one, task, self._waits_for[task], cancelled=True)
        for by in list(self._waited_by.get(task, ())):
            self._tell(task, by)

    def waiting(self, by: Task[Any]) -> List[Task[Any]]:
        """What a running task waits for."""
        return list(self._waits_for.get(by, ()))

    def _tell(self, task: Task[Any], by: Task[Any]) -> None:
        """Announce a wait; if nothing goes on there, nothing goes on in ``by``, for which others may wait."""
        todo = [(task, by)]
        while todo:
            task, by = todo.pop()
            if by._state is not RUNNING:  # its attempt is over, but a part of it still waits
                continue
            self._announce(task, by)
            if task._state is PENDING or self._stands_still(task):
                stood_still = self._stands_still(by)
                self._idle.setdefault(by, set()).add(task)
                if not stood_still:
                    further = self._waited_by.get(by, ())
                    todo.extend((by, one) for one in further if by not in self._idle.get(one, ()))

    def _stands_still(self, task: Task[Any]) -> bool:
        return task in self._idle and not all(one.done() for one in self._idle[task])

    def _announce(self, task: Task[Any], by: Task[Any]) -> None:
        calls = self._scheduler.calls_of(by)
        for position, awaited in enumerate(calls.awaited):
            try:
                awaited(task, by)
            except RAISED as error:
                _log.error("%s", hook_error(calls, "atm_awaited", position, task, error), exc_info=error)
        if calls.awaited:
            self._scheduler.lent(by)

    def _end(self, task: Task[Any], by: Task[Any], tasks: Dict[Task[Any], int], cancelled: bool) -> List[Any]:
        if self._waits_for.get(by) is not tasks:  # of an earlier attempt
            return []
        tasks[task] -= 1
        if tasks[task]:
            return []
        del tasks[task]
        if not tasks:
            del self._waits_for[by]
        del self._waited_by[task][by]
        if not self._waited_by[task]:
            del self._waited_by[task]
        if by in self._idle:
            self._idle[by].discard(task)
            if not self._idle[by]:
                del self._idle[by]
        calls = self._scheduler.calls_of(by)
        found: List[Any] = []
        for position, resumed in enumerate(calls.resumed):
            try:
                answer = resumed(task, by, cancelled)
            except RAISED as error:
                _log.error("%s", hook_error(calls, "atm_resumed", position, task, error), exc_info=error)
                continue
            found.extend(one for one in (answer if isinstance(answer, tuple) else (answer,)) if one is not None)
        return found

    def _refuse_circle(self, task: Task[Any], by: Task[Any]) -> None:
        came_from: Dict[Task[Any], Optional[Task[Any]]] = {task: None}
        open_ends = [task]
        while open_ends:
            one = open_ends.pop()
            if one is by:
                raise WaitCycleError(
                    "tasks wait for each other: " + " -> ".join(map(repr, _circle(by, one, came_from)))
                )
            for further in self._waits_for.get(one, ()):
                if further not in came_from:
                    came_from[further] = one
                    open_ends.append(further)


def _circle(by: Task[Any], end: Task[Any], came_from: Dict[Task[Any], Optional[Task[Any]]]) -> List[Task[Any]]:
    path: List[Task[Any]] = []
    at: Optional[Task[Any]] = end
    while at is not None:
        path.append(at)
        at = came_from[at]
    return [by, *reversed(path)]
