"""Programs written against the original interface run unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import deque

import pytest

import async_task_manager
import async_task_manager.strategies.concurrent_limit
import async_task_manager.strategies.delayed
import async_task_manager.strategies.fixed_window
import atm_core
import atm_plugins
from async_task_manager import TaskManager
from async_task_manager.strategies import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy
from async_task_manager.strategies.base import BaseStrategy
from async_task_manager.task import Task
from atm_core.testing import run

FIRST_PROGRAM = '''
import asyncio
from async_task_manager import TaskManager
from async_task_manager.strategies.concurrent_limit import ConcurrentLimitStrategy

async def sample_task(name: str, delay: float):
    await asyncio.sleep(delay)
    print(f"Task {name} completed after {delay}s")
    return f"Result from {name}"

async def main():
    strategy = ConcurrentLimitStrategy(max_concurrent=3)
    manager  = TaskManager(strategy, poll_interval=0.2)
    for i in range(8):
        manager.add_task(sample_task(f"task-{i}", 1.0))
    await manager.idle()
    await asyncio.sleep(10)
    print("Stopping the manager...")
    await manager.stop()
    print("Manager stopped.")

asyncio.run(main())
'''


def test_first_program_prints_what_it_always_did(monkeypatch):
    monkeypatch.setattr(asyncio, "run", run)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(FIRST_PROGRAM, "first_program", "exec"), {"__name__": "first_program"})
    done = [f"Task task-{i} completed after 1.0s" for i in range(8)]
    assert output.getvalue().splitlines() == [*done, "Stopping the manager...", "Manager stopped."]


def test_original_paths_lead_to_the_same_classes():
    assert async_task_manager.TaskManager is atm_core.TaskManager
    assert Task is atm_core.Task
    assert BaseStrategy is atm_core.BaseStrategy
    for name in ("ConcurrentLimitStrategy", "DelayedStrategy", "FixedWindowStrategy"):
        assert getattr(async_task_manager.strategies, name) is getattr(atm_core, name) is getattr(atm_plugins, name)
    assert async_task_manager.strategies.concurrent_limit.ConcurrentLimitStrategy is ConcurrentLimitStrategy
    assert async_task_manager.strategies.delayed.DelayedStrategy is DelayedStrategy
    assert async_task_manager.strategies.fixed_window.FixedWindowStrategy is FixedWindowStrategy


class CustomStrategy(BaseStrategy):
    def __init__(self):
        self.tasks = deque()
        self.done = 0

    def add_task(self, task):
        self.tasks.append(task)

    def get_next_task(self):
        return self.tasks.popleft() if self.tasks else None

    async def get_sleep_interval(self):
        return 0.1

    async def on_task_done(self):
        self.done += 1


async def run_with(strategies, works):
    manager = TaskManager(strategies)
    tasks = [manager.add_task(work, {"priority": "high"}) for work in works]
    await manager.idle()
    await manager.join()
    await manager.stop()
    return tasks


def test_four_methods_alone():
    async def main():
        async def work(i):
            await asyncio.sleep(1)
            return i

        strategy = CustomStrategy()
        tasks = await run_with(strategy, [work(i) for i in range(5)])
        assert [task.result() for task in tasks] == [0, 1, 2, 3, 4]
        assert tasks[0].metadata == {"priority": "high"}
        assert strategy.done == 5
        assert asyncio.get_running_loop().time() == 1.0

    run(main())


def test_on_task_done_follows_failure_and_cancellation():
    async def main():
        async def fail():
            raise ValueError("no")

        async def wait():
            await asyncio.sleep(100)

        strategy = CustomStrategy()
        manager = TaskManager(strategy)
        await manager.idle()
        failing, waiting, late = manager.add_task(fail()), manager.add_task(wait()), manager.add_task(wait())
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.sleep(1)
        assert strategy.done == 2
        assert isinstance(failing.exception(), ValueError)
        late.cancel()
        await manager.join()
        await asyncio.sleep(1)
        assert strategy.done == 3
        await manager.stop()

    run(main())


def test_four_methods_combine_with_the_built_in_strategies():
    async def main():
        loop, starts = asyncio.get_running_loop(), []

        async def work():
            starts.append(loop.time())
            await asyncio.sleep(1)

        await run_with([CustomStrategy(), ConcurrentLimitStrategy(2)], [work() for _ in range(5)])
        assert starts == [0.0, 0.0, 1.0, 1.0, 2.0]

    run(main())


class Paced(CustomStrategy):
    """One at a time, three seconds apart; names the time only when asked."""

    def __init__(self, interval):
        super().__init__()
        self.next_at = 0.0
        self.interval = interval
        self.asked = 0

    def get_next_task(self):
        now = asyncio.get_running_loop().time()
        if not self.tasks or now < self.next_at:
            return None
        self.next_at = now + 3.0
        return self.tasks.popleft()

    async def get_sleep_interval(self):
        self.asked += 1
        return self.interval(self)


@pytest.mark.parametrize(
    ("interval", "most_questions"),
    [
        (lambda self: max(0.0, self.next_at - asyncio.get_running_loop().time()), 12),
        (lambda self: None, 100),  # every poll_interval
    ],
)
def test_pace_of_a_four_method_strategy_is_kept(interval, most_questions):
    async def main():
        loop, starts = asyncio.get_running_loop(), []

        async def work():
            starts.append(round(loop.time(), 6))

        strategy = Paced(interval)
        manager = TaskManager(strategy, poll_interval=0.25)
        for _ in range(4):
            manager.add_task(work())
        await manager.idle()
        await manager.join()
        assert starts == [0.0, 3.0, 6.0, 9.0]
        assert strategy.asked <= most_questions
        await manager.stop()

    run(main())


def test_a_failing_four_method_strategy_fails_tasks_and_hangs_nothing():
    class Broken(CustomStrategy):
        def get_next_task(self):
            raise RuntimeError("bug")

    async def main():
        async def work():
            pass

        manager = TaskManager(Broken())
        await manager.idle()
        task = manager.add_task(work())
        with pytest.raises(atm_core.HookError, match="Broken failed: RuntimeError: bug"):
            await task
        await manager.stop()

    run(main())
