"""Plugins, callbacks, keys, costs and orders that misbehave: the manager and every other task go on."""

from __future__ import annotations

import asyncio
import math

import pytest

from atm_core import TaskManager, TaskRejected, hookimpl
from atm_core.testing import run
from atm_plugins import ConcurrentLimitStrategy, FixedWindowStrategy


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


def test_a_callback_that_asks_a_task_cancelled_in_the_queue():
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


def test_windows_of_costs_that_are_no_whole_numbers_do_not_stay():
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
