"""What a hostile user does, a test for each: nothing is lost, nothing hangs, and every mistake is told."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import dataclasses
import gc
import inspect
import math
import sys
import threading
import warnings

import pytest

from atm_core import BaseStrategy, SettingError, Task, TaskManager, TaskRejected, TaskState, WorkError, hookimpl
from atm_core.testing import run
from atm_plugins import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy


@pytest.fixture(autouse=True)
def _reported_here():
    """Failures at which nobody looks are reported when they are collected: now, and not in the middle of what comes."""
    yield
    gc.collect()


def test_a_callback_that_asks_a_cancelled_task_for_its_result():
    """CancelledError is a BaseException from 3.8 on: it must not stop the manager."""

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1))
        await manager.idle()
        running, queued = manager.submit(asyncio.sleep, 10), manager.submit(asyncio.sleep, 1)
        running.add_done_callback(lambda task: task.result())
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.sleep(5)
        assert queued.done()
        await manager.stop()

    run(main())


def test_the_same_in_the_queue():
    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            manager.submit(asyncio.sleep, 1)
            queued = manager.submit(asyncio.sleep, 1)
            queued.add_done_callback(lambda task: task.result())
            assert queued.cancel()

    run(main())


def test_an_observer_that_asks_a_cancelled_task_for_its_result():
    class Prints:
        @hookimpl
        def atm_settled(self, task):
            task.result()

    async def main():
        async with TaskManager([ConcurrentLimitStrategy(1), Prints()]) as manager:
            running, queued = manager.submit(asyncio.sleep, 10), manager.submit(asyncio.sleep, 1)
            await asyncio.sleep(1)
            running.cancel()
            await asyncio.sleep(5)
            assert queued.done()

    run(main())


@pytest.mark.parametrize(
    "hook",
    ["atm_order", "atm_lane", "atm_hold", "atm_ready_at", "atm_started", "atm_began", "atm_finished", "atm_again"],
)
def test_a_hook_that_raises_cancelled_error(hook):
    """The manager and every other task go on."""

    def fails(self, task):
        self.calls += 1
        if self.calls == 1:
            raise asyncio.CancelledError

    fails.__name__ = hook
    plugin = type("Plugin", (), {"calls": 0, hook: hookimpl(fails)})()

    async def main():
        manager = TaskManager([ConcurrentLimitStrategy(1), plugin])
        await manager.idle()
        tasks = [manager.submit(asyncio.sleep, 1) for _ in range(3)]
        await asyncio.sleep(10)
        assert all(task.done() for task in tasks)
        await manager.aclose(timeout=0)

    run(main())


def test_four_methods_are_told_of_the_end_of_each_task_that_they_handed_out():
    """Also of one that was cancelled in their queue: they cannot know."""

    class Limit(BaseStrategy):
        def __init__(self):
            self.running, self.tasks = 0, collections.deque()

        def add_task(self, task):
            self.tasks.append(task)

        def get_next_task(self):
            if self.running or not self.tasks:
                return None
            self.running += 1
            return self.tasks.popleft()

        async def get_sleep_interval(self):
            return math.inf

        async def on_task_done(self):
            self.running -= 1

    async def main():
        manager = TaskManager(Limit())
        await manager.idle()
        _, second, third = [manager.submit(asyncio.sleep, 1) for _ in range(3)]
        await asyncio.sleep(0.5)
        second.cancel()
        await asyncio.sleep(5)
        assert third.done()
        await manager.stop()

    run(main())


@pytest.mark.parametrize("answer", ["the same", "text", "foreign"])
def test_four_methods_that_answer_nonsense_do_not_hang_the_loop(answer):
    class Bad(BaseStrategy):
        def __init__(self):
            self.tasks, self.asked = [], 0

        def add_task(self, task):
            self.tasks.append(task)

        def get_next_task(self):
            self.asked += 1
            if self.asked > 1000:
                raise SystemExit("the loop hangs")
            return {"the same": self.tasks[0], "text": "text", "foreign": Task(lambda: asyncio.sleep(1))}[answer]

        async def get_sleep_interval(self):
            return 1

        async def on_task_done(self):
            pass

    async def main():
        manager = TaskManager(Bad())
        await manager.idle()
        tasks = [manager.submit(asyncio.sleep, 1) for _ in range(3)]
        await asyncio.sleep(100)
        assert all(task.done() for task in tasks)
        await manager.aclose(timeout=0)

    run(main())


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

    asyncio.run(main())


def test_a_key_that_changes_in_the_queue():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1, key="host"))
        await manager.idle()
        manager.add_task(lambda: asyncio.sleep(1), {"host": "a"})
        moved = manager.add_task(lambda: asyncio.sleep(3), {"host": "a"})
        await asyncio.sleep(0.5)
        moved.metadata["host"] = "b"
        await asyncio.sleep(1)
        other = manager.add_task(lambda: asyncio.sleep(1), {"host": "b"})
        await asyncio.sleep(20)
        assert moved.done() and other.done()
        await manager.aclose(timeout=0)

    run(main())


def test_costs_that_are_no_whole_numbers():
    """0.1 + 0.2 - 0.1 - 0.2 is not 0: a key stays, and what needs the whole limit never starts."""

    async def main():
        limit = ConcurrentLimitStrategy(3, key="host", cost="cost")
        async with TaskManager(limit) as manager:
            for cost in (0.1, 0.2, 0.3):
                manager.add_task(lambda: asyncio.sleep(1), {"host": 1, "cost": cost})
        assert limit.stats()["keys"] == 0

    run(main())


def test_a_task_that_needs_the_whole_limit():
    """0.2 + 0.4 + 0.3 - 0.2 - 0.4 - 0.3 is 1.7e-16."""

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1, cost="cost"))
        await manager.idle()
        for cost in (0.2, 0.4, 0.3):
            manager.add_task(lambda: asyncio.sleep(1), {"cost": cost})
        large = manager.add_task(lambda: asyncio.sleep(1), {"cost": 1})
        await asyncio.sleep(10)
        assert large.done()
        await manager.aclose(timeout=0)

    run(main())


def test_windows_with_such_costs_do_not_stay():
    """Only where starts are not eager: several starts of a key are decided before the first step of any."""
    window = FixedWindowStrategy(3, 1.0, key="host", cost="cost")

    async def main():
        async with TaskManager(window) as manager:
            for host in range(200):
                for cost in (0.1, 0.2, 0.3):
                    manager.add_task(lambda: asyncio.sleep(0), {"host": host, "cost": cost})
                await asyncio.sleep(0.1)

    run(main())
    assert window.stats()["keys"] < 30


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

    asyncio.run(main())


def test_a_cancelled_task_cancels_its_future():
    async def main():
        manager = TaskManager()
        await manager.idle()
        loop = asyncio.get_running_loop()
        future = await loop.run_in_executor(None, manager.submit_threadsafe, asyncio.sleep, 3600)
        await asyncio.sleep(0.01)
        await manager.aclose(timeout=0)
        assert future.cancelled()

    asyncio.run(main())


def test_orders_that_cannot_be_compared_with_each_other():
    """Though each can with the first: that task fails, and nothing else."""

    class Order:
        @hookimpl
        def atm_order(self, task):
            return task.metadata["order"]

    async def main():
        manager = TaskManager([Order(), ConcurrentLimitStrategy(1)])
        await manager.idle()
        tasks = []
        for order in ((0,), (1, "a"), (1, 2), (2,)):
            tasks.append(manager.add_task(lambda: asyncio.sleep(1), {"order": order}))
        await asyncio.sleep(10)
        assert all(task.done() for task in tasks)
        await manager.stop()

    run(main())


@dataclasses.dataclass(frozen=True)
class Equal:
    value: int

    def __await__(self):
        return asyncio.sleep(1, self.value).__await__()


@dataclasses.dataclass
class Unhashable:
    value: int

    def __await__(self):
        return asyncio.sleep(1, self.value).__await__()


@pytest.mark.parametrize("kind", [Equal, Unhashable])
def test_awaitables_that_are_equal_or_have_no_hash(kind):
    async def main():
        async with TaskManager() as manager:
            tasks = [manager.add_task(kind(1)), manager.add_task(kind(1))]
        assert [await task for task in tasks] == [1, 1]

    run(main())


def test_a_background_wait_of_an_earlier_attempt():
    """Nested work cannot deadlock: the second attempt lends its slot, too."""

    class Again:
        @hookimpl
        def atm_again(self, task, outcome, now):
            return now if outcome.failed and task.attempts < 2 else None

    async def main():
        manager = TaskManager([ConcurrentLimitStrategy(1), Again()])
        await manager.idle()
        child, watching = [], []

        async def watch():
            await child[0]

        async def parent():
            if not child:
                manager.pause()
                child.append(manager.submit(asyncio.sleep, 0))
                watching.append(asyncio.ensure_future(watch()))
                await asyncio.sleep(1)
                asyncio.get_running_loop().call_later(1, manager.resume)
                raise ValueError
            await child[0]

        task = manager.submit(parent)
        await asyncio.sleep(20)
        assert task.done()
        await manager.stop()

    run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DelayedStrategy(10**400),
        lambda: FixedWindowStrategy(1, 10**400),
        lambda: TaskManager(poll_interval=10**400),
    ],
)
def test_numbers_too_large_for_a_float(wrong):
    with pytest.raises(SettingError):
        wrong()


def test_a_cost_too_large_for_a_float():
    from atm_core import CostTooLargeError

    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1, cost="cost")) as manager:
            with pytest.raises(CostTooLargeError):
                manager.add_task(lambda: asyncio.sleep(1), {"cost": 10**400})

    run(main())


def test_words_and_figures_of_a_plugin_that_fail():
    """explain() and stats() answer for the others."""

    class Bad:
        @hookimpl
        def atm_ready_at(self):
            return math.inf

        def explain(self, task, now):
            return task.metadata["nothing"]

        def stats(self):
            return 1 / 0

    async def main():
        manager = TaskManager(Bad())
        await manager.idle()
        task = manager.submit(asyncio.sleep, 1)
        assert "KeyError" in str(manager.explain(task))
        assert manager.stats()["pending"] == 1
        await manager.aclose()

    run(main())


def test_a_pyproject_whose_tool_is_no_table(tmp_path):
    from atm_core import ConfigError

    (tmp_path / "pyproject.toml").write_text("tool = 3\n")
    with pytest.raises(ConfigError):
        TaskManager.from_config(tmp_path / "pyproject.toml")


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


@pytest.mark.parametrize("orders", [(1, None, 2), (None, 2, 1)])
def test_no_order_for_some_tasks(orders):
    class Order:
        @hookimpl
        def atm_order(self, task):
            return task.metadata.get("order")

    async def main():
        async with TaskManager([Order(), ConcurrentLimitStrategy(1)]) as manager:
            for order in orders:
                manager.add_task(lambda: asyncio.sleep(1), {} if order is None else {"order": order})
        return manager.stats()["succeeded"]

    assert run(main()) == 3


def test_what_comes_after_a_none_is_compared_as_well():
    class Order:
        @hookimpl
        def atm_order(self, task):
            return task.metadata["order"]

    async def main():
        async with TaskManager([Order(), ConcurrentLimitStrategy(1)]) as manager:
            orders = (None, (1, "a"), (1, 2), (2, "b"))
            tasks = [manager.add_task(lambda: asyncio.sleep(1), {"order": order}) for order in orders]
            await asyncio.sleep(10)
        return [task.exception() is None for task in tasks]

    assert run(main()) == [True, True, False, True]


def test_nothing_starts_after_a_keyboard_interrupt():
    """A task that starts while the loop is shut down is never settled."""
    tasks = []

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(2))
        await manager.idle()

        async def interrupt():
            await asyncio.sleep(0.01)
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

    asyncio.run(main())


def test_an_entry_point_with_extras(tmp_path, monkeypatch):
    info = tmp_path / "one-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[atm.strategies]\nspaced = atm_plugins:DelayedStrategy [fast]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    TaskManager.from_config({"strategies": [{"name": "spaced", "delay_seconds": 1}]})


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

    asyncio.run(main())


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


@pytest.mark.parametrize("key", [None, "host"])
def test_a_task_that_was_only_refused_keeps_its_age(key):
    """With keys as without: what is younger does not come before it."""

    class Refuses:
        refused = False

        @hookimpl(tryfirst=True)
        def atm_ready_at(self, task, now):
            if task.metadata.get("name") == "A" and not self.refused:
                self.refused = True
                raise TaskRejected("later", retry_after=2)

        @hookimpl
        def atm_again(self, task, outcome, now):
            return now + 2 if isinstance(outcome.exception, TaskRejected) else None

    started = []

    async def main():
        async with TaskManager([Refuses(), ConcurrentLimitStrategy(1, key=key)]) as manager:
            for name in "ABCDE":

                async def work(name=name):
                    started.append(name)
                    await asyncio.sleep(1.5)

                manager.add_task(work, {"name": name})
                await asyncio.sleep(0.1)

    run(main())
    assert started == ["B", "C", "A", "D", "E"]


def test_closing_ends_what_waits_for_queued_work():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(2))
        await manager.idle()

        async def outer():
            await asyncio.sleep(1)
            await manager.submit(asyncio.sleep, 1)

        async def waits():
            await queued

        outside = manager.submit(outer)
        inside = manager.submit(waits)
        manager.pause()
        queued = manager.submit(asyncio.sleep, 1)
        manager.resume()
        await asyncio.sleep(0)
        manager.pause()
        await asyncio.sleep(0.5)
        await manager.aclose()
        assert queued.done() and inside.done() and outside.done()
        return asyncio.get_running_loop().time()

    assert run(main()) == 1.0


def test_a_coroutine_with_wrong_metadata_is_closed():
    async def main():
        async with TaskManager() as manager:
            work = asyncio.sleep(1)
            with pytest.raises(WorkError, match="metadata must be a mapping"):
                manager.add_task(work, 5)
            assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED

    run(main())


def test_a_task_of_another_manager_cannot_be_rejected():
    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1)) as one, TaskManager() as other:
            one.submit(asyncio.sleep, 1)
            queued = one.submit(asyncio.sleep, 1, "result")
            assert not other.reject(queued, TaskRejected("no"))
            assert other.stats()["pending"] == 0
            assert await queued == "result"

    run(main())


def test_a_closed_manager_takes_no_inner_work():
    async def main():
        manager = TaskManager()
        await manager.idle()
        await manager.aclose()
        with pytest.raises(RuntimeError):
            manager.add_inner(lambda: asyncio.sleep(0))

    run(main())


@pytest.mark.parametrize("seconds", [(9, 5), (5, 9)])
def test_two_limits_and_room_that_comes_before_it_is_waited_for(seconds):
    """What was lent comes back, though the first limit had no room when the second one had none either."""

    async def main():
        one, two = ConcurrentLimitStrategy(1, key="a"), ConcurrentLimitStrategy(1, key="b")
        manager = TaskManager([one, two])
        await manager.idle()

        def add(work, a, b):
            return manager.add_task(work, {"a": a, "b": b})

        async def parent():
            child = add(lambda: asyncio.sleep(2), 2, 2)
            # While it waits, others take what it lends, one of them longer than the other.
            add(lambda: asyncio.sleep(seconds[0]), 1, 3)
            add(lambda: asyncio.sleep(seconds[1]), 3, 1)
            await child

        task = add(parent, 1, 1)
        await asyncio.sleep(60)
        assert task.done()
        assert (one.stats()["running"], two.stats()["running"]) == (0, 0)
        await manager.stop()

    run(main())


def test_a_wait_for_two_limits_is_cancelled():
    async def main():
        one, two = ConcurrentLimitStrategy(1, key="a"), ConcurrentLimitStrategy(1, key="b")
        manager = TaskManager([one, two])
        await manager.idle()

        def add(work, a, b):
            return manager.add_task(work, {"a": a, "b": b})

        async def parent():
            child = add(lambda: asyncio.sleep(2), 2, 2)
            add(lambda: asyncio.sleep(9), 1, 3)
            add(lambda: asyncio.sleep(5), 3, 1)
            await child

        task = add(parent, 1, 1)
        await asyncio.sleep(4)
        task.cancel()
        await manager.join()
        assert task.cancelled()
        assert (one.stats()["running"], two.stats()["running"]) == (0, 0)
        await manager.stop()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run(main())
        gc.collect()
    assert not [one for one in told if "never awaited" in str(one.message)]


def test_lending_is_transitive():
    """D waits for B, which runs and waits for C, which is queued: no circle."""

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1))
        await manager.idle()

        async def c():
            return 2

        async def first():
            async def other():
                return await first_task

            manager.submit(other)
            return await manager.submit(c)

        first_task = manager.submit(first)
        await asyncio.sleep(10)
        assert first_task.done()
        await manager.stop()

    run(main())


def test_two_parts_of_a_task_go_on():
    """Both hear of the slot that comes back; the wait of one of them began when nothing had to be lent."""

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1, key="key"))
        await manager.idle()

        def add(seconds, key):
            return manager.add_task(lambda: asyncio.sleep(seconds), {"key": key})

        async def parent():
            running = add(2.5, "other")
            await asyncio.sleep(0.5)
            part = asyncio.ensure_future(running.wait())  # it runs already: nothing is lent
            await asyncio.sleep(0)
            add(0.2, "third")
            queued = add(1, "third")
            add(5, "parent")  # has the slot when both parts want to go on
            await queued
            await part

        task = manager.add_task(parent, {"key": "parent"})
        await asyncio.sleep(60)
        assert task.done()
        await manager.stop()

    run(main())


@pytest.mark.parametrize("key", ["nan", "fresh nan", "fresh object"])
def test_keys_that_are_never_equal(key):
    """Asked again they seem to have changed, each time: this must not go on for ever."""
    nan = float("nan")
    keys = {"nan": lambda task: nan, "fresh nan": lambda task: float("nan"), "fresh object": lambda task: object()}

    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1, key=keys[key])) as manager:
            tasks = [manager.submit(asyncio.sleep, 0) for _ in range(2)]
            for _ in range(50):
                await asyncio.sleep(0)
            assert all(task.done() for task in tasks) or not [task.cancel() for task in tasks]

    run(main())


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("wrong", ["nan", "raises", "refuses"])
def test_a_gate_that_fails_while_another_lets_the_task_wait(wrong, order):
    """That task fails; the one behind it starts when it may."""

    class Later:
        @hookimpl
        def atm_ready_at(self, now):
            return 10.0

    class Fails:
        @hookimpl
        def atm_ready_at(self, task, now):
            if "fails" not in task.metadata:
                return now
            if wrong == "nan":
                return float("nan")
            raise TaskRejected("no") if wrong == "refuses" else ValueError

    async def main():
        manager = TaskManager([Later(), Fails()][::order])
        await manager.idle()
        failing = manager.add_task(lambda: asyncio.sleep(0), {"fails": True})
        behind = manager.submit(asyncio.sleep, 0)
        await asyncio.sleep(20)
        assert failing.exception() is not None
        assert behind.done()
        await manager.stop()

    run(main())


def test_a_gate_that_answers_nan():
    class Bad:
        @hookimpl
        def atm_ready_at(self):
            return float("nan")

    async def main():
        manager = TaskManager(Bad())
        await manager.idle()
        tasks = [manager.submit(asyncio.sleep, 0) for _ in range(2)]
        await asyncio.sleep(10)
        assert all(task.done() for task in tasks)
        await manager.stop()

    run(main())


def test_a_wait_that_many_share_is_told_of_once_each():
    """However often what they wait for begins to wait, and stops again."""
    told = []

    class Hears:
        @hookimpl
        def atm_awaited(self, task, by):
            told.append((task, by))

    async def main():
        async with TaskManager([ConcurrentLimitStrategy(1), Hears()]) as manager:

            async def shared():
                await asyncio.sleep(1)
                for _ in range(10):
                    await manager.submit(asyncio.sleep, 1)

            async def waits():
                await first

            first = manager.submit(shared)
            others = [manager.submit(waits) for _ in range(50)]
            await first
        assert all(task.exception() is None for task in others)
        return sum(task is first for task, _ in told)

    assert run(main()) <= 100


def test_a_long_chain_of_waits():
    """Longer than Python's stack is deep, and each of them lends its slot."""

    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            tasks = {}

            async def work(n):
                return await tasks[n - 1] + 1 if n else 0

            manager.pause()
            for n in reversed(range(2000)):  # the first to start waits for the second, and so on
                tasks[n] = manager.submit(work, n)
            manager.resume()
            return await tasks[1999]

    assert run(main()) == 1999
