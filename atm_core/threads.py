"""Work handed in from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any, Callable

from atm_core.errors import ManagerStateError

if TYPE_CHECKING:
    from atm_core.manager import TaskManager
    from atm_core.scheduler import Scheduler
    from atm_core.task import Task

__all__ = ["submit_threadsafe"]


def submit_threadsafe(
    manager: TaskManager, scheduler: Scheduler, call: Callable[[], Any]
) -> concurrent.futures.Future[Any]:
    """See ``TaskManager.submit_threadsafe``."""
    loop = scheduler.loop
    if not scheduler.starting or loop is None or loop.is_closed():
        raise ManagerStateError(f"{manager!r} does not run: start it in its event loop first")
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def settled(task: Task[Any]) -> None:
        if task.cancelled():
            future.cancel()
        if not future.set_running_or_notify_cancel():  # also tells those in concurrent.futures.wait
            return
        if task.exception() is not None:
            future.set_exception(task.exception())
        else:
            future.set_result(task.result())

    def add() -> None:
        if future.cancelled():
            future.set_running_or_notify_cancel()
            return
        try:
            task = manager.submit(call)
        except Exception as error:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        task.add_done_callback(settled)

        def abandoned(_: Any) -> None:
            if future.cancelled():
                _cancel_in(loop, task)

        future.add_done_callback(abandoned)

    try:
        loop.call_soon_threadsafe(add)
    except RuntimeError as error:
        raise ManagerStateError(f"{manager!r} runs in an event loop that was closed") from error
    return future


def _cancel_in(loop: asyncio.AbstractEventLoop, task: Task[Any]) -> None:
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:
        return  # the loop was closed, and its tasks with it
