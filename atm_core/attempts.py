"""One attempt: the coroutine that runs a task's work and hands its outcome back to the scheduler.

It gives back what was booked itself, at its end, which starts the next task in the same turn of the loop; a done
callback would take another turn, and 15% more time.

An ``asyncio.Task`` that is cancelled before its first step never enters its coroutine, so a ``finally`` there would not
run. Where starts are not eager, the scheduler therefore takes the first step by hand, up to a bare yield.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from typing import TYPE_CHECKING, Any, Generator

from atm_core.compat import RAISED
from atm_core.completion import ended_badly, ended_well, go_on
from atm_core.lanes import hook_error
from atm_core.task import _current
from atm_core.work import awaitable_of, close_work

if TYPE_CHECKING:
    from atm_core.scheduler import Scheduler
    from atm_core.task import Task

__all__ = ["full", "plain"]


@types.coroutine
def _first_step() -> Generator[None, None, None]:
    yield


async def plain(scheduler: Scheduler, task: Task[Any], now: float) -> None:
    """Await the work here."""
    began = None
    try:
        if scheduler.primes:
            await _first_step()
        _current.set(task)
        if scheduler.watches_begin:
            began = _begun(scheduler, task, now)
        args = task._args
        if args is None:
            value = await task._work
        else:
            made = task._work(*args)
            value = await (made if type(made) is types.CoroutineType else awaitable_of(task._work, made))
    except BaseException as error:
        ended_badly(scheduler, task, error, began)
        if _belongs_to_the_loop(error):
            raise
    else:
        ended_well(scheduler, task, value, began)


async def full(scheduler: Scheduler, task: Task[Any], now: float) -> None:
    """The same inside what ``atm_around`` gives, or wherever ``atm_execute`` runs it."""
    began = None
    try:
        if scheduler.primes:
            await _first_step()
        _current.set(task)
        began = _begun(scheduler, task, now)
        value = None
        calls = scheduler.calls
        async with contextlib.AsyncExitStack() as stack:
            for position, around in enumerate(calls.around):
                try:
                    managers = around(task)
                except Exception as error:
                    raise hook_error(calls, "atm_around", position, task, error) from error
                for manager in managers if isinstance(managers, tuple) else (managers,):
                    if manager is not None:
                        await stack.enter_async_context(manager)
            elsewhere = None
            for position, execute in enumerate(calls.execute):
                try:
                    elsewhere = execute(task)
                except Exception as error:
                    raise hook_error(calls, "atm_execute", position, task, error) from error
                if elsewhere is not None:
                    break
            value = await (task.call() if elsewhere is None else elsewhere)
        if task._args is None:
            close_work(task._work)  # if it was not needed elsewhere
    except BaseException as error:
        ended_badly(scheduler, task, error, began)
        if _belongs_to_the_loop(error):
            raise
    else:
        ended_well(scheduler, task, value, began)


def _belongs_to_the_loop(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception)


def _begun(scheduler: Scheduler, task: Task[Any], now: float) -> float:
    """The first step runs; ``now`` is the time of the start, which is this one where starts are eager."""
    if scheduler.primes:
        now = scheduler.clock()
    calls = scheduler.calls if not scheduler.older else scheduler.calls_of(task)
    try:
        for began in calls.began:
            began(task, now)
    except RAISED as error:
        go_on(calls, "atm_began", calls.began, began, error, task, now)
    return now
