"""Lanes: keys and orders; one waiting lane never blocks another, and a small task never starves a large one."""

from __future__ import annotations

import asyncio
import math

import pytest

from atm_core import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy, HookError, TaskManager, hookimpl
from atm_core.testing import run


class ByPriority:
    @hookimpl
    def atm_order(self, task):
        return task.metadata.get("priority", 0)


def order_of(strategies, metadata, duration=1.0):
    async def main():
        loop, starts = asyncio.get_running_loop(), []

        async def work(i):
            starts.append((loop.time(), i))
            await asyncio.sleep(duration)

        async with TaskManager(strategies) as manager:
            for i, one in enumerate(metadata):
                manager.add_task(work(i), one)
        return starts

    return run(main())


def test_order_across_lanes_and_first_in_first_out_within():
    metadata = [{"priority": p, "host": h} for p, h in [(2, "a"), (1, "b"), (1, "a"), (0, "b"), (2, "b")]]
    starts = order_of([ByPriority(), ConcurrentLimitStrategy(1), ConcurrentLimitStrategy(9, key="host")], metadata)
    assert [i for _, i in starts] == [3, 1, 2, 0, 4]


def test_a_waiting_lane_blocks_no_other():
    metadata = [{"host": host} for host in "aaaaab"]
    starts = order_of([DelayedStrategy(10, key="host"), ConcurrentLimitStrategy(2)], metadata)
    assert (0.0, 5) in starts


def test_two_keyed_gates():
    metadata = [{"host": h, "user": u} for h in "ab" for u in "xy"] * 2
    starts = order_of([ConcurrentLimitStrategy(1, key="host"), ConcurrentLimitStrategy(1, key="user")], metadata)
    assert sorted(i for _, i in starts) == list(range(8))
    assert [at for at, _ in starts] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_keyed_slots_and_a_global_rate():
    metadata = [{"host": "ab"[i % 2]} for i in range(8)]
    starts = order_of([ConcurrentLimitStrategy(1, key="host"), FixedWindowStrategy(3, 10)], metadata)
    assert [at for at, _ in starts] == [0, 0, 1, 10, 10, 11, 20, 20]


def test_a_large_cost_is_not_overtaken_by_small_ones_in_other_lanes():
    metadata = [{"host": "a", "cost": 3}, {"host": "b", "cost": 4}, *({"host": f"c{i}", "cost": 1} for i in range(4))]
    starts = order_of([ConcurrentLimitStrategy(4, cost="cost"), ConcurrentLimitStrategy(9, key="host")], metadata)
    assert starts[:2] == [(0, 0), (1, 1)]
    assert [at for at, _ in starts[2:]] == [2, 2, 2, 2]


def test_cancelling_the_first_of_a_lane_lets_the_next_try():
    async def main():
        async def work():
            await asyncio.sleep(1)
            return asyncio.get_running_loop().time()

        async with TaskManager(ConcurrentLimitStrategy(2, key="host", cost="cost")) as manager:
            manager.add_task(work(), {"cost": 1})
            large, small = manager.add_task(work(), {"cost": 2}), manager.add_task(work(), {"cost": 1})
            await asyncio.sleep(0.5)
            large.cancel()
            assert await small == 1.5

    run(main())


def test_reorder_asks_again():
    async def main():
        done = []

        async def work(i):
            done.append(i)
            await asyncio.sleep(1)

        async with TaskManager([ByPriority(), ConcurrentLimitStrategy(1)]) as manager:
            tasks = [manager.add_task(work(i), {"priority": i}) for i in range(4)]
            await asyncio.sleep(0.5)
            tasks[3].metadata["priority"] = -1
            manager.reorder(tasks[3])
            tasks[1].metadata["priority"] = 9
            manager.reorder(tasks[1])
        assert done == [0, 3, 2, 1]

    run(main())


def test_orders_that_cannot_be_compared_fail_their_task_only():
    async def main():
        async def work():
            return "ok"

        async with TaskManager([ByPriority(), ConcurrentLimitStrategy(1)]) as manager:
            tasks = [manager.add_task(work(), {"priority": p}) for p in (1, "high", math.nan, 2)]
            assert await tasks[0] == await tasks[3] == "ok"
            for odd in tasks[1:3]:
                with pytest.raises(HookError, match="atm_order"):
                    await odd

    run(main())


def test_a_lane_must_be_hashable():
    async def main():
        async def work():
            pass

        async with TaskManager(ConcurrentLimitStrategy(1, key="host")) as manager:
            with pytest.raises(HookError, match="unhashable"):
                await manager.add_task(work(), {"host": []})

    run(main())


def test_a_hundred_thousand_lanes_behind_one_limit_are_asked_about_once_each():
    questions = []

    class Counting(ConcurrentLimitStrategy):
        @hookimpl
        def atm_ready_at(self, task, now):
            questions.append(task)
            return super().atm_ready_at(task, now)

    async def main():
        async def work():
            await asyncio.sleep(1)

        n = 20_000
        async with TaskManager([Counting(100), ConcurrentLimitStrategy(1, key="i")]) as manager:
            for i in range(n):
                manager.add_task(work, {"i": i})
        assert len(questions) < 3.2 * n

    run(main())


def test_retried_tasks_keep_their_age():
    class Again:
        @hookimpl
        def atm_again(self, task, outcome, now):
            return now if outcome.failed else None

    for extra in ([], [ConcurrentLimitStrategy(9, key="host")]):

        async def main(extra=extra):
            done = []

            async def work(i):
                await asyncio.sleep(1)
                if i == 0 and done.count(0) < 2:
                    done.append(0)
                    raise ValueError
                done.append(i)

            async with TaskManager([ConcurrentLimitStrategy(1), Again(), *extra]) as manager:
                for i in range(3):
                    manager.submit(work, i)
                    await asyncio.sleep(0.1)
            assert done == [0, 0, 0, 1, 2]

        run(main())
