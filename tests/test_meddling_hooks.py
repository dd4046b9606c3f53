"""Hooks that cancel, reject, add, pause, register and raise while the manager is in the middle of asking them."""

from __future__ import annotations

import asyncio
import random

import pytest

from atm_core import (
    ConcurrentLimitStrategy,
    FixedWindowStrategy,
    HookError,
    Task,
    TaskManager,
    TaskRejected,
    TaskState,
    hookimpl,
)
from atm_core.testing import run


async def value(result=None):
    return result


class Keyed:
    """Makes the board one of lanes."""

    @hookimpl
    def atm_lane(self, task):
        return task.metadata.get("key")

    @hookimpl
    def atm_ready_at(self, task, now):
        return now


class Ordered:
    """Makes the board one of orders."""

    @hookimpl
    def atm_order(self, task, now):
        return 0


class Books:
    """A gate that keeps strict accounts."""

    def __init__(self):
        self.booked = set()
        self.settled = set()
        self.wrong = []

    @hookimpl
    def atm_ready_at(self, task, now):
        return now

    @hookimpl
    def atm_started(self, task, now):
        if task in self.booked:
            self.wrong.append(("started twice", task))
        self.booked.add(task)

    @hookimpl
    def atm_finished(self, task):
        if task not in self.booked:
            self.wrong.append(("finished without a start", task))
        self.booked.discard(task)

    @hookimpl
    def atm_settled(self, task, outcome, now):
        if task in self.settled:
            self.wrong.append(("settled twice", task))
        self.settled.add(task)


def meddling(hook, act):
    """A plugin whose ``hook`` calls ``act(task)`` at its first call."""
    calls = []

    def function(self, task, now):
        calls.append(task)
        if len(calls) == 1:
            act(task)
        return now if hook == "atm_ready_at" else None

    function.__name__ = hook
    return type("Meddling", (), {hook: hookimpl(function)})()


@pytest.mark.parametrize("board", [None, Keyed, Ordered])
@pytest.mark.parametrize("others", [0, 1, 150])
@pytest.mark.parametrize("hook", ["atm_admit", "atm_ready_at", "atm_started"])
def test_a_hook_that_cancels_the_task_it_is_asked_about_and_others(hook, others, board):
    async def main():
        def act(task):
            task.cancel()
            for other in tasks[1 : 1 + others]:
                other.cancel()

        books, limit = Books(), ConcurrentLimitStrategy(10)
        manager = TaskManager([limit, books, meddling(hook, act), *([board()] if board else [])])
        tasks = []
        for i in range(200):
            tasks.append(manager.submit(value, i))
        async with manager:
            pass
        cancelled = [task for task in tasks if task.cancelled()]
        expected = [tasks[0]] if hook == "atm_admit" else tasks[: 1 + others]
        assert cancelled == expected
        assert all(task.done() for task in tasks)
        assert not books.booked and not books.wrong and limit.stats()["running"] == 0
        stats = manager.stats()
        assert stats["succeeded"] == 200 - len(expected) and stats["cancelled"] == len(expected)
        assert stats["pending"] == stats["running"] == 0

    run(main())


@pytest.mark.parametrize("board", [None, Keyed, Ordered])
def test_a_gate_that_settles_the_first_task_and_makes_it_wait(board):
    """Those behind it must not wait for what was said about it."""

    async def main():
        class Deadline:
            @hookimpl
            def atm_ready_at(self, task, now):
                if task is tasks[0]:
                    manager.reject(task, TaskRejected("too late"))
                    return float("inf")
                return now

        manager = TaskManager([Deadline(), *([board()] if board else [])])
        tasks = [manager.submit(value, i) for i in range(3)]
        async with manager:
            pass
        assert [task.state for task in tasks] == [TaskState.FAILED, TaskState.SUCCEEDED, TaskState.SUCCEEDED]
        with pytest.raises(TaskRejected, match="too late"):
            tasks[0].result()

    run(main())


def test_a_better_task_that_is_added_while_a_gate_is_asked():
    async def main():
        class Best:
            @hookimpl
            def atm_order(self, task, now):
                return task.args[0]

            @hookimpl
            def atm_ready_at(self, task, now):
                if task.args[0] == 1 and not added:
                    added.append(manager.submit(value, 0))
                return now

        added = []
        manager = TaskManager([Best(), ConcurrentLimitStrategy(1)])
        tasks = [manager.submit(value, 1), manager.submit(value, 2)]
        async with manager:
            pass
        assert [task.result() for task in tasks + added] == [1, 2, 0]
        assert manager.stats()["attempts"] == 3

    run(main())


