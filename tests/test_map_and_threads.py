"""Results as a stream, and work from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading

import pytest

from atm_core import ConcurrentLimitStrategy, ManagerStateError, QueueFullError, SettingError, TaskManager, WorkError
from atm_core.testing import run


async def double(i):
    await asyncio.sleep(1 + i % 3)
    return i * 2


async def endless():
    for i in itertools.count():
        yield i
        await asyncio.sleep(0)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("source", [range(20), [*range(20)], "async"])
def test_every_result_comes_once(ordered, source):
    async def items():
        for i in range(20):
            yield i

    async def main():
        results = []
        async with TaskManager(ConcurrentLimitStrategy(5)) as manager:
            async for result in manager.map(double, items() if source == "async" else source, ordered=ordered):
                results.append(result)
        assert sorted(results) == [i * 2 for i in range(20)]
        assert (results == sorted(results)) is ordered

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_memory_is_bounded_over_endless_items_and_leaving_early_cancels_the_rest(ordered):
    async def main():
        alive, most, taken = 0, 0, 0

        async def items():
            nonlocal taken
            try:
                async for i in endless():
                    taken += 1
                    yield i
            finally:
                closed.append(True)

        async def work(i):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            try:
                await asyncio.sleep(1)
                return i
            finally:
                alive -= 1

        closed = []
        async with TaskManager(ConcurrentLimitStrategy(10)) as manager:
            results = manager.map(work, items(), max_in_flight=25, ordered=ordered)
            count = 0
            async for _ in results:
                count += 1
                assert taken - count <= 26
                if count == 100:
                    break
            await results.aclose()
            assert manager.stats()["pending"] == 0
        assert most == 10
        assert alive == 0
        assert closed == [True]

    run(main())


def test_a_slow_consumer_stops_the_feed():
    async def main():
        taken = []

        def items():
            for i in range(1000):
                taken.append(i)
                yield i

        async with TaskManager() as manager:
            results = manager.map(double, items(), max_in_flight=10)
            first = await results.__anext__()
            await asyncio.sleep(100)
            assert (first, len(taken)) == (0, 11)
            await results.aclose()

    run(main())


def test_a_failure_ends_the_iteration_or_is_a_result():
    async def odd(i):
        if i == 3:
            raise ValueError(i)
        return i

    async def main():
        async with TaskManager() as manager:
            seen = []
            with pytest.raises(ValueError):
                async for result in manager.map(odd, range(10)):
                    seen.append(result)
            assert seen == [0, 1, 2]
            results = [r async for r in manager.map(odd, range(5), return_exceptions=True)]
            assert [r if isinstance(r, int) else repr(r) for r in results] == [0, 1, 2, "ValueError(3)", 4]

    run(main())


def test_failing_items_end_the_iteration_after_what_came_before():
    async def items():
        yield 1
        yield 2
        raise KeyError("items")

    async def main():
        async with TaskManager() as manager:
            seen = []
            with pytest.raises(KeyError):
                async for result in manager.map(double, items()):
                    seen.append(result)
            assert seen == [2, 4]

    run(main())


def test_map_waits_where_add_task_refuses():
    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1), max_pending=2) as manager:
            assert [r async for r in manager.map(double, range(10))] == [i * 2 for i in range(10)]

    run(main())


def test_map_keeps_every_slot_busy_though_the_queue_is_short():
    async def main():
        async with TaskManager(ConcurrentLimitStrategy(10), max_pending=2) as manager:
            assert [r async for r in manager.map(double, [0] * 40)] == [0] * 40
        assert asyncio.get_running_loop().time() == 4

    run(main())


def test_map_checks_its_arguments_at_once():
    async def main():
        async with TaskManager() as manager:
            with pytest.raises(SettingError, match="max_in_flight"):
                manager.map(double, [], max_in_flight=0)
            with pytest.raises(SettingError, match="items must be iterable"):
                manager.map(double, 3)
            with pytest.raises(WorkError):
                manager.map(3, [])
        with pytest.raises(ManagerStateError, match="needs a manager that runs"):
            async for _ in TaskManager().map(double, [1]):
                pass

    run(main())


@pytest.mark.slow
def test_ten_threads_submit_at_once():
    async def square(i):
        await asyncio.sleep(0)
        return i * i

    async def main():
        loop = asyncio.get_event_loop()
        async with TaskManager(ConcurrentLimitStrategy(3)) as manager:

            def feed(start):
                futures = [manager.submit_threadsafe(square, i) for i in range(start, start + 100)]
                return [future.result(timeout=60) for future in futures]

            with concurrent.futures.ThreadPoolExecutor(10) as threads:
                jobs = [loop.run_in_executor(threads, feed, n * 100) for n in range(10)]
                results = [one for job in jobs for one in await job]
        assert results == [i * i for i in range(1000)]

    asyncio.run(main())


@pytest.mark.slow
def test_failure_refusal_and_cancellation_reach_the_thread():
    async def fail():
        raise ValueError("work")

    async def main():
        loop = asyncio.get_event_loop()
        async with TaskManager(ConcurrentLimitStrategy(1), max_pending=1) as manager:

            def in_a_thread():
                with pytest.raises(ValueError, match="work"):
                    manager.submit_threadsafe(fail).result(timeout=60)
                blocker = manager.submit_threadsafe(asyncio.sleep, 3600)
                queued = manager.submit_threadsafe(asyncio.sleep, 3600)
                with pytest.raises(QueueFullError):
                    manager.submit_threadsafe(asyncio.sleep, 0).result(timeout=60)
                assert queued.cancel()
                assert blocker.cancel()
                with pytest.raises(ManagerStateError, match="submit_threadsafe"):
                    manager.submit(fail)

            await loop.run_in_executor(None, in_a_thread)
            await manager.join()
            assert manager.stats()["cancelled"] == 2
        with pytest.raises(ManagerStateError, match="does not run"):
            manager.submit_threadsafe(fail)

    asyncio.run(main())


@pytest.mark.slow
def test_a_handle_may_be_cancelled_from_another_thread():
    async def main():
        async with TaskManager() as manager:
            task = manager.submit(asyncio.sleep, 3600)
            await asyncio.sleep(0)
            thread = threading.Thread(target=task.cancel)
            thread.start()
            await task.wait()
            thread.join()
            assert task.cancelled()

    asyncio.run(main())
