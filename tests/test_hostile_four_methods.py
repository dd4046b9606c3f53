"""Strategies of four methods that misbehave, and what befalls their tasks at the gates of others."""

from __future__ import annotations

import asyncio
import collections
import math
import random
import types

import pytest

from atm_core import BaseStrategy, ConcurrentLimitStrategy, HookError, Task, TaskManager, TaskRejected, hookimpl
from atm_core.testing import run


class Queue(BaseStrategy):
    """First in, first out."""

    def __init__(self):
        self.tasks = collections.deque()
        self.ends = 0

    def add_task(self, task):
        self.tasks.append(task)

    def get_next_task(self):
        return self.tasks.popleft() if self.tasks else None

    async def get_sleep_interval(self):
        return 0.1

    async def on_task_done(self):
        self.ends += 1


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


class Looks(Queue):
    """Asks its cancelled tasks for their results; hands one out at every second question."""

    def __init__(self, where):
        super().__init__()
        self.where = where
        self.unseen = []
        self.asked = 0

    def add_task(self, task):
        super().add_task(task)
        self.unseen.append(task)

    def look(self, where):
        cancelled = [task for task in self.unseen if task.cancelled()]
        if where == self.where and cancelled:
            self.unseen.remove(cancelled[0])
            cancelled[0].result()

    def get_next_task(self):
        self.look("get_next_task")
        self.asked += 1
        return super().get_next_task() if self.asked % 2 == 0 else None

    async def get_sleep_interval(self):
        await asyncio.sleep(0)
        self.look("get_sleep_interval")
        return await super().get_sleep_interval()

    async def on_task_done(self):
        self.look("on_task_done")
        await super().on_task_done()


@pytest.mark.parametrize("where", ["get_next_task", "get_sleep_interval", "on_task_done"])
def test_a_method_that_asks_a_cancelled_task_for_its_result(where):
    """What it raises is no Exception from Python 3.8 on; it is a failure of the strategy, and no end of it."""

    async def main():
        strategy = Looks(where)
        async with TaskManager([strategy, ConcurrentLimitStrategy(1)]) as manager:
            tasks = [manager.submit(asyncio.sleep, 1) for _ in range(4)]
            await asyncio.sleep(0.5)
            tasks[0].cancel()
        assert all(task.done() for task in tasks)
        assert tasks[0] not in strategy.unseen

    run(main())


def test_methods_that_are_generators():
    """Such as ``@asyncio.coroutine`` made up to Python 3.10: they can be awaited, and have no ``__await__``."""

    async def main():
        class Old(Queue):
            @types.coroutine
            def get_sleep_interval(self):
                yield
                return 0.1

            @types.coroutine
            def on_task_done(self):
                yield
                self.ends += 1

        strategy = Old()
        async with TaskManager(strategy) as manager:
            tasks = [manager.submit(asyncio.sleep, 1, i) for i in range(3)]
            await asyncio.sleep(2)
        assert [task.result() for task in tasks] == [0, 1, 2]
        assert strategy.ends == 3

    run(main())


def test_a_method_that_should_be_async_and_is_not():
    async def main():
        class Plain(Queue):
            def get_next_task(self):
                return None

            def get_sleep_interval(self):
                return 0.1

        async with TaskManager(Plain()) as manager:
            task = manager.submit(asyncio.sleep, 1)
        with pytest.raises(HookError, match="object float can't be used in 'await' expression"):
            task.result()

    run(main())


def test_a_method_that_waits_is_cancelled_with_the_manager():
    async def main():
        class Slow(Queue):
            async def on_task_done(self):
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    cancelled.append(asyncio.get_running_loop().time())
                    raise

        cancelled = []
        manager = TaskManager(Slow())
        await manager.idle()
        task = manager.submit(asyncio.sleep, 1)
        await asyncio.sleep(5)
        assert task.done()
        await manager.stop()
        assert cancelled == [5]

    run(main())