@pytest.mark.parametrize("hook", ["ready_at", "started", "began", "finished", "again", "settled"])
@pytest.mark.parametrize("board", [Books, Keyed, Ordered])
def test_a_hook_that_registers_a_plugin(hook, board):
    async def main():
        def first(task):
            if not acted:
                acted.append(task)
                manager.register(late)

        books, late, acted = Books(), board(), []
        manager = TaskManager([books, ConcurrentLimitStrategy(2)])
        tasks = [manager.submit(value, i) for i in range(20)]
        if hook in ("finished", "again", "settled"):
            function = hookimpl(lambda self, task, outcome, now: first(task))
        else:
            function = hookimpl(lambda self, task, now: first(task))
        plugin = type("Registers", (), {f"atm_{hook}": function})()
        manager.register(plugin)
        async with manager:
            pass
        assert [task.result() for task in tasks] == list(range(20))
        assert not books.booked and not books.wrong
        assert not getattr(late, "booked", None) and not getattr(late, "wrong", None)

    run(main())


def test_a_key_function_that_registers_a_plugin():
    async def main():
        class Key(Keyed):
            @hookimpl
            def atm_lane(self, task):
                if len(registered) < 3 and task.args[0] % 4 == 1:
                    registered.append(Keyed())
                    manager.register(registered[-1])
                return task.args[0] % 2

        registered = []
        manager = TaskManager([Key(), ConcurrentLimitStrategy(2)])
        async with manager:
            tasks = [manager.submit(value, i) for i in range(20)]
        assert [task.result() for task in tasks] == list(range(20)) and len(registered) == 3

    run(main())


def test_a_gate_that_changes_the_key():
    """What it is asked about after that is the new key, and the slot is of that key too."""

    async def main():
        class Moves:
            @hookimpl
            def atm_ready_at(self, task, now):
                task.metadata["host"] = "b"
                return now

        limit = ConcurrentLimitStrategy(1, key="host")
        async with TaskManager([limit, Moves()]) as manager:
            tasks = [manager.add_task(lambda: asyncio.sleep(1), {"host": "ab"[i % 2]}) for i in range(6)]
        assert all(task.done() for task in tasks)
        assert asyncio.get_running_loop().time() == 6
        assert limit.stats()["running"] == 0

    run(main())


def test_a_start_that_is_interrupted():
    async def main():
        def act(task):
            raise KeyboardInterrupt

        books = Books()
        manager = TaskManager([books, meddling("atm_started", act)])
        made.append((books, manager.submit(value, 1), manager.submit(value, 2)))
        await manager.idle()
        await manager.join()

    made = []
    with pytest.raises(KeyboardInterrupt):
        run(main())
    books, interrupted, other = made[0]
    assert interrupted.done() and other.done()
    with pytest.raises(KeyboardInterrupt):
        interrupted.result()
    assert not books.booked and not books.wrong


@pytest.mark.filterwarnings("error")
def test_work_that_is_not_called():
    """What runs elsewhere may do without it, or end before it is called."""

    async def main():
        class Elsewhere:
            @hookimpl
            def atm_execute(self, task):
                if task.metadata["how"] == "raises":
                    raise ValueError("nowhere")
                return value(task.metadata["how"])

        async with TaskManager(Elsewhere()) as manager:
            tasks = [manager.add_task(value(), {"how": how}) for how in ("cached", "raises")]
        assert tasks[0].result() == "cached"
        with pytest.raises(HookError, match="nowhere"):
            tasks[1].result()

    run(main())


