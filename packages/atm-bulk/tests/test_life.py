"""Cancellation, join, stop, close, restart, and other things that happen to a batch."""

from __future__ import annotations

import asyncio
from typing import Any, List

import pytest
from atm_bulk import BulkStrategy, batched

from atm_core import BaseStrategy, TaskManager, current_task
from atm_core.testing.virtual_time import VirtualTimeLoop, run
from atm_plugins import ConcurrentLimitStrategy, FixedWindowStrategy


def test_cancelled_items_drop_out_before_the_call(service: Any) -> None:
    s = service()

    async def main() -> None:
        strategy = BulkStrategy(4, 1.0)
        async with TaskManager([strategy, FixedWindowStrategy(1, 10.0)]) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(7)]
            tasks[1].cancel()
            tasks[5].cancel()
            await asyncio.sleep(5.0)
            tasks[6].cancel()  # its batch waits for the window
        assert [task.cancelled() for task in tasks] == [False, True, False, False, False, True, True]
        assert strategy.stats()["items"] == strategy.stats()["batches"] == 0

    run(main())
    assert s.calls == [[0, 2, 3], [4]]


def test_a_batch_without_items_never_runs(service: Any, seen: Any) -> None:
    s = service()

    async def main() -> None:
        strategy = BulkStrategy(2, 1.0, dedupe=True)
        async with TaskManager([strategy, seen]) as manager:
            for item in (1, 1, 2, 3):
                manager.submit(s.insert, item).cancel()
            assert strategy.stats()["batches"] == strategy.stats()["open_batches"] == 0
            await asyncio.sleep(5.0)

    run(main())
    assert s.calls == []
    assert seen.started == []


def test_a_call_whose_items_are_all_cancelled_is_cancelled(service: Any, seen: Any) -> None:
    s = service(seconds=60.0)

    async def main() -> None:
        async with TaskManager([BulkStrategy(2), seen]) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(2)]
            await asyncio.sleep(1.0)
            for task in tasks:
                task.cancel()
        assert asyncio.get_running_loop().time() == 1.0

    run(main())
    assert s.running == 0
    assert [outcome.cancelled for outcome in seen.outcomes] == [True]


def test_items_cancelled_during_a_call_are_in_no_further_one(service: Any) -> None:
    s = service(bad=[0], seconds=1.0)

    async def main() -> None:
        async with TaskManager(BulkStrategy(4)) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(4)]
            await asyncio.sleep(1.5)
            tasks[2].cancel()

    run(main())
    assert s.calls == [[0, 1, 2, 3], [0], [1], [3]]