def test_a_task_that_a_gate_refuses_and_that_comes_again_keeps_nobody_waiting():
    """It was handed out, will not start, and sleeps: the strategy is told, and asked for the next one."""

    async def main():
        class Refuses:
            @hookimpl
            def atm_ready_at(self, task, now):
                if task is tasks[0] and now < 50:
                    raise TaskRejected("not yet")
                return now

            @hookimpl
            def atm_again(self, task, outcome, now):
                return 60 if task is tasks[0] and now < 50 else None

        strategy = Queue()
        async with TaskManager([Refuses(), strategy]) as manager:
            tasks = [manager.submit(asyncio.sleep, 1) for _ in range(3)]
            await asyncio.sleep(10)
            assert [task.done() for task in tasks] == [False, True, True]
        assert tasks[0].result() is None
        assert strategy.ends == 4

    run(main())


def test_a_strategy_that_keeps_a_task_and_raises():
    """The task fails; that the strategy hands it out later harms no other one."""

    async def main():
        class KeepsAndRaises(Queue):
            def add_task(self, task):
                super().add_task(task)
                if len(self.tasks) == 1:
                    raise ValueError("kept")

        manager = TaskManager(KeepsAndRaises())
        tasks = [manager.submit(asyncio.sleep, 1) for _ in range(3)]
        async with manager:
            pass
        with pytest.raises(HookError, match="kept"):
            tasks[0].result()
        assert [task.result() for task in tasks[1:]] == [None, None]

    run(main())


class Meddler(Queue):
    """At random it does something to the manager in each of its methods, up to so many times."""

    def __init__(self, random_numbers):
        super().__init__()
        self.random = random_numbers
        self.left = 40
        self.all = []

    def meddle(self):
        if self.left <= 0 or self.random.random() > 0.3 or not self.all:
            return
        self.left -= 1
        act = self.random.randrange(7)
        task = self.random.choice(self.all)
        if act == 0:
            task.cancel()
        elif act == 1:
            self.manager.reject(task, TaskRejected("no"))
        elif act == 2:
            self.all.append(self.manager.submit(self.work))
        elif act == 3:
            self.manager.pause()
            asyncio.get_running_loop().call_later(0.1, self.manager.resume)
        elif act == 4:
            self.manager.wake()
        else:
            raise self.random.choice([ValueError("meddled"), asyncio.CancelledError()])

    async def work(self):
        if self.random.random() < 0.5:
            await asyncio.sleep(0.1)
        if self.random.random() < 0.2:
            raise KeyError("work")

    def add_task(self, task):
        super().add_task(task)
        self.meddle()

    def get_next_task(self):
        self.meddle()
        return super().get_next_task() if self.random.random() < 0.8 else None

    async def get_sleep_interval(self):
        self.meddle()
        await asyncio.sleep(0)
        return self.random.choice([0.1, 0.2, None])

    async def on_task_done(self):
        await asyncio.sleep(0)
        self.meddle()


class Twice:
    """What fails comes again, once."""

    @hookimpl
    def atm_again(self, task, outcome, now):
        return now + 0.5 if outcome.failed and task.attempts < 2 else None


@pytest.mark.parametrize("seed", range(40))
def test_meddling_at_random(seed):
    async def main():
        numbers = random.Random(seed)
        strategy, limit = Meddler(numbers), ConcurrentLimitStrategy(numbers.choice([1, 3]))
        manager = strategy.manager = TaskManager([strategy, limit, *([Twice()] if seed % 2 else [])])
        for _ in range(numbers.choice([3, 20, 100])):
            strategy.all.append(manager.submit(strategy.work))
        await manager.idle()
        while manager.stats()["pending"] or manager.stats()["running"]:
            await manager.join()
        strategy.left = 0
        manager.resume()
        await manager.submit(strategy.work).wait()
        assert all(task.done() for task in strategy.all) and limit.stats()["running"] == 0
        await manager.stop()
        for task in strategy.all:
            task.cancelled() or task.exception()

    run(main())