class Meddler:
    """At random it does something to the manager in each of its hooks, up to so many times."""

    def __init__(self, random_numbers, hooks):
        self.random = random_numbers
        self.hooks = hooks
        self.left = 40
        self.tasks = []
        self.late = []
        self.kept = []

    def meddle(self, hook, task):
        if hook not in self.hooks or self.left <= 0 or self.random.random() > 0.3:
            return
        self.left -= 1
        getattr(self, self.random.choice(ACTS))(task)

    def cancel(self, task):
        task.cancel()

    def cancel_others(self, task):
        for other in self.tasks[: self.random.randrange(1, 100)]:
            other.cancel()

    def reject(self, task):
        self.manager.reject(self.random.choice([task, *self.tasks]), TaskRejected("no"))

    def add(self, task):
        try:
            self.tasks.append(self.manager.submit(self.work))
        except (TaskRejected, HookError, asyncio.CancelledError):
            pass

    def pause(self, task):
        self.manager.pause()
        asyncio.get_running_loop().call_later(0.1, self.manager.resume)

    def wake(self, task):
        self.manager.wake()

    def reorder(self, task):
        self.manager.reorder(self.random.choice([task, *self.tasks]))

    def explain(self, task):
        assert str(self.manager.explain(task))
        assert self.manager.stats()["pending"] >= 0

    def register(self, task):
        self.late.append(self.random.choice([Books, Keyed, Ordered])())
        self.manager.register(self.late[-1])

    def unregister(self, task):
        if self.late:
            self.manager.unregister(self.late.pop())

    def fail(self, task):
        raise self.random.choice([ValueError("meddled"), TaskRejected("meddled"), asyncio.CancelledError()])

    def call_back(self, task):
        task.add_done_callback(lambda task: self.meddle("callback", task))

    def release(self, task):
        if self.kept:
            self.give_back(self.kept[0])

    def give_back(self, task):
        if task in self.kept:
            self.kept.remove(task)
            if task.state is TaskState.PENDING:
                self.manager.release(task)

    async def work(self):
        chance = self.random.random()
        if chance < 0.5:
            await asyncio.sleep(0 if chance < 0.3 else 0.1)
        if self.random.random() < 0.15:
            raise KeyError("work")

    @hookimpl
    def atm_admit(self, manager, task, now):
        self.meddle("admit", task)

    @hookimpl
    def atm_admitted(self, manager, task, now):
        self.meddle("admitted", task)

    @hookimpl
    def atm_hold(self, manager, task, now):
        self.meddle("hold", task)
        if self.left and self.random.random() < 0.1:
            self.kept.append(task)
            asyncio.get_running_loop().call_later(0.3, self.give_back, task)
            return True
        return None

    @hookimpl
    def atm_ready_at(self, task, now):
        self.meddle("ready_at", task)
        return now + 0.5 if self.left and self.random.random() < 0.2 else now

    @hookimpl
    def atm_started(self, task, now):
        self.meddle("started", task)

    @hookimpl
    def atm_began(self, task, now):
        self.meddle("began", task)

    @hookimpl
    def atm_finished(self, task):
        self.meddle("finished", task)

    @hookimpl
    def atm_again(self, task, outcome, now):
        self.meddle("again", task)
        return now + 0.1 if outcome.failed and self.left and task.args is not None else None

    @hookimpl
    def atm_settled(self, task, outcome, now):
        self.meddle("settled", task)


class OrderingMeddler(Meddler):
    """With hooks that are called whenever a task joins a lane."""

    @hookimpl
    def atm_lane(self, task):
        self.meddle("lane", task)
        return task.metadata.get("key")

    @hookimpl
    def atm_order(self, task, now):
        self.meddle("order", task)
        return self.random.randrange(3)


ACTS = ["cancel", "cancel_others", "reject", "add", "pause", "wake", "reorder", "explain", "register", "unregister"]
ACTS += ["fail", "call_back", "release"]
HOOKS = ["admit", "admitted", "hold", "ready_at", "started", "began", "finished", "again", "settled", "callback"]


@pytest.mark.parametrize("seed", range(80))
def test_meddling_at_random(seed):
    """All tasks are settled once, everything booked is given back, nothing hangs, and new work still runs."""

    async def main():
        numbers = random.Random(seed)
        hooks = [*numbers.sample(HOOKS, numbers.randrange(1, len(HOOKS))), "lane", "order"]
        meddler = (Meddler if seed % 2 else OrderingMeddler)(numbers, hooks)
        books, limit = Books(), ConcurrentLimitStrategy(numbers.choice([1, 2, 5]))
        stack = [limit, books, meddler, *([FixedWindowStrategy(3, 0.5)] if seed % 3 else [])]
        numbers.shuffle(stack)
        faults = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        manager = meddler.manager = TaskManager(stack)
        for _ in range(numbers.choice([3, 20, 150])):
            task = Task(meddler.work)
            try:
                meddler.tasks.append(manager.add_task(task))
            except (TaskRejected, HookError, asyncio.CancelledError):
                pass
        await manager.idle()
        while manager.stats()["pending"] or manager.stats()["running"]:
            await manager.join()
        meddler.left = 0
        manager.resume()
        await manager.submit(value)
        stats = manager.stats()
        assert not any(stats[count] for count in ("pending", "running", "held", "asleep"))
        assert stats["succeeded"] + stats["failed"] + stats["cancelled"] == stats["added"]
        assert all(task.done() for task in meddler.tasks)
        assert not faults and not books.booked and not books.wrong and limit.stats()["running"] == 0
        await manager.stop()
        for task in meddler.tasks:
            task.cancelled() or task.exception()

    run(main())
