"""Bad input, faults and cancellation: a clear error, nothing lost, every slot comes back."""

from __future__ import annotations

import asyncio
import functools
import time

import pytest

from atm_core import (
    ConcurrentLimitStrategy,
    FixedWindowStrategy,
    ManagerStateError,
    SettingError,
    Task,
    TaskManager,
    TaskState,
    WorkError,
    current_task,
    hookimpl,
)
from atm_core.testing import run


async def value(of="value", after=0.0):
    if after:
        await asyncio.sleep(after)
    return of


class Books:
    """Counts what is started and finished."""

    def __init__(self):
        self.started, self.finished, self.settled = [], [], []

    @hookimpl
    def atm_started(self, task):
        self.started.append(task)

    @hookimpl
    def atm_finished(self, task):
        self.finished.append(task)

    @hookimpl
    def atm_settled(self, task):
        self.settled.append(task)


@pytest.mark.parametrize("strategies", [[], ["books"]])
@pytest.mark.parametrize("cancel_after", range(6))
def test_cancellation_at_every_step_gives_the_slot_back(cancel_after, strategies):
    async def main():
        async def work():
            for _ in range(3):
                await asyncio.sleep(0)
            return "done"

        books = Books()
        limit = ConcurrentLimitStrategy(1)
        async with TaskManager([limit, *([books] if strategies else [])]) as manager:
            task = manager.add_task(work())
            for _ in range(cancel_after):
                await asyncio.sleep(0)
            task.cancel()
            await task.wait()
            assert task.state in (TaskState.CANCELLED, TaskState.SUCCEEDED)
            assert await manager.submit(value) == "value"
        assert limit.stats()["running"] == 0
        assert books.started == books.finished

    run(main())


def test_a_handle_cancelled_before_its_start_never_begins():
    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            coroutine = value()
            task = manager.add_task(coroutine)
            assert task.cancel()
            assert task.cancelled()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert coroutine.cr_frame is None

    run(main())


def test_cancelling_the_asyncio_task_from_outside():
    async def main():
        inner = []

        async def work():
            inner.append(asyncio.current_task() if hasattr(asyncio, "current_task") else None)
            await asyncio.sleep(100)

        limit = ConcurrentLimitStrategy(1)
        async with TaskManager(limit) as manager:
            task = manager.submit(work)
            await asyncio.sleep(1)
            inner[0].cancel()
            await task.wait()
            assert task.cancelled()
            assert await manager.submit(value) == "value"
        assert limit.stats()["running"] == 0

    run(main())


def test_work_that_cancels_itself_or_raises_cancelled_error():
    async def main():
        async def cancels():
            current_task().cancel()
            await asyncio.sleep(1)

        async def raises():
            raise asyncio.CancelledError

        async def survives():
            current_task().cancel()
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                return "survived"

        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            tasks = [manager.submit(work) for work in (cancels, raises, survives)]
            await manager.join()
            assert tasks[0].cancelled()
            assert tasks[1].cancelled()
            assert tasks[2].result() == "survived"

    run(main())


def test_work_that_returns_an_exception_has_succeeded():
    async def main():
        error = ValueError()
        async with TaskManager() as manager:
            task = manager.submit(value, error)
            assert await task is error
            assert task.exception() is None

    run(main())


def test_a_failure_keeps_its_traceback_but_not_our_frames():
    async def main():
        async def fail():
            raise ValueError("here")

        async with TaskManager() as manager:
            task = manager.submit(fail)
            await task.wait()
            names = []
            trace = task.exception().__traceback__
            while trace is not None:
                names.append(trace.tb_frame.f_code.co_name)
                trace = trace.tb_next
            assert names == ["fail"]

    run(main())


@pytest.mark.parametrize("stopper", [KeyboardInterrupt, SystemExit])
def test_what_stops_the_program_passes_through_and_leaves_nothing_booked(stopper):
    limit = ConcurrentLimitStrategy(1)
    manager = TaskManager(limit)
    tasks = []

    async def interrupt():
        await asyncio.sleep(1)
        raise stopper

    async def main():
        await manager.idle()
        tasks.extend([manager.submit(interrupt), manager.submit(value)])
        await asyncio.sleep(5)

    with pytest.raises(stopper):
        run(main())
    assert isinstance(tasks[0].exception(), stopper)
    assert tasks[1].done()
    assert limit.stats()["running"] == 0


def test_the_same_coroutine_twice():
    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            coroutine = value()
            first = manager.add_task(coroutine)
            with pytest.raises(WorkError, match="added already: a coroutine runs only once"):
                manager.add_task(coroutine)
            assert await first == "value"
            again = manager.add_task(coroutine)
            with pytest.raises(RuntimeError, match="already awaited coroutine"):
                await again

    run(main())


def _twice_by_a_variable(add):
    coroutine = value()
    add(coroutine)
    add(coroutine)


def _twice_from_a_list(add):
    coroutines = [value(), value()]
    for _ in range(2):
        for coroutine in coroutines:
            add(coroutine)


def _twice_by_one_caller_after_another(add):
    def helper(coroutine):
        return add(work=coroutine)

    coroutines = [value()]
    helper(coroutines[0])
    helper(coroutines.pop())


def _twice_by_a_partial(add):
    again = functools.partial(add, value())
    again()
    again()


