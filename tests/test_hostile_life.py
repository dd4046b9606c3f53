"""Managers and tasks that start, stop, end and are cancelled at the worst moments and from the wrong places."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading

import pytest

from atm_core import Task, TaskManager, TaskState, hookimpl
from atm_core.testing import run
from atm_plugins import ConcurrentLimitStrategy, FixedWindowStrategy


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_an_eager_task_factory():
    """What ended in its first step runs no more; otherwise stop() never returns."""

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)

        async def work():
            return 1

        manager = TaskManager(ConcurrentLimitStrategy(2))
        await manager.idle()
        assert [await task for task in [manager.submit(work) for _ in range(5)]] == [1] * 5
        assert manager.stats()["running"] == 0

    run(main(), allow_io=True)


def test_starting_again_while_the_stop_hooks_run():
    """The end of the old stop must not end the new run()."""

    class Slow:
        @hookimpl
        async def atm_manager_stopped(self, manager):
            await asyncio.sleep(1)

    async def main():
        manager = TaskManager([Slow()])
        await manager.idle()
        stopping = asyncio.ensure_future(manager.stop())
        await asyncio.sleep(0.5)
        running = asyncio.ensure_future(manager.run())
        await asyncio.sleep(5)
        assert stopping.done() and not running.done()
        await manager.stop()
        await running

    run(main())


def test_a_second_stop_returns_when_the_manager_has_stopped():
    ended = []

    class Slow:
        @hookimpl
        async def atm_manager_stopped(self, manager):
            await asyncio.sleep(1)
            ended.append(True)

    async def main():
        manager = TaskManager([Slow()])
        await manager.idle()
        stopping = asyncio.ensure_future(manager.stop())
        await asyncio.sleep(0.5)
        await manager.stop()
        assert ended
        await stopping

    run(main())


def test_a_strategy_that_was_taken_out_works_elsewhere():
    async def main():
        limit = ConcurrentLimitStrategy(1)
        async with TaskManager(limit) as one:
            one.unregister(limit)
            async with TaskManager(limit) as other:
                await other.submit(asyncio.sleep, 1)

    run(main())


def test_a_strategy_at_work_elsewhere_cannot_come_late():
    async def main():
        limit = ConcurrentLimitStrategy(1)
        async with TaskManager(limit), TaskManager() as other:
            with pytest.raises(RuntimeError, match="is at work in"):
                other.register(limit)

    run(main())


def test_a_task_run_by_hand_awaits_one_of_a_manager():
    async def main():
        async with TaskManager() as manager:
            managed = manager.submit(asyncio.sleep, 1, "result")

            async def work():
                return await managed

            assert await Task(work).run() == "result"

    run(main())


def test_a_task_run_by_hand_is_cancelled():
    """Settled is settled; and cancelling reaches the work."""

    async def main():
        task = Task(lambda: asyncio.sleep(10))
        running = asyncio.ensure_future(task.run())
        await asyncio.sleep(1)
        assert task.cancel()
        await asyncio.wait([running])
        assert task.state is TaskState.CANCELLED
        assert asyncio.get_running_loop().time() == 1

    run(main())


def test_a_callback_hands_in_the_next_task_when_one_may_wait():
    """What has ended is not in the queue."""
    refused = []

    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1), max_pending=1) as manager:

            def next_one(task):
                try:
                    manager.submit(asyncio.sleep, 1)
                except Exception as error:
                    refused.append(error)

            manager.submit(asyncio.sleep, 1).add_done_callback(next_one)

    run(main())
    assert not refused


def test_a_cancelled_future_counts_as_done_in_other_threads():
    async def main():
        async with TaskManager() as manager:

            def thread():
                future = manager.submit_threadsafe(asyncio.sleep, 3600)
                began.wait()
                future.cancel()
                return concurrent.futures.wait([future], timeout=5).done

            began = threading.Event()
            asyncio.get_running_loop().call_later(0.1, began.set)
            assert await asyncio.get_running_loop().run_in_executor(None, thread)

    run(main(), allow_io=True)


def test_a_cancelled_task_cancels_its_future():
    async def main():
        manager = TaskManager()
        await manager.idle()
        loop = asyncio.get_running_loop()
        future = await loop.run_in_executor(None, manager.submit_threadsafe, asyncio.sleep, 3600)
        await asyncio.sleep(0.01)
        await manager.aclose(timeout=0)
        assert future.cancelled()

    run(main(), allow_io=True)


def test_aligned_windows_where_starts_are_not_eager():
    async def main():
        loop, starts = asyncio.get_running_loop(), []

        async def work():
            starts.append(loop.time())

        async with TaskManager(FixedWindowStrategy(1, 3.75, align="epoch")) as manager:
            await asyncio.sleep(89)
            manager.submit(work)
            manager.submit(work)
        return starts

    assert run(main()) == [89, 90]


def test_nothing_starts_after_a_keyboard_interrupt():
    """A task that starts while the loop is shut down is never settled: by the real end of a program, no virtual one."""
    tasks = []

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(2))
        await manager.idle()

        async def interrupt():
            await asyncio.sleep(0)
            raise KeyboardInterrupt

        async def work():
            await asyncio.sleep(3600)

        tasks.extend(manager.add_task(one()) for one in (work, interrupt, work, work))
        await asyncio.sleep(3600)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert isinstance(tasks[1].exception(), KeyboardInterrupt)
    assert [task.cancelled() for task in tasks] == [True, False, True, True]


@pytest.mark.parametrize("what", ["stop", "aclose", "join"])
def test_another_loop_can_neither_stop_nor_join(what):
    async def main():
        manager = TaskManager()
        await manager.idle()
        task = manager.submit(asyncio.sleep, 0.1)

        def elsewhere():
            async def there():
                with pytest.raises(RuntimeError, match="another event loop"):
                    await asyncio.wait_for(getattr(manager, what)(), 1)

            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(there())
            finally:
                loop.close()

        try:
            await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, elsewhere), 3)
            await asyncio.wait_for(task, 1)
            assert manager.running
        finally:
            await manager.aclose(timeout=0)

    run(main(), allow_io=True)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_a_task_that_cancels_itself_in_its_eager_first_step():
    from atm_core import current_task

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)

        async def work():
            current_task().cancel()
            await asyncio.sleep(0.2)

        async with TaskManager(ConcurrentLimitStrategy(2)) as manager:
            task = manager.submit(work)
            await task.wait()
            assert task.cancelled()

    run(main(), allow_io=True)


def test_a_paused_manager_does_not_ask_at_the_times_of_its_gates():
    """It would ask for ever, since nothing starts."""

    async def main():
        async with TaskManager(FixedWindowStrategy(1, 1.0)) as manager:
            tasks = [manager.submit(asyncio.sleep, 0) for _ in range(2)]
            await asyncio.sleep(0.5)
            manager.pause()
            await asyncio.sleep(10)
            assert not tasks[1].done()
            manager.resume()
            await tasks[1]
            return asyncio.get_running_loop().time()

    assert run(main()) == 10.5


def test_a_closed_manager_takes_no_inner_work():
    async def main():
        manager = TaskManager()
        await manager.idle()
        await manager.aclose()
        with pytest.raises(RuntimeError):
            manager.add_inner(lambda: asyncio.sleep(0))

    run(main())
