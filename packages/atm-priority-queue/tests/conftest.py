"""What the tests share."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Hashable, List, Optional, Sequence, Tuple

import pytest
from atm_priority_queue import PriorityQueueStrategy

from atm_core import ConcurrentLimitStrategy, QueueFullError, Task, TaskManager, hookimpl
from atm_core.testing import run


class Closed:
    """A gate that keeps the tasks with ``closed`` in their metadata until it is opened."""

    def __init__(self) -> None:
        self.closed = True

    @hookimpl
    def atm_lane(self, task: Task[Any]) -> Hashable:
        return "closed" in task.metadata

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> float:
        return float("inf") if self.closed and "closed" in task.metadata else now


@pytest.fixture
def closed() -> Closed:
    return Closed()


@pytest.fixture
def start_order() -> Callable[..., List[Any]]:
    """Add tasks ``(name, priority)`` of one second and give the names in the order of their starts.

    The first ``running`` of them are running before the others come.
    """

    def started(
        adds: Sequence[Tuple[Any, Any]], running: int = 1, change: Optional[Any] = None, **settings: Any
    ) -> List[Any]:
        async def main() -> List[Any]:
            names: List[Any] = []

            async def work(name: Any) -> None:
                names.append(name)
                await asyncio.sleep(1)

            strategy = PriorityQueueStrategy(**settings)
            tasks = {}
            async with TaskManager([ConcurrentLimitStrategy(max(running, 1)), strategy]) as manager:
                for n, (name, priority) in enumerate(adds):
                    if n == running:
                        await asyncio.sleep(0)
                    metadata = {} if priority is None else {"priority": priority}
                    try:
                        tasks[name] = manager.add_task(lambda name=name: work(name), metadata)  # type: ignore[misc]
                    except QueueFullError:
                        continue
                if change is not None:
                    change(strategy, tasks)
                await manager.join()
                for task in tasks.values():
                    assert task.done()
                    assert task.exception() is None or isinstance(task.exception(), QueueFullError)
            return names

        return run(main())

    return started
