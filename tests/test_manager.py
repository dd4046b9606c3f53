"""The life of a manager and of its tasks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import weakref

import pytest

from atm_core import (
    ConcurrentLimitStrategy,
    DelayedStrategy,
    ManagerClosedError,
    ManagerStateError,
    NotSettledError,
    QueueFullError,
    SettingError,
    Task,
    TaskManager,
    TaskState,
    WorkError,
    current_task,
    hookimpl,
    in_thread,
)
from atm_core.testing import VirtualTimeLoop, run


async def value(of="value", after=0.0):
    if after:
        await asyncio.sleep(after)
    return of


def test_a_task_from_pending_to_its_result():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1), name="m")
        task = manager.add_task(value(after=1), {"name": "one"})
        assert task.state is TaskState.PENDING
        assert not task.done()
        assert repr(task) == "<Task one pending>"
        assert repr(manager) == "<TaskManager m: 1 pending, 0 running>"
        with pytest.raises(NotSettledError):
            task.result()
        with pytest.raises(asyncio.InvalidStateError):
            task.exception()
        await manager.idle()
        await asyncio.sleep(0.5)
        assert task.state is TaskState.RUNNING
        assert repr(manager) == "<TaskManager m: 0 pending, 1 running>"
        assert await task == "value"
        assert await task == "value"
        assert (task.state, task.result(), task.exception(), task.attempts) == (TaskState.SUCCEEDED, "value", None, 1)
        assert task.cancel() is False
        await manager.stop()

    run(main())


def test_run_lasts_until_stop():
    async def main():
        manager = TaskManager()
        running = asyncio.ensure_future(manager.run())
        await asyncio.sleep(1)
        with pytest.raises(ManagerStateError, match="runs already"):
            await manager.run()
        task = manager.add_task(value(after=5))
        await asyncio.sleep(1)
        await manager.stop()
        await running
        assert task.result() == "value"
        assert asyncio.get_running_loop().time() == 6

    run(main())


def test_a_cancelled_run_cancels_what_runs_and_keeps_what_is_queued():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1))
        first, second = manager.submit(value, "a", 10), manager.submit(value, "b", 10)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(manager.run(), 3)
        assert first.cancelled()
        assert second.state is TaskState.PENDING
        await manager.idle()
        assert await second == "b"
        await manager.stop()

    run(main())


def test_stop_lets_work_finish_and_a_second_start_goes_on():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1))
        tasks = [manager.submit(value, i, 2) for i in range(3)]
        await manager.idle()
        await asyncio.sleep(1)
        await manager.stop()
        assert [task.state.value for task in tasks] == ["succeeded", "pending", "pending"]
        await asyncio.sleep(10)
        assert tasks[1].state is TaskState.PENDING
        await manager.idle()
        await manager.join()
        assert [task.result() for task in tasks] == [0, 1, 2]
        await manager.stop()
        await manager.stop()

    run(main())


def test_stop_with_a_timeout_cancels():
    async def main():
        manager = TaskManager()
        task = manager.submit(value, "x", 100)
        await manager.idle()
        await asyncio.sleep(1)
        await manager.stop(timeout=5)
        assert task.cancelled()
        assert asyncio.get_running_loop().time() == 6
        with pytest.raises(SettingError, match="timeout"):
            await manager.stop(timeout=-1)

    run(main())


def test_work_that_swallows_its_cancellation_does_not_hang_stop(caplog):
    async def main():
        async def stubborn():
            while True:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    if release:
                        raise

        release = []
        manager = TaskManager()
        task = manager.submit(stubborn)
        await manager.idle()
        await asyncio.sleep(1)
        await manager.stop(timeout=1)
        assert "ignore their cancellation" in caplog.text
        assert task.state is TaskState.RUNNING
        release.append(True)
        task.cancel()
        await task.wait()
        assert task.cancelled()

    run(main())


def test_aclose_settles_everything_and_takes_no_more():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1))
        tasks = [manager.submit(value, i, 2) for i in range(3)]
        await manager.idle()
        await asyncio.sleep(1)
        await manager.aclose()
        assert [task.state.value for task in tasks] == ["succeeded", "cancelled", "cancelled"]
        with pytest.raises(ManagerClosedError):
            manager.add_task(value())
        with pytest.raises(ManagerClosedError):
            manager.submit(value)
        with pytest.raises(ManagerClosedError):
            await manager.idle()

    run(main())


def test_async_with_drains():
    async def main():
        async with TaskManager(ConcurrentLimitStrategy(2)) as manager:
            tasks = [manager.submit(value, i, 1) for i in range(5)]
        assert [task.result() for task in tasks] == [0, 1, 2, 3, 4]

    run(main())


def test_async_with_cancels_after_an_error():
    async def main():
        with pytest.raises(KeyError):
            async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
                tasks = [manager.submit(value, i, 100) for i in range(3)]
                await asyncio.sleep(1)
                raise KeyError
        assert all(task.cancelled() for task in tasks)
        assert asyncio.get_running_loop().time() == 1

    run(main())


def test_join_refuses_what_could_never_end():
    async def main():
        manager = TaskManager()
        await manager.join()
        task = manager.submit(value)
        with pytest.raises(ManagerStateError, match="does not run"):
            await manager.join()
        await manager.idle()

        async def inside():
            with pytest.raises(ManagerStateError, match="wait for itself"):
                await manager.join()
            return True

        assert await manager.submit(inside)
        await manager.join()
        assert task.done()
        await manager.stop()

    run(main())


def test_stop_from_inside_a_task():
    async def main():
        manager = TaskManager()

        async def last():
            await manager.stop()
            return "stopped"

        other = manager.submit(value, "x", 3)
        task = manager.submit(last)
        await manager.run()
        assert await task == "stopped"
        assert other.result() == "x"

    run(main())


def test_pause_and_resume():
    async def main():
        async with TaskManager() as manager:
            manager.pause()
            task = manager.submit(value)
            await asyncio.sleep(5)
            assert task.state is TaskState.PENDING
            assert "paused" in str(manager.explain(task))
            manager.resume()
            assert await task == "value"

    run(main())


def test_max_pending():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1), max_pending=2)
        await manager.idle()
        running = manager.submit(value, 1, 5)
        queued = [manager.submit(value, i, 5) for i in range(2)]
        with pytest.raises(QueueFullError, match="max_pending"):
            manager.add_task(value())
        await running
        await asyncio.sleep(0)
        manager.submit(value)
        await manager.join()
        assert all(task.done() for task in queued)
        assert manager.stats()["rejected"] == 1
        await manager.stop()

    run(main())


def test_every_await_of_a_task_gets_the_result_and_cancelling_one_hurts_nobody():
    async def main():
        async with TaskManager() as manager:
            task = manager.submit(value, "x", 5)

            async def wait():
                return await task

            waiters = [asyncio.ensure_future(wait()) for _ in range(3)]
            await asyncio.sleep(1)
            waiters[0].cancel()
            assert await waiters[1] == await waiters[2] == "x"
            assert waiters[0].cancelled()
            assert await asyncio.gather(task, task) == ["x", "x"]

    run(main())


def test_done_callbacks(caplog):
    async def main():
        seen = []

        def fails(task):
            raise ValueError("callback")

        async with TaskManager() as manager:
            task = manager.submit(value, "x", 1)
            task.add_done_callback(seen.append)
            task.add_done_callback(fails)
            task.add_done_callback(seen.clear)
            assert task.remove_done_callback(seen.clear) == 1
            await task
            task.add_done_callback(seen.append)
        assert seen == [task, task]
        assert "callback" in caplog.text

    run(main())


def test_current_task_reaches_into_the_asyncio_tasks_that_work_makes():
    async def main():
        async def work():
            child = asyncio.ensure_future(value_of_current())
            return current_task(), await child

        async def value_of_current():
            return current_task()

        async with TaskManager() as manager:
            task = manager.submit(work)
            assert await task == (task, task)
        assert current_task() is None

    run(main())


def test_work_runs_in_the_context_in_which_it_was_added():
    """Not in that of the task whose end made room for it."""
    variable = contextvars.ContextVar("variable", default="outside")

    async def main():
        async def work():
            seen.append(variable.get())
            variable.set("inside")
            await asyncio.sleep(1)

        seen = []
        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            manager.submit(work)
            variable.set("second")
            manager.submit(work)
            manager.submit(work)
        assert seen == ["outside", "second", "second"]
        assert variable.get() == "second"

    run(main())


def test_a_task_made_by_hand():
    async def main():
        alone = Task(value("alone"))
        assert await alone.run() == "alone"
        assert alone.result() == "alone"
        async with TaskManager() as manager:
            task = Task(value("managed"), {"a": 1})
            assert manager.add_task(task, {"b": 2}) is task
            assert task.metadata == {"a": 1, "b": 2}
            assert await task.run() == "managed"
            with pytest.raises(WorkError, match="added already"):
                manager.add_task(task)
        dropped = Task(value())
        assert dropped.cancel()
        assert dropped.cancelled()

    run(main())


def test_metadata_is_copied_and_made_only_when_needed():
    async def main():
        given = {"a": 1}
        async with TaskManager() as manager:
            task, other = manager.add_task(value, given), manager.add_task(value, given)
            task.metadata["a"] = 2
            assert other.metadata == given == {"a": 1}
            bare = manager.submit(value)
            assert bare._metadata is None
            assert bare.metadata == {}
            with pytest.raises(WorkError, match="metadata must be a mapping"):
                manager.add_task(value, ["a"])

    run(main())


def test_submit_takes_arguments_and_in_thread_takes_plain_functions():
    async def main():
        def plain(a, *, b):
            return a + b

        async with TaskManager() as manager:
            assert await manager.submit(in_thread(plain), 1, b=2) == 3
        with pytest.raises(WorkError, match="plain function"):
            in_thread(value)

    run(main(), allow_io=True)


def test_one_manager_in_one_loop_after_another():
    manager = TaskManager(DelayedStrategy(1))
    tasks = [manager.submit(value, i) for i in range(4)]

    async def first():
        await manager.idle()
        await asyncio.sleep(1.5)
        await manager.stop()

    async def second():
        await asyncio.sleep(100)
        await manager.idle()
        await manager.join()
        await manager.stop()
        return asyncio.get_running_loop().time()

    run(first())
    assert [task.done() for task in tasks] == [True, True, False, False]
    assert run(second()) < 103
    assert [task.result() for task in tasks] == [0, 1, 2, 3]


def test_two_running_loops_with_one_manager_are_refused():
    manager = TaskManager()
    loop = VirtualTimeLoop()
    loop.run_until_complete(manager.idle())
    try:
        with pytest.raises(ManagerStateError, match="another event loop"):
            run(manager.idle())
        task = loop.run_until_complete(_submitted(manager))
        with pytest.raises(ManagerStateError, match="another event loop"):
            run(_awaited(task))
    finally:
        loop.run_until_complete(manager.stop(timeout=0))
        loop.close()


async def _submitted(manager):
    return manager.submit(value, "x", 10)


async def _awaited(task):
    return await task


def test_a_loop_that_is_shut_down_settles_everything(caplog):
    """asyncio.run cancels all tasks at its end: nothing queued starts any more, and nothing stays unsettled."""
    began = []

    async def work():
        began.append(True)
        await asyncio.sleep(100)

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(2))
        await manager.idle()
        tasks = [manager.add_task(work()) for _ in range(6)]
        await asyncio.sleep(1)
        return manager, tasks

    _manager, tasks = run(main())
    assert [task.state for task in tasks] == [TaskState.CANCELLED] * 6
    assert len(began) == 2
    assert "4 queued tasks were cancelled" in caplog.text


def test_a_loop_closed_under_a_manager_leaves_nothing_behind(caplog):
    manager = TaskManager(ConcurrentLimitStrategy(1))
    loop = VirtualTimeLoop()

    async def main():
        await manager.idle()
        tasks = [manager.submit(value, i, 10) for i in range(3)]
        await asyncio.sleep(1)
        return tasks

    tasks = loop.run_until_complete(main())
    loop.close()

    async def again():
        await manager.idle()
        await manager.join()
        await manager.stop()

    run(again())
    assert [task.state.value for task in tasks] == ["cancelled", "succeeded", "succeeded"]


def test_a_dropped_manager_reports_what_never_ran(caplog):
    coroutine = value()
    manager = TaskManager()
    manager.add_task(coroutine)
    del manager
    gc.collect()
    assert coroutine.cr_frame is None
    assert "1 tasks that never ran" in caplog.text


def test_an_unseen_failure_is_reported_and_a_seen_one_is_not(caplog):
    async def main():
        async def fail():
            raise ValueError("nobody looks")

        async with TaskManager() as manager:
            seen = manager.submit(fail)
            await seen.wait()
            seen.exception()
            del seen
            gc.collect()
            assert not caplog.records
            unseen = manager.submit(fail)
            await unseen.wait()
            del unseen
            gc.collect()
        assert "exception was never retrieved" in caplog.text
        assert "nobody looks" in caplog.text

    with caplog.at_level(logging.ERROR, "atm_core"):
        run(main())


def test_finished_tasks_and_managers_can_be_collected():
    class Result:
        pass

    async def main():
        async def work(argument):
            return Result()

        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            task = manager.submit(work, Result())
            result = weakref.ref(await task)
            task = weakref.ref(task)
            await asyncio.sleep(0)
            gc.collect()
            assert task() is None
            assert result() is None
        return weakref.ref(manager)

    manager = run(main())
    gc.collect()
    assert manager() is None


def test_cancelled_tasks_do_not_stay_in_the_queue():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1))
        await manager.idle()
        manager.submit(value, "x", 10)
        await asyncio.sleep(1)
        tasks = [weakref.ref(manager.submit(value)) for _ in range(1000)]
        for task in tasks:
            task().cancel()
        gc.collect()
        assert sum(task() is not None for task in tasks) <= 130
        await manager.join()
        await manager.stop()

    run(main())


def test_explain_names_who_holds_a_task_and_until_when():
    async def main():
        manager = TaskManager([ConcurrentLimitStrategy(1), DelayedStrategy(5, measure_from="start")])
        first, second, third = (manager.submit(value, i, 10) for i in range(3))
        assert "not started" in str(manager.explain(first))
        await manager.idle()
        await asyncio.sleep(1)
        assert "runs" in str(manager.explain(first))
        why = manager.explain(second)
        assert (why.strategy, why.ahead) == ("concurrent_limit", 0)
        assert "1 of 1 slots are taken" in why.reason
        assert [(one.strategy, one.until) for one in why.obstacles][1] == ("delayed", 5.0)
        assert "1 task before it in its lane" in str(manager.explain(third))
        await manager.join()
        assert "settled" in str(manager.explain(third))
        await manager.stop()

    run(main())


def test_recurring_tasks_between_two_runs_take_no_place_in_the_queue():
    class Hourly:
        @hookimpl
        def atm_again(self, task, now):
            if not task.metadata.get("recurs"):
                return None
            task.recurring = True
            return now + 3600

    async def main():
        manager = TaskManager([Hourly(), ConcurrentLimitStrategy(1)], max_pending=2)
        await manager.idle()
        recurring = []
        for _ in range(5):
            recurring.append(manager.add_task(value, {"recurs": True}))
            await asyncio.sleep(1)
        assert [result async for result in manager.map(value, range(5))] == [0, 1, 2, 3, 4]
        manager.pause()
        waiting = [manager.submit(value), manager.submit(value)]
        with pytest.raises(QueueFullError):
            manager.submit(value)
        manager.resume()
        await asyncio.gather(*waiting)
        await manager.aclose()
        assert all(task.attempts == 1 and task.cancelled() for task in recurring)

    run(main())


def test_join_ends_when_someone_stops_the_manager():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1), name="m")
        await manager.idle()
        tasks = [manager.submit(value, i, 1) for i in range(3)]
        joining = asyncio.ensure_future(manager.join())
        await asyncio.sleep(0.5)
        await manager.stop()
        with pytest.raises(ManagerStateError, match="m: 2 pending, 0 running> does not run: its tasks would never end"):
            await joining
        await manager.idle()
        await manager.join()
        assert [task.result() for task in tasks] == [0, 1, 2]
        await manager.stop()

    run(main())


def test_explain_names_who_sent_a_task_to_sleep():
    class Later:
        @hookimpl
        def atm_admitted(self, task, now):
            task.not_before = now + 5

    class Once:
        def explain(self, task, now):
            return f"attempt {task.attempts} was not enough"

        @hookimpl
        def atm_again(self, task, now):
            return now + 3 if task.attempts == 1 else None

    async def main():
        async with TaskManager([Later(), Once()]) as manager:
            task = manager.submit(value)
            await asyncio.sleep(1)
            why = manager.explain(task)
            assert (why.strategy, why.until) == ("later", 5.0)
            assert str(why).endswith("waits: later: it is not to start yet (for another 4.000 s)")
            await asyncio.sleep(5)
            assert str(manager.explain(task)).endswith("waits: once: attempt 1 was not enough (for another 2.000 s)")
        assert not manager._scheduler.sleepers.by

    run(main())


def test_stats_count():
    async def main():
        async def fail():
            raise ValueError

        manager = TaskManager(ConcurrentLimitStrategy(2))
        await manager.idle()
        slow = manager.submit(value, 1, 10)
        tasks = [slow, manager.submit(fail), manager.submit(value, 1, 10), manager.submit(value)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        figures = manager.stats()
        assert (figures["running"], figures["pending"]) == (2, 1)
        await manager.join()
        tasks[1].exception()
        figures = manager.stats()
        keys = ("added", "pending", "running", "succeeded", "failed", "cancelled", "attempts")
        assert [figures[key] for key in keys] == [4, 0, 0, 2, 1, 1, 4]
        assert figures["waits"]["concurrent_limit"] >= 1
        assert figures["strategies"]["concurrent_limit"] == {
            "max_concurrent": 2,
            "running": 0,
            "keys": 0,
            "lending": 0,
        }
        await manager.stop()

    run(main())
