"""``TaskManager.map``: results of a function over many items, in bounded memory."""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Deque, Optional, Set

from atm_core.errors import ManagerStateError

if TYPE_CHECKING:
    from atm_core.manager import TaskManager
    from atm_core.scheduler import Scheduler
    from atm_core.task import Task

__all__ = ["mapped"]

_END: Any = object()


async def mapped(
    manager: TaskManager,
    scheduler: Scheduler,
    fn: Callable[[Any], Any],
    items: Any,
    max_in_flight: int,
    ordered: bool,
    return_exceptions: bool,
) -> AsyncIterator[Any]:
    """See ``TaskManager.map``. At most ``max_in_flight`` items are queued, running, or done and not consumed."""
    if not manager.running:
        raise ManagerStateError("map() needs a manager that runs: call idle() first, or use 'async with'")
    window = _Window(manager, scheduler, fn, items, max_in_flight, ordered)
    feeder = asyncio.get_running_loop().create_task(window.feed())
    try:
        while True:
            task = window.out.popleft() if window.out else await window.next()
            if task is None:
                break
            if not task.done():
                await task.wait()
            window.consumed(task)
            if return_exceptions and not task.cancelled() and task.exception() is not None:
                yield task.exception()
            else:
                yield task.result()
        await feeder
    finally:
        feeder.cancel()
        for task in list(window.alive):
            task.cancel()
        await asyncio.wait([feeder])
        await window.close()


class _Window:
    """The items in flight."""

    def __init__(
        self,
        manager: TaskManager,
        scheduler: Scheduler,
        fn: Callable[[Any], Any],
        items: Any,
        limit: int,
        ordered: bool,
    ) -> None:
        self._manager = manager
        self._scheduler = scheduler
        self._fn = fn
        self._limit = limit
        self._ordered = ordered
        self._aiter: Any = items.__aiter__() if hasattr(items, "__aiter__") else None
        self._iter = None if self._aiter is not None else iter(items)
        self.alive: Set[Task[Any]] = set()  # not consumed
        self.out: Deque[Task[Any]] = collections.deque()  # in the order in which they are to be yielded
        self._ended = False
        self._changed: Optional[asyncio.Future[None]] = None  # for the consumer
        self._room: Optional[asyncio.Future[None]] = None  # for the feeder

    async def feed(self) -> None:
        """Take items as long as there is room."""
        try:
            while True:
                if not self._has_room():
                    await self._until_room()
                item = next(self._iter, _END) if self._iter is not None else await self._next_item()
                if item is _END:
                    return
                if not self._has_room():  # others may have filled the queue while the item was made
                    await self._until_room()
                task = self._manager.submit(self._fn, item)
                self.alive.add(task)
                if self._ordered:
                    self.out.append(task)
                    self._notify()
                else:
                    task.add_done_callback(self._settled)
        finally:
            self._ended = True
            self._notify()

    async def next(self) -> Optional[Task[Any]]:
        """The task whose result is to be yielded next; None at the end."""
        while not self.out:
            if self._ended and not self.alive:
                return None
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed
        return self.out.popleft()

    def consumed(self, task: Task[Any]) -> None:
        """A result is about to be yielded: there is room for another item."""
        self.alive.discard(task)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def close(self) -> None:
        """Close the items, if they are a generator."""
        if self._aiter is not None and hasattr(self._aiter, "aclose"):
            await self._aiter.aclose()

    def _has_room(self) -> bool:
        most = self._manager.max_pending
        return len(self.alive) < self._limit and (most is None or self._scheduler.queued < most)

    async def _until_room(self) -> None:
        while not self._has_room():
            if len(self.alive) >= self._limit:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
            else:
                await self._scheduler.room()

    async def _next_item(self) -> Any:
        try:
            return await self._aiter.__anext__()
        except StopAsyncIteration:
            return _END

    def _settled(self, task: Task[Any]) -> None:
        if task in self.alive:
            self.out.append(task)
        self._notify()

    def _notify(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
