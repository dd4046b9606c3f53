"""The way in: work becomes a task of a manager, if all its strategies agree."""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from threading import get_ident
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple

from atm_core.compat import references
from atm_core.errors import ManagerStateError, TaskRejected, WorkError
from atm_core.lanes import hook_error
from atm_core.task import CANCELLED, PENDING, Task
from atm_core.work import close_work

if TYPE_CHECKING:
    from atm_core.scheduler import Scheduler

__all__ = ["Origin", "add", "wrong_thread"]

_new = object.__new__
#: References to work of which nobody else knows, who could add it again: the caller's or the task's, ours, the call's.
_ALONE = 3


class Origin:
    """Where tasks come from: one object for all that were added to one scheduler from one context."""

    __slots__ = ("context", "scheduler")

    def __init__(self, scheduler: Scheduler, context: Context) -> None:
        self.scheduler = scheduler
        self.context = context


def add(
    scheduler: Scheduler,
    work: Any,
    args: Optional[Tuple[Any, ...]],
    metadata: Optional[Dict[str, Any]],
    task: Any = None,
) -> Task[Any]:
    """Admit work, and put it where it has to wait.

    Raises:
        TaskRejected, HookError: A strategy objects; the work is closed.
        WorkError: This coroutine is in the queue already.
    """
    if scheduler.loop is None:
        _look_for_loop(scheduler)
    elif scheduler.starting and get_ident() != scheduler.thread:
        raise wrong_thread()
    if args is None and references(work) > _ALONE and not scheduler.claim(work):
        raise WorkError(f"{work!r} is added already: a coroutine runs only once; submit its function instead")
    if task is None:
        task = _new(Task)
        task._work = work
        task._args = args
        task._metadata = metadata
        task._state = PENDING
        task._attempts = 0
        task._place = task._value = None
    now = scheduler.clock()
    if now - scheduler.added_at > scheduler.grain:
        scheduler.added_at = now
    task._added_at = scheduler.added_at
    context, origin = copy_context(), scheduler.origin
    if origin is None or context != origin.context:
        origin = scheduler.origin = Origin(scheduler, context)
    task._origin = origin
    scheduler.open += 1
    if scheduler.admits and not _admit(scheduler, task, now):
        return task  # type: ignore[no-any-return]
    if scheduler.push is not None:
        scheduler.push(task)
    else:
        scheduler.enter(task, now)
    if not scheduler.turn_comes and scheduler.starting:
        scheduler.soon()
    return task  # type: ignore[no-any-return]


def _look_for_loop(scheduler: Scheduler) -> None:
    loop = asyncio._get_running_loop()
    if loop is not None:
        scheduler.bind(loop)


def _admit(scheduler: Scheduler, task: Task[Any], now: float) -> bool:
    """Ask all strategies; false if one of them has settled the task."""
    position, hook = 0, "atm_admit"
    outer, scheduler.admitting = scheduler.admitting, task
    try:
        for position, admit in enumerate(scheduler.calls.admit):
            admit(scheduler.manager, task, now)
        hook = "atm_admitted"
        for position, admitted in enumerate(scheduler.calls.admitted):
            admitted(scheduler.manager, task, now)
            if task in scheduler.sleepers.until:  # by its not_before
                scheduler.sleepers.by.setdefault(task, scheduler.calls.owners[hook][position])
    except BaseException as error:
        refused = isinstance(error, TaskRejected) or not isinstance(error, Exception)
        failed = None if refused else hook_error(scheduler.calls, hook, position, task, error)
        if task._state is PENDING:
            scheduler.rejected += 1
            scheduler.open -= 1
            scheduler.release_work(task)
            scheduler.forget(task)
            work, task._origin, task._state = task._work, None, CANCELLED
            close_work(work)
            scheduler.check_joined()
        if failed is None:
            raise
        raise failed from error
    finally:
        scheduler.admitting = outer
    return task._state is PENDING


def wrong_thread() -> ManagerStateError:
    """What is raised in any other thread than the loop's."""
    return ManagerStateError("a task was added from another thread than the event loop's: use submit_threadsafe")
