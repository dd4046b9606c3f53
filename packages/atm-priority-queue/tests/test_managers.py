"""Which manager's tasks it orders: one that runs already, one after another, two at a time."""

from __future__ import annotations

import asyncio
from typing import Any, List

import pytest
from atm_priority_queue import PriorityQueueStrategy

from atm_core import ConcurrentLimitStrategy, TaskManager
from atm_core.testing import run


class Names:
    """Work that notes its name when it starts."""

    def __init__(self) -> None:
        self.started: List[Any] = []

    async def work(self, name: Any) -> None:
        self.started.append(name)
        await asyncio.sleep(1)


def test_it_joins_a_running_manager_with_a_queue() -> None:
    """What was queued before can be given another level, and inherits."""
    names, strategy = Names(), PriorityQueueStrategy()

    async def main() -> None:
        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            manager.submit(names.work, "running")
            await asyncio.sleep(0)
            tasks = [manager.submit(names.work, n) for n in range(4)]
            manager.register(strategy)
            assert strategy.set_priority(tasks[3], "critical")

    run(main())
    assert names.started == ["running", 3, 0, 1, 2]


def test_one_manager_after_another() -> None:
    """What the first one left queued takes no room in the second, and is not dropped by it."""
    names, strategy = Names(), PriorityQueueStrategy(max_pending=2, overflow="drop_oldest")

    async def main() -> None:
        first = TaskManager([ConcurrentLimitStrategy(1), strategy])
        left = [first.submit(names.work, n) for n in range(2)]
        async with TaskManager([ConcurrentLimitStrategy(1), strategy]) as second:
            tasks = [second.submit(names.work, name) for name in "ab"]
            assert strategy.stats()["dropped"] == 0
            assert strategy.set_priority(tasks[1], "high")
        async with first:
            assert strategy.set_priority(left[1], "high")

    run(main())
    assert names.started == ["b", "a", 1, 0]


def test_a_second_manager_that_does_not_run_takes_nothing_over() -> None:
    """It cannot start with this strategy, so the first one's tasks are still those that are meant."""
    names, strategy = Names(), PriorityQueueStrategy()

    async def main() -> None:
        other = TaskManager(strategy)
        async with TaskManager([ConcurrentLimitStrategy(1), strategy]) as manager:
            tasks = [manager.submit(names.work, n) for n in range(3)]
            other.submit(names.work, "other")
            assert strategy.set_priority(tasks[2], "critical")
        await other.aclose()

    run(main())
    assert names.started == [2, 0, 1]


@pytest.mark.parametrize("runs", [False, True])
def test_tasks_that_start_while_it_is_unregistered_give_their_room_back(runs: bool) -> None:
    """It is not told of their start, but of their end."""
    strategy = PriorityQueueStrategy(max_pending=2)

    async def main() -> None:
        manager = TaskManager([ConcurrentLimitStrategy(1), strategy])
        if runs:
            await manager.idle()
        for _ in range(2):
            manager.submit(asyncio.sleep, 0)
        manager.unregister(strategy)
        async with manager:
            await manager.join()
            manager.register(strategy)
            assert strategy.stats()["queued"] == 0
            await manager.submit(asyncio.sleep, 0)

    run(main())
