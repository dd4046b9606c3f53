"""A start: the strategies book the task, and its attempt begins."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from atm_core.compat import RAISED, cancel
from atm_core.completion import conclude, observe
from atm_core.lanes import hook_error
from atm_core.outcome import Outcome
from atm_core.task import RUNNING, Task

if TYPE_CHECKING:
    from atm_core.scheduler import Scheduler

__all__ = ["start"]

_log = logging.getLogger("atm_core")


def start(scheduler: Scheduler, task: Task[Any], now: float) -> None:
    """Every gate has said "now": book it, and begin the attempt."""
    task._state = RUNNING
    scheduler.at_start = task
    hooks = scheduler.calls.started
    try:
        for started in hooks:
            started(task, now)
    except BaseException as error:
        if not _start_anyway(scheduler, task, now, hooks.index(started), error):
            return
    if scheduler.cancelling and task in scheduler.cancelling:  # by a hook
        _give_back(scheduler, task, Outcome(None, asyncio.CancelledError(), True), now, len(hooks))
        return
    if task._args is None and scheduler.claimed:
        scheduler.release_work(task)
    task._attempts += 1
    scheduler.attempts += 1
    if scheduler.for_room:
        scheduler.tell_room()
    coro = scheduler.attempt(scheduler, task, now)
    if scheduler.primes:
        coro.send(None)
    if not scheduler.eager:
        scheduler.at_start = None
        scheduler.running[task] = task._origin.context.run(scheduler.make, coro)
        return
    # The first step runs here, and with it perhaps the whole attempt.
    try:
        made = task._origin.context.run(scheduler.make, coro)
    finally:
        scheduler.at_start = None
    if task._state is RUNNING and not made.done():
        scheduler.running[task] = made
        if scheduler.cancelling and task in scheduler.cancelling:  # by itself, before there was anything to cancel
            cancel(made)


def _start_anyway(scheduler: Scheduler, task: Task[Any], now: float, position: int, error: BaseException) -> bool:
    """A hook failed at a start: an observer's failure is logged, a gate's is the task's."""
    calls = scheduler.calls_of(task)
    while True:
        if not isinstance(error, RAISED):
            _give_back(scheduler, task, Outcome(None, error), now, position)
            scheduler.recoil()
            raise error
        failed = hook_error(calls, "atm_started", position, task, error)
        if failed.plugin in calls.owners["atm_ready_at"]:
            _give_back(scheduler, task, Outcome(None, failed), now, position)
            return False
        _log.error("%s", failed, exc_info=error)
        try:
            while position + 1 < len(calls.started):
                position += 1
                calls.started[position](task, now)
            return True
        except BaseException as another:
            error = another


def _give_back(scheduler: Scheduler, task: Task[Any], outcome: Outcome, now: float, position: int) -> None:
    """It does not begin: those whose ``atm_started``, up to ``position``, has booked it take that back."""
    calls = scheduler.calls_of(task)
    booked = calls.owners["atm_started"][:position]
    owners = zip(calls.owners["atm_finished"], calls.finished)
    back = tuple(finished if owner in booked else _nothing for owner, finished in owners)
    observe(calls, "atm_finished", back, task, outcome, now)
    scheduler.at_start = None
    scheduler.older.pop(task, None)
    scheduler.board.finished(task._place)
    task._place = None
    conclude(scheduler, task, outcome, now)


def _nothing(*_: Any) -> None:
    pass