def _twice_by_arguments(add):
    arguments = (value(), {"a": 1})
    add(*arguments)
    add(*arguments)


def _twice_through_the_task(add):
    add(add(value()).work)


def _twice_through_two_tasks(add):
    tasks = [Task(work) for work in [value()] for _ in range(2)]
    for task in tasks:
        add(task)


def _twice_a_future(add):
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    add(future)
    add(future)


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize(
    "twice",
    [
        _twice_by_a_variable,
        _twice_from_a_list,
        _twice_by_one_caller_after_another,
        _twice_by_a_partial,
        _twice_by_arguments,
        _twice_through_the_task,
        _twice_through_two_tasks,
        _twice_a_future,
    ],
)
def test_the_same_awaitable_twice_from_anywhere(twice, started):
    """A coroutine to which nobody else refers cannot be added twice, and is not noted; every other one is."""

    async def main():
        manager = TaskManager()
        if started:
            await manager.idle()
        with pytest.raises(WorkError, match="added already"):
            twice(manager.add_task)
        await manager.idle()
        await manager.join()
        await manager.stop()

    run(main())


def generator():
    yield


async def async_generator():
    yield


class NotAwaitable:
    pass


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (None, "must be an awaitable, or a callable"),
        (3, "got 3"),
        ("value", "got 'value'"),
        (generator, "generator function"),
        (async_generator, "generator function"),
        (time.sleep, r"pass in_thread\(sleep\)"),
        (NotAwaitable, "instances cannot be awaited"),
    ],
)
def test_what_cannot_be_work_is_refused_at_once(work, message):
    manager = TaskManager()
    with pytest.raises(WorkError, match=message):
        manager.add_task(work)
    with pytest.raises(WorkError, match=message):
        manager.submit(work)


def test_a_plain_function_is_refused_with_the_hint():
    async def main():
        def plain():
            return 3

        async with TaskManager() as manager:
            with pytest.raises(WorkError, match=r"returned int, not an awaitable: make it async, or pass in_thread\("):
                await manager.submit(plain)

    run(main())


def test_any_awaitable_is_work():
    class Awaitable:
        def __await__(self):
            yield from asyncio.sleep(1).__await__()
            return "awaited"

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(1, future.set_result, "future")
        async with TaskManager() as manager:
            tasks = [manager.add_task(Awaitable()), manager.add_task(future), manager.add_task(Awaitable)]
            assert [await task for task in tasks] == ["awaited", "future", "awaited"]

    run(main())


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": -1.0}, "poll_interval"),
        ({"poll_interval": "1"}, "poll_interval"),
        ({"poll_interval": True}, "poll_interval"),
        ({"max_pending": 0}, "max_pending"),
        ({"max_pending": 1.5}, "max_pending"),
        ({"name": 3}, "name"),
    ],
)
def test_wrong_settings_of_a_manager(settings, parameter):
    with pytest.raises(SettingError) as raised:
        TaskManager(None, **settings)
    assert raised.value.parameter == parameter


def test_no_more_than_the_window_allows_though_the_loop_is_behind():
    """What counts is the first step, however many were decided in one turn."""

    async def main():
        loop, begun = asyncio.get_running_loop(), []

        async def work():
            begun.append(loop.time())

        async with TaskManager(FixedWindowStrategy(10, 1.0)) as manager:
            tasks = [manager.submit(work) for _ in range(35)]
            tasks[3].cancel()
            await asyncio.sleep(0.5)
        assert len(begun) == 34
        assert [begun.count(at) for at in (0, 1, 2, 3)] == [10, 10, 10, 4]

    run(main())


def test_a_million_starts_do_not_starve_the_loop():
    """At most a bounded number of starts, then the loop has its turn."""

    async def main():
        ticks = []

        async def tick():
            while True:
                ticks.append(manager.stats()["attempts"])
                await asyncio.sleep(0)

        async with TaskManager() as manager:
            ticking = asyncio.ensure_future(tick())
            for _ in range(2000):
                manager.submit(value)
            await manager.join()
            ticking.cancel()
        assert max(after - before for before, after in zip(ticks, ticks[1:])) <= 300

    run(main())


def test_recursion_is_bounded_by_no_stack():
    """Work that adds work, a thousand times over."""

    async def main():
        async def chain(n):
            return n if n == 0 else manager.submit(chain, n - 1)

        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            task = manager.submit(chain, 5000)
            for _ in range(5000):
                task = await task
            assert await task == 0

    run(main())


def test_one_strategy_in_two_running_managers_is_refused_before_anything_hangs():
    class Observer:
        settled = 0

        @hookimpl
        def atm_settled(self, task):
            self.settled += 1

    async def main():
        limit, observer = ConcurrentLimitStrategy(1), Observer()
        first, second = TaskManager([limit, observer], name="first"), TaskManager([limit, observer], name="second")
        async with first:
            with pytest.raises(ManagerStateError, match="is at work in <TaskManager first.*make a second instance for"):
                await second.idle()
            assert not second.running
            task = first.submit(asyncio.sleep, 1)
        async with second:  # the first has ended
            await second.submit(asyncio.sleep, 1)
        assert (task.done(), observer.settled) == (True, 2)
        limit.shareable = True
        async with TaskManager(limit), TaskManager(limit) as another:
            await another.submit(asyncio.sleep, 1)

    run(main())
