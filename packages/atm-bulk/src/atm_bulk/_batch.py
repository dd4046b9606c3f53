"""A batch: the items of one call, and the work of the one task that makes it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Dict, Hashable, List, Optional

from atm_bulk._batched import Batched
from atm_bulk._errors import BatchTimeoutError
from atm_core import Outcome, Task, TaskManager

if TYPE_CHECKING:
    from atm_bulk._strategy import BulkStrategy

__all__ = ["Batch", "Entry", "batch_size", "batch_weight"]


class Entry:
    """One item of a batch, and the tasks that want its result: several if there are duplicates."""

    __slots__ = ("batch", "item", "same", "tasks", "weight")

    def __init__(self, batch: Batch, item: Any, weight: float, same: Optional[Hashable]) -> None:
        self.batch = batch
        self.item = item
        self.weight = weight
        self.same = same  # under what duplicates find it
        self.tasks: List[Task[Any]] = []


class Batch:
    """What gathers for one function and key, and then is the work of one task.

    Args:
        strategy: Who settles the items, and knows the rules.
        manager: Whose tasks they are.
        fn: The function.
        group: What all the items have in common.
    """

    def __init__(self, strategy: BulkStrategy, manager: TaskManager, fn: Batched[Any, Any], group: Hashable) -> None:
        self.strategy = strategy
        self.manager = manager
        self.fn = fn
        self.group = group
        self.entries: Dict[Entry, None] = {}  # not decided yet, in order
        self.weight = 0.0
        self.task: Optional[Task[Any]] = None

    def add(self, entry: Entry) -> None:
        """Take an item in."""
        self.entries[entry] = None
        self.weight += entry.weight

    def remove(self, entry: Entry) -> None:
        """An item is decided, or nobody wants it any more."""
        del self.entries[entry]
        self.weight = self.weight - entry.weight if self.entries else 0.0

    async def __call__(self) -> None:
        """Call the function: with everything, and after a failure with parts, as the strategy's settings say.

        Raises:
            Exception: The first failure, if no call succeeded: then the batch as a whole has failed.
        """
        strategy = self.strategy
        if not strategy.begins(self):
            return
        failure: Optional[Exception] = None
        succeeded = False
        splits = 0
        parts = [list(self.entries)]  # the next one last
        while parts:
            part = [entry for entry in parts.pop() if entry.tasks]
            if not part:
                continue
            began = asyncio.get_running_loop().time()
            strategy.calls += 1
            try:
                outcomes = await self._called([entry.item for entry in part])
            except asyncio.CancelledError:  # an Exception on Python 3.7
                raise
            except Exception as error:
                failure = failure or error
                split = strategy.splitting.parts(part, error, splits)
                if split:
                    splits += 1
                    strategy.splits += 1
                    parts.extend(reversed(split))
                    continue
                outcomes = [Outcome(None, error) for _ in part]
            else:
                succeeded = True
            duration = asyncio.get_running_loop().time() - began
            for entry, outcome in zip(part, outcomes):
                outcome.duration = duration
                strategy.decide(entry, outcome)
        if failure is not None and not succeeded:
            raise failure

    async def _called(self, items: List[Any]) -> List[Outcome]:
        """Call the function, for no longer than ``batch_timeout_seconds``.

        ``asyncio.wait_for`` can lose a cancellation before Python 3.12; waiting for a task of our own cannot.
        """
        seconds = self.strategy.batch_timeout_seconds
        if seconds is None:
            return await self.fn.call(items)
        running = asyncio.ensure_future(self.fn.call(items))
        if sys.version_info >= (3, 8):
            running.set_name(f"{self.manager.name}: {self.fn.name}")
        try:
            done, _ = await asyncio.wait([running], timeout=seconds)
            if done:
                return running.result()
        except asyncio.CancelledError:
            await _abandon(running)
            raise
        await _abandon(running)
        raise BatchTimeoutError(f"{self.fn.name} took longer than {seconds:g} s for {len(items)} items")

    def __repr__(self) -> str:
        return f"<batch of {len(self.entries)} for {self.fn.name}>"


async def _abandon(running: asyncio.Future[Any]) -> None:
    """Cancel a call and wait until it has ended, however it does."""
    running.cancel()
    await asyncio.wait([running])
    if not running.cancelled():
        running.exception()  # looked at, so that asyncio does not report it


def batch_size(task: Task[Any]) -> float:
    """How many items a task carries, for other strategies' ``cost``; 1 if it is no batch.

    ``FixedWindowStrategy(1000, 60, cost=batch_size)`` counts items; in a config, ``"atm_bulk:batch_size"``.
    """
    return len(task.work.entries) or 1 if type(task.work) is Batch else 1


def batch_weight(task: Task[Any]) -> float:
    """How much a task's items weigh together, for other strategies' ``cost``; 1 if they weigh nothing."""
    return task.work.weight or 1 if type(task.work) is Batch else 1