def test_a_callback_may_cancel_the_other_items(service: Any, seen: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager([BulkStrategy(3, dedupe=lambda item: item // 2), seen]) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(6)]
            tasks[0].add_done_callback(lambda _: [task.cancel() for task in tasks[1:]])
        assert [task.cancelled() for task in tasks] == [False] + [True] * 5
        assert [outcome.exception for outcome in seen.outcomes] == [None]

    run(main())


def test_a_batch_that_is_cancelled_cancels_its_items(service: Any) -> None:
    @batched
    async def load(items: List[int]) -> None:
        task = current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1.0)

    async def main() -> None:
        async with TaskManager(BulkStrategy()) as manager:
            tasks = [manager.submit(load, item) for item in range(2)]
        assert [task.cancelled() for task in tasks] == [True, True]

    run(main())


def test_join_does_not_wait_for_the_timer(service: Any) -> None:
    s = service()

    async def main() -> None:
        manager = TaskManager(BulkStrategy(100, 3600.0))
        await manager.idle()
        manager.submit(s.insert, 1)
        await asyncio.sleep(1.0)
        await manager.join()
        assert asyncio.get_running_loop().time() == 1.0
        manager.submit(s.insert, 2)
        await manager.stop()
        assert s.calls == [[1]]
        await manager.aclose()

    run(main())


def test_flush_lets_go_what_has_gathered(service: Any) -> None:
    s = service()

    async def main() -> None:
        strategy = BulkStrategy(100, 3600.0)
        async with TaskManager(strategy) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(3)]
            await asyncio.sleep(1.0)
            strategy.flush()
            await asyncio.gather(*tasks)

    run(main())
    assert (s.calls, s.times) == ([[0, 1, 2]], [1.0])


def test_stop_keeps_items_for_the_next_start_and_lets_running_calls_end(service: Any) -> None:
    s = service(seconds=1.0)

    async def main() -> None:
        manager = TaskManager(BulkStrategy(2, 5.0))
        early = [manager.submit(s.insert, "early")]
        await asyncio.sleep(20.0)
        await manager.idle()
        await asyncio.sleep(0.5)  # its time was over before the start
        assert s.calls == [["early"]]
        tasks = [manager.submit(s.insert, item) for item in range(3)]
        await asyncio.sleep(0.1)
        await manager.stop()
        assert [task.done() for task in early + tasks] == [True, True, True, False]
        await asyncio.sleep(100.0)
        assert len(s.calls) == 2
        await manager.idle()
        tasks.append(manager.submit(s.insert, 3))
        await asyncio.gather(*tasks)
        await manager.aclose()

    run(main())
    assert s.calls == [["early"], [0, 1], [2, 3]]
    assert s.times == [20.0, 20.5, 120.6 + 1.0 - 0.1]


def test_items_wait_for_the_next_loop(service: Any) -> None:
    s = service()
    manager = TaskManager(BulkStrategy(2, 5.0))

    async def first() -> Any:
        await manager.idle()
        task = manager.submit(s.insert, 1)
        await asyncio.sleep(1.0)
        await manager.stop()
        return task

    async def second(task: Any) -> None:
        await manager.idle()
        assert await task == "1 done"
        assert asyncio.get_running_loop().time() == 4.0
        await manager.aclose()

    run(second(run(first())))


def test_stop_with_a_timeout_cancels_the_call_and_its_undecided_items(service: Any) -> None:
    s = service(bad=[3], seconds=1.0)

    async def main() -> None:
        manager = TaskManager(BulkStrategy(4, on_failure="bisect"))
        await manager.idle()
        tasks = [manager.submit(s.insert, item) for item in range(4)]
        await asyncio.sleep(2.5)
        await manager.stop(timeout=0)
        assert [task.cancelled() for task in tasks] == [False, False, True, True]
        assert tasks[0].result() == "0 done"
        await manager.aclose()

    run(main())


def test_callbacks_of_items_that_are_cancelled_with_their_batch(service: Any) -> None:
    """One adds a twin of each, which joins no batch that is dead, and one cancels the other item: nothing is lost."""
    s = service(seconds=1.0)

    async def main() -> None:
        manager = TaskManager(BulkStrategy(dedupe=True))
        await manager.idle()
        tasks = [manager.submit(s.insert, item) for item in "abc"]

        def add_and_cancel(task: Any) -> None:
            tasks.extend(manager.submit(s.insert, item) for item in "abc")
            tasks[1].cancel()

        tasks[0].add_done_callback(add_and_cancel)
        await asyncio.sleep(0.5)
        await manager.stop(timeout=0)
        await manager.idle()
        await manager.join()
        assert [task.cancelled() for task in tasks] == [True] * 3 + [False] * 3
        assert tasks[5].result() == "c done"
        await manager.aclose()

    run(main())


def test_aclose_cancels_what_gathers(service: Any, again: Any) -> None:
    s = service(bad=[0], seconds=1.0, partial=True)

    async def main() -> None:
        strategy = BulkStrategy(2, 5.0)
        manager = TaskManager([strategy, again(3, delay=0.0)])
        await manager.idle()
        tasks = [manager.submit(s.insert, item) for item in range(3)]
        await asyncio.sleep(0.5)
        await manager.aclose()  # item 0 comes again while it waits for the call
        assert [task.cancelled() for task in tasks] == [True, False, True]
        assert strategy.stats()["items"] == strategy.stats()["batches"] == strategy.stats()["open_batches"] == 0

    run(main())


def test_a_loop_that_is_closed_in_the_middle_of_a_call(service: Any) -> None:
    s = service(seconds=1.0)
    strategy = BulkStrategy(2, 5.0)
    manager = TaskManager(strategy)
    tasks: List[Any] = []

    async def first() -> None:
        await manager.idle()
        tasks.extend(manager.submit(s.insert, item) for item in range(3))
        await asyncio.sleep(0.5)

    loop = VirtualTimeLoop()
    loop.run_until_complete(first())
    loop.close()

    async def second() -> None:
        await manager.idle()
        assert await tasks[2] == "2 done"
        await manager.aclose()

    run(second())
    assert [task.cancelled() for task in tasks] == [True, True, False]
    assert strategy.stats()["items"] == strategy.stats()["batches"] == 0


def test_max_pending_counts_items_and_does_not_refuse_their_batch(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy(2), max_pending=3) as manager:
            await asyncio.gather(*(manager.submit(s.insert, item) for item in range(2)))
            await manager.submit(s.insert, 2)

    run(main())
    assert s.calls == [[0, 1], [2]]


def test_map_over_a_batched_function(service: Any) -> None:
    s = service()

    async def main() -> List[str]:
        async with TaskManager(BulkStrategy(10)) as manager:
            return [one async for one in manager.map(s.insert, range(25), max_in_flight=20)]

    assert run(main()) == [f"{item} done" for item in range(25)]
    assert max(map(len, s.calls)) == 10


def test_one_batch_is_one_task_to_a_limit_and_nested_items_cannot_deadlock(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager([BulkStrategy(), ConcurrentLimitStrategy(1)]) as manager:

            @batched
            async def outer(items: List[int]) -> List[str]:
                return list(await asyncio.gather(*(manager.submit(s.insert, item) for item in items)))

            tasks = [manager.submit(outer, item) for item in range(5)]
        assert [task.result() for task in tasks] == [f"{item} done" for item in range(5)]

    run(main())
    assert s.calls == [[0, 1, 2, 3, 4]]


class Paced(BaseStrategy):
    """Four methods: one task at a time."""

    def __init__(self) -> None:
        self.queue: List[Any] = []
        self.busy = False

    def add_task(self, task: Any) -> None:
        self.queue.append(task)

    def get_next_task(self) -> Any:
        if self.busy or not self.queue:
            return None
        self.busy = True
        return self.queue.pop(0)

    async def get_sleep_interval(self) -> float:
        return float("inf")

    async def on_task_done(self) -> None:
        self.busy = False


@pytest.mark.parametrize("bulk_first", [False, True])
def test_strategies_that_hold_tasks_see_batches(service: Any, bulk_first: bool) -> None:
    s = service(seconds=1.0)

    async def main() -> None:
        both = [BulkStrategy(2), Paced()]
        async with TaskManager(both if bulk_first else both[::-1]) as manager:
            for item in range(6):
                manager.submit(s.insert, item)

    run(main())
    assert s.calls == [[0, 1], [2, 3], [4, 5]]
    assert s.most_running == 1


@pytest.mark.parametrize("at", [0.5, 1.5])
def test_when_it_is_unregistered_its_items_run_alone_and_none_twice(service: Any, at: float) -> None:
    s = service(seconds=1.0)

    async def main() -> None:
        strategy = BulkStrategy(3, 1.0)
        async with TaskManager(strategy) as manager:
            waiting = [manager.submit(s.insert, item) for item in range(2)]
            if at < 1.0:
                await asyncio.sleep(at)
            else:
                strategy.flush()
                await asyncio.sleep(at)
                waiting = [manager.submit(s.insert, item) for item in (7, 8)]
            manager.unregister(strategy)
            assert [await task for task in waiting] == [f"{item} done" for item in waiting_items(at)]
            await asyncio.sleep(5.0)

    def waiting_items(at: float) -> List[int]:
        return [0, 1] if at < 1.0 else [7, 8]

    run(main())
    assert sorted(s.done) == ([0, 1] if at < 1.0 else [0, 1, 7, 8])


def test_two_managers_share_nothing(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy()) as one, TaskManager(BulkStrategy()) as two:
            one.submit(s.insert, 1)
            two.submit(s.insert, 2)

    run(main())
    assert sorted(s.calls) == [[1], [2]]
