"""So many at once on each resource, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, List

import pytest
from atm_weighted_round_robin import WeightedRoundRobinStrategy, current_resource

from atm_core import Task, TaskManager
from atm_core.testing import run


async def where(seconds: float = 0.0) -> Any:
    """Work: says which resource it was given."""
    await asyncio.sleep(seconds)
    return current_resource()


def test_at_most_so_many_on_each() -> None:
    """Per resource, and the next one starts in the turn in which one ends."""

    async def work() -> None:
        running[current_resource()] += 1
        most[current_resource()] = max(most[current_resource()], running[current_resource()])
        await asyncio.sleep(1.0)
        running[current_resource()] -= 1

    async def main() -> None:
        async with TaskManager(WeightedRoundRobinStrategy({"a": 5, "b": 1}, max_concurrent_per_resource=3)) as manager:
            for _ in range(60):
                manager.submit(work)
        assert asyncio.get_running_loop().time() == 10.0
        assert most == {"a": 3, "b": 3}

    running: Counter[Any] = Counter()
    most: Counter[Any] = Counter()
    run(main())


def test_nested_work_does_not_deadlock() -> None:
    """A task that awaits a queued one lends its slot, to the depth of three, on a single slot."""

    async def nested(depth: int) -> int:
        if not depth:
            await asyncio.sleep(1.0)
            return 0
        return 1 + await manager.submit(nested, depth - 1)

    async def main() -> None:
        async with manager:
            tasks = [manager.submit(nested, 3) for _ in range(4)]
        assert [await task for task in tasks] == [3] * 4
        assert strategy.snapshot(0.0)["a"]["running"] == 0

    strategy = WeightedRoundRobinStrategy({"a": 1}, max_concurrent_per_resource=1)
    manager = TaskManager(strategy)
    run(main())


def test_without_a_limit_too_who_waits_for_a_queued_task_does_not_count() -> None:
    """For ``least_request`` it is no load on its resource while it waits, and one again afterwards."""

    async def outer() -> None:
        seen.append(running())
        await manager.submit(inner)
        seen.append(running())
        await asyncio.sleep(1.0)

    async def inner() -> None:
        seen.append(running())
        await asyncio.sleep(1.0)

    def running() -> Any:
        return strategy.snapshot()["a"]["running"]

    async def main() -> None:
        async with manager:
            manager.submit(outer)
        seen.append(running())

    seen: List[Any] = []
    strategy = WeightedRoundRobinStrategy({"a": 1})
    manager = TaskManager(strategy)
    run(main())
    assert seen == [1, 1, 1, 0]


@pytest.mark.parametrize("most", [None, 1])
def test_a_task_that_ends_while_its_slot_is_lent_gives_back_nothing(most: Any) -> None:
    """A part of it still waits: what it had is given away already."""

    async def outer() -> None:
        parts.append(asyncio.ensure_future(wait_for(manager.submit(where, 1.0))))
        await asyncio.sleep(0.0)

    async def wait_for(task: Task[Any]) -> Any:
        return await task

    async def main() -> None:
        async with manager:
            await manager.submit(outer)
            assert strategy.snapshot()["a"]["running"] == 1, "the inner one"
            assert await parts[0] == "a"
        assert strategy.snapshot()["a"]["running"] == 0

    parts: List[Any] = []
    strategy = WeightedRoundRobinStrategy({"a": 1}, max_concurrent_per_resource=most)
    manager = TaskManager(strategy)
    run(main())


def test_a_cancelled_return_takes_its_slot_back() -> None:
    """What waits to take its slot back and is cancelled counts again at once, until it has ended."""

    async def outer() -> None:
        await asyncio.sleep(0.5)
        inner.append(manager.submit(where, 1.0))
        try:
            await inner[0]
        except asyncio.CancelledError:
            await asyncio.sleep(5.0)  # its last words
            raise

    async def main() -> None:
        await manager.idle()
        first = manager.submit(outer)
        await asyncio.sleep(0.25)
        hog = manager.submit(where, 10.0)  # before the inner one, so it gets the slot that is lent
        await asyncio.sleep(1.75)
        inner[0].cancel()
        await asyncio.sleep(1.0)
        assert strategy.resource_of(hog) == "a" and strategy.snapshot()["a"]["running"] == 1
        first.cancel()
        await asyncio.sleep(1.0)
        assert strategy.snapshot()["a"]["running"] == 2
        queued = manager.submit(where)
        await hog
        assert await queued == "a"
        await manager.aclose()

    inner: List[Task[Any]] = []
    strategy = WeightedRoundRobinStrategy({"a": 1}, max_concurrent_per_resource=1)
    manager = TaskManager(strategy)
    run(main())
