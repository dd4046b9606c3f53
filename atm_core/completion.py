"""The end of an attempt: what was booked comes back, the work runs again or is settled, and the next one starts."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any, Optional, Tuple

from atm_core.calls import Function, HookCalls
from atm_core.compat import RAISED
from atm_core.errors import WorkError
from atm_core.lanes import check_time, hook_error
from atm_core.outcome import Outcome
from atm_core.task import CANCELLED, FAILED, PENDING, SUCCEEDED, Task
from atm_core.work import close_work

if TYPE_CHECKING:
    from atm_core.scheduler import Scheduler

__all__ = ["conclude", "ended_badly", "ended_well", "go_on", "observe", "settle"]

_log = logging.getLogger("atm_core")
Functions = Tuple[Function, ...]


def ended_well(scheduler: Scheduler, task: Task[Any], value: Any, began: Optional[float]) -> None:
    """The work returned."""
    if scheduler.at_start is task:
        scheduler.at_start = None
    else:
        scheduler.running.pop(task, None)
    if not scheduler.brief or scheduler.older:
        _end(scheduler, task, Outcome(value), began)
        return
    calls = scheduler.calls
    try:
        for finished in calls.finished_plain:
            finished(task)
    except RAISED as error:
        go_on(calls, "atm_finished", calls.finished_plain, finished, error, task)
    board = scheduler.board
    board.parked = False
    if task._place is not None:
        board.finished(task._place)
    waiters = task._value
    task._state = SUCCEEDED
    task._value = value
    task._work = task._args = task._origin = task._place = None
    scheduler.succeeded += 1
    scheduler.open -= 1
    if scheduler.cancelling or scheduler.sleepers.recurring or scheduler.inner:
        scheduler.forget(task)
    if waiters is not None:
        task.tell(waiters)
    if not scheduler.open:
        scheduler.origin = None
    if scheduler.joining and scheduler.open <= len(scheduler.sleepers.dormant):
        scheduler.end_joining()
    if not scheduler.busy:
        # One for one, at once; whether there is room for more is seen for all together.
        scheduler.turn(scheduler.clock(), 1)


def ended_badly(scheduler: Scheduler, task: Task[Any], error: BaseException, began: Optional[float]) -> None:
    """The work raised, was cancelled, or never began."""
    if scheduler.at_start is task:
        scheduler.at_start = None
    else:
        scheduler.running.pop(task, None)
    if task._args is None:
        close_work(task._work)  # if it never began
    cancelled = isinstance(error, (asyncio.CancelledError, GeneratorExit))
    trace = error.__traceback__
    if trace is not None:
        error.__traceback__ = trace.tb_next  # without our own frame, which refers to the task
    ordinary = isinstance(error, Exception) and not cancelled
    # What stops the loop, or all its tasks, must reach those before anything new starts.
    _end(scheduler, task, Outcome(None, error, cancelled), began, deferred=not ordinary)
    if not ordinary and not cancelled:
        scheduler.recoil()


def _end(
    scheduler: Scheduler, task: Task[Any], outcome: Outcome, began: Optional[float], deferred: bool = False
) -> None:
    calls = scheduler.older.pop(task, scheduler.calls) if scheduler.older else scheduler.calls
    now = scheduler.clock()
    if began is not None:
        outcome.duration = now - began
    observe(calls, "atm_finished", calls.finished, task, outcome, now)
    scheduler.board.finished(task._place)
    task._place = None
    conclude(scheduler, task, outcome, now)
    if deferred:
        scheduler.soon()
    elif not scheduler.busy:
        scheduler.turn(now, 1)


def conclude(scheduler: Scheduler, task: Task[Any], outcome: Outcome, now: float) -> None:
    """An attempt has ended, or was refused: again, or settled? Nothing, if a hook has settled the task meanwhile."""
    if task.done():
        return
    again_at, owner = None, ""
    final = scheduler.shut or task in scheduler.cancelling or task in scheduler.inner
    if scheduler.calls.again and not final:
        again_at, owner, outcome = _ask_again(scheduler, task, outcome, now)
        if task.done():
            return
    if again_at is None or task in scheduler.cancelling:
        settle(scheduler, task, outcome, now)
        return
    task._state = PENDING
    if again_at > now:
        scheduler.sleepers.by[task] = owner
        scheduler.sleep(task, again_at)
    else:
        scheduler.enter(task, now)
    scheduler.waits.requeued(task)


def _ask_again(
    scheduler: Scheduler, task: Task[Any], outcome: Outcome, now: float
) -> Tuple[Optional[float], str, Outcome]:
    """When to run it again, and who says so; None and the final outcome if nobody does."""
    calls = scheduler.calls
    for position, again in enumerate(calls.again):
        try:
            at = again(task, outcome, now)
            if at is None:
                continue
            check_time(at)
            if at == math.inf:
                break
            if task._args is None and task._attempts:
                raise WorkError(f"{task!r} cannot run again, since its work is an awaitable: submit a function")
        except RAISED as error:
            failed = hook_error(calls, "atm_again", position, task, error)
            if outcome.failed:
                failed.__context__ = outcome.exception
            return None, "", Outcome(None, failed, duration=outcome.duration)
        return at, calls.owners["atm_again"][position], outcome
    return None, "", outcome


def settle(scheduler: Scheduler, task: Task[Any], outcome: Outcome, now: float) -> None:
    """The outcome is final."""
    scheduler.release_work(task)
    if not task._attempts:
        close_work(task._work)
    scheduler.forget(task)
    scheduler.open -= 1
    if outcome.cancelled:
        scheduler.cancelled += 1
        task.settle(CANCELLED, None)
    elif outcome.exception is not None:
        scheduler.failed += 1
        task.settle(FAILED, outcome.exception)
    else:
        scheduler.succeeded += 1
        task.settle(SUCCEEDED, outcome.value)
    observe(scheduler.calls, "atm_settled", scheduler.calls.settled, task, outcome, now)
    if not scheduler.open:
        scheduler.origin = None
    if scheduler.for_room:
        scheduler.tell_room()
    scheduler.check_joined()


def observe(calls: HookCalls, hook: str, functions: Functions, *args: Any) -> None:
    """Call the implementations of an observing hook: what one raises is logged, and the others are called."""
    try:
        for function in functions:
            function(*args)
    except RAISED as error:
        go_on(calls, hook, functions, function, error, *args)


def go_on(
    calls: HookCalls, hook: str, functions: Functions, failed: Function, error: BaseException, *args: Any
) -> None:
    """``failed`` raised: log it, and call those after it."""
    while True:
        position = functions.index(failed)
        _log.error("%s", hook_error(calls, hook, position, args[0], error), exc_info=error)
        try:
            for failed in functions[position + 1 :]:
                failed(*args)
            return
        except RAISED as another:
            error = another
