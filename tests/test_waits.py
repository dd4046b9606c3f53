"""Tasks that wait for tasks: nested work never deadlocks on its own limit, and a circle is an error."""

from __future__ import annotations

import asyncio

import pytest

from atm_core import ConcurrentLimitStrategy, DelayedStrategy, TaskManager, WaitCycleError, current_task, hookimpl
from atm_core.testing import run


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("keyed", [False, True])
def test_nested_work_runs_on_its_own_limit(limit, keyed):
    async def main():
        running = [0, 0]

        async def tree(depth):
            enter()
            total = 1
            if depth:
                children = [manager.submit(tree, depth - 1) for _ in range(3)]
                leave()
                total += sum(await asyncio.gather(*children))
                enter()
            await asyncio.sleep(1)
            leave()
            return total

        def enter():
            running[0] += 1
            running[1] = max(running)

        def leave():
            running[0] -= 1

        strategy = ConcurrentLimitStrategy(limit, **({"key": "k", "cost": "c"} if keyed else {}))
        async with TaskManager(strategy) as manager:
            assert await manager.submit(tree, 3) == 40
        assert running[1] <= limit
        assert strategy.stats() == {"max_concurrent": limit, "running": 0, "keys": 0, "lending": 0}

    run(main())


def test_a_slot_is_lent_only_while_the_other_is_queued():
    async def main():
        async def inner():
            await asyncio.sleep(5)

        async def outer():
            task = manager.submit(inner)
            await asyncio.sleep(1)  # it runs by now
            await task

        strategy = ConcurrentLimitStrategy(2)
        async with TaskManager(strategy) as manager:
            manager.submit(outer)
            await asyncio.sleep(2)
            assert strategy.used() == 2
            third = manager.submit(inner)
            await asyncio.sleep(1)
            assert third.state.value == "pending"

    run(main())


def test_a_lent_slot_comes_back_before_queued_tasks_get_it():
    async def main():
        loop, log = asyncio.get_running_loop(), []

        async def work(name):
            log.append((loop.time(), name))
            await asyncio.sleep(1)

        async def outer():
            await manager.submit(work, "inner")
            log.append((loop.time(), "outer goes on"))
            await asyncio.sleep(1)

        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            manager.submit(outer)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for i in range(2):
                manager.submit(work, i)
        assert log == [(0, "inner"), (1, "outer goes on"), (2, 0), (3, 1)]

    run(main())


def test_a_cancelled_wait_takes_its_slot_back_at_once():
    async def main():
        async def inner():
            await asyncio.sleep(10)

        async def outer():
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(manager.submit(inner).wait(), 1)
            return strategy.used()

        strategy = ConcurrentLimitStrategy(1)
        async with TaskManager(strategy) as manager:
            task = manager.submit(outer)
            assert await task == 2
        assert strategy.used() == 0

    run(main())


def test_a_task_that_ends_while_a_part_of_it_waits_gives_its_slot_back_once():
    async def main():
        async def inner():
            await asyncio.sleep(1)

        async def outer():
            parts.append(asyncio.ensure_future(manager.submit(inner).wait()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        parts = []
        strategy = ConcurrentLimitStrategy(1)
        async with TaskManager(strategy) as manager:
            await manager.submit(outer)
            await asyncio.wait(parts)
        assert strategy.stats() == {"max_concurrent": 1, "running": 0, "keys": 0, "lending": 0}

    run(main())


def test_delayed_work_can_nest():
    async def main():
        async def inner():
            return asyncio.get_running_loop().time()

        async def outer():
            return await manager.submit(inner)

        async with TaskManager(DelayedStrategy(5)) as manager:
            assert await manager.submit(outer) == 0
            assert await manager.submit(inner) == 5

    run(main())


def test_waiting_for_oneself_and_in_a_circle():
    async def main():
        tasks = {}

        async def alone():
            await current_task()

        async def waits_for(name):
            await asyncio.sleep(1)
            return await tasks[name]

        async with TaskManager(ConcurrentLimitStrategy(3)) as manager:
            with pytest.raises(WaitCycleError, match="tasks wait for each other"):
                await manager.submit(alone)
            for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
                tasks[name] = manager.add_task(waits_for(other), {"name": name})
            with pytest.raises(WaitCycleError, match="Task c running.*Task a running.*Task b running.*Task c running"):
                await tasks["c"]
            for name in "ab":
                with pytest.raises(WaitCycleError):
                    await tasks[name]

    run(main())


def test_waits_are_announced_and_ended():
    async def main():
        calls = []

        class Watcher:
            @hookimpl
            def atm_awaited(self, task, by):
                calls.append(("awaited", task, by, task.state.value))

            @hookimpl
            def atm_resumed(self, task, by, cancelled):
                calls.append(("resumed", task, by, cancelled))

        async def inner():
            nonlocal failures
            await asyncio.sleep(1)
            failures += 1
            if failures == 1:
                raise ValueError
            return "inner"

        class Again:
            @hookimpl
            def atm_again(self, task, outcome, now):
                return now + 1 if outcome.failed else None

        failures = 0

        async def outer():
            tasks.append(manager.submit(inner))
            await asyncio.sleep(0.5)
            assert await tasks[0] == "inner"
            await tasks[0]
            return current_task()

        tasks = []
        async with TaskManager([Watcher(), Again()]) as manager:
            by = await manager.submit(outer)
        first = tasks[0]
        expected = [("awaited", first, by, "running"), ("awaited", first, by, "pending"), ("resumed", first, by, False)]
        assert calls == expected

    run(main())
