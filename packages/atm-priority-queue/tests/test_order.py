"""The order: levels, ageing, first in first out, and changes while queued."""

from __future__ import annotations

import asyncio
import functools
import math
import tracemalloc
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from atm_priority_queue import PriorityQueueStrategy
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import (
    ConcurrentLimitStrategy,
    SettingError,
    Task,
    TaskManager,
    TaskRejected,
    TaskState,
    current_task,
    hookimpl,
)
from atm_core.testing import run

Order = Callable[..., List[Any]]

LEVELS = {"critical": 0, "high": 1, "normal": 2, "low": 3}


def test_names_numbers_and_the_default(start_order: Order) -> None:
    """A number stands between the names; a task without a priority is normal."""
    adds = [
        ("first", None),
        ("low", "low"),
        ("default", None),
        ("between", 1.5),
        ("critical", "critical"),
        ("above", -1),
    ]
    assert start_order(adds) == ["first", "above", "critical", "between", "default", "low"]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    adds=st.lists(st.tuples(st.floats(0.0, 3.0), st.sampled_from([*LEVELS, 0.5, 7]), st.floats(0.0, 2.5)), max_size=40),
    aging_seconds=st.sampled_from([None, 0.7, 4.0]),
)
def test_nobody_is_overtaken_beyond_the_bound(
    adds: List[Tuple[float, Any, float]], aging_seconds: Optional[float]
) -> None:
    """Only tasks added less than the level difference times aging_seconds later overtake; in one level nobody does."""
    started: List[Task[Any]] = []

    async def work(seconds: float) -> None:
        task = current_task()
        assert task is not None
        started.append(task)
        await asyncio.sleep(seconds)

    async def main() -> None:
        async with TaskManager(
            [ConcurrentLimitStrategy(1), PriorityQueueStrategy(aging_seconds=aging_seconds)]
        ) as manager:
            for pause, priority, seconds in adds:
                await asyncio.sleep(pause)
                manager.add_task(functools.partial(work, seconds), {"priority": priority})

    run(main())
    assert len(started) == len(adds)
    level = {task: LEVELS.get(task.metadata["priority"], task.metadata["priority"]) for task in started}
    for n, task in enumerate(started):
        for overtaking in started[:n]:
            if overtaking.added_at > task.added_at:
                assert level[overtaking] < level[task]
                if aging_seconds is not None:
                    most = (level[task] - level[overtaking]) * aging_seconds
                    assert overtaking.added_at - task.added_at <= most + 1e-9


def test_the_bound_is_reached() -> None:
    """A low task of 60 s per level is overtaken by a critical one added just under 180 s later, by none added later."""

    async def main() -> List[str]:
        names: List[str] = []

        async def work(name: str, seconds: float) -> None:
            names.append(name)
            await asyncio.sleep(seconds)

        async with TaskManager([ConcurrentLimitStrategy(1), PriorityQueueStrategy()]) as manager:
            manager.add_task(lambda: work("running", 200.0))
            await asyncio.sleep(0)
            manager.add_task(lambda: work("low", 1.0), {"priority": "low"})
            await asyncio.sleep(179.9)
            manager.add_task(lambda: work("in time", 1.0), {"priority": "critical"})
            await asyncio.sleep(0.2)
            manager.add_task(lambda: work("too late", 1.0), {"priority": "critical"})
        return names

    assert run(main()) == ["running", "in time", "low", "too late"]


def test_a_retried_task_keeps_its_age() -> None:
    """It stands before what came after it."""

    class Twice:
        @hookimpl
        def atm_again(self, task: Any, outcome: Any, now: float) -> Optional[float]:
            return now if outcome.failed and task.attempts < 2 else None

    async def main() -> List[str]:
        names: List[str] = []

        async def work(name: str, fails: bool) -> None:
            names.append(name)
            await asyncio.sleep(1)
            if fails and names.count(name) == 1:
                raise OSError

        async with TaskManager([ConcurrentLimitStrategy(1), PriorityQueueStrategy(), Twice()]) as manager:
            for name in "abc":
                manager.submit(work, name, name == "a")
                await asyncio.sleep(0.1)
        return names

    assert run(main()) == ["a", "a", "b", "c"]


def test_set_priority_moves_a_queued_task(start_order: Order) -> None:
    """Up and down; by name and by number; inside the new level it has the place of its age."""

    def change(strategy: PriorityQueueStrategy, tasks: Dict[str, Task[Any]]) -> None:
        assert strategy.set_priority(tasks["d"], "high")
        assert strategy.set_priority(tasks["b"], 3)
        assert strategy.set_priority(tasks["c"], "high")
        assert not strategy.set_priority(tasks["a"], "low"), "it runs"

    adds = [("a", None), ("b", None), ("c", None), ("d", None), ("e", None)]
    assert start_order(adds, 1, change) == ["a", "c", "d", "e", "b"]


def test_set_priority_after_the_end() -> None:
    """False, and nothing happens."""

    async def main() -> None:
        strategy = PriorityQueueStrategy()
        async with TaskManager(strategy) as manager:
            task = manager.submit(asyncio.sleep, 0)
            await task
            assert not strategy.set_priority(task, "critical")
            assert task.metadata == {}

    run(main())


def test_set_priority_of_a_sleeping_or_unstarted_task() -> None:
    """It counts as soon as the task joins the queue."""

    async def main() -> List[str]:
        names: List[str] = []

        async def work(name: str) -> None:
            names.append(name)

        strategy = PriorityQueueStrategy()
        manager = TaskManager([ConcurrentLimitStrategy(1), strategy])
        for name in "abc":
            manager.submit(work, name)
        last = manager.submit(work, "last")
        assert strategy.set_priority(last, "critical")
        async with manager:
            pass
        return names

    assert run(main()) == ["last", "a", "b", "c"]


@pytest.mark.parametrize("wrong", ["urgent", "", True, math.nan, math.inf, 1e13, 10**400, [1]])
def test_what_is_no_level_is_refused(wrong: Any) -> None:
    """At admission for the caller of add_task, in set_priority with the parameter's name; nothing changes."""
    strategy = PriorityQueueStrategy()
    manager = TaskManager(strategy)
    with pytest.raises(
        TaskRejected, match=r"priority of <Task .*> must be one of 'critical', 'high', 'normal', 'low', or a number"
    ):
        manager.add_task(lambda: asyncio.sleep(0), {"priority": wrong})
    task = Task(lambda: asyncio.sleep(0))
    with pytest.raises(SettingError, match="level must be one of 'critical'"):
        strategy.set_priority(task, wrong)
    assert task.metadata == {}


def test_a_typo_is_explained() -> None:
    """The nearest name is suggested."""
    with pytest.raises(TaskRejected, match=r"did you mean 'critical'.*got 'critcal'"):
        TaskManager(PriorityQueueStrategy()).add_task(lambda: asyncio.sleep(0), {"priority": "critcal"})


def test_another_field_and_other_levels(start_order: Order) -> None:
    """The names and the field are the user's."""
    adds = [("first", None), ("b", "batch"), ("a", "interactive")]
    assert start_order(adds, levels=["interactive", "batch"], default="batch") == ["first", "a", "b"]

    async def main() -> float:
        strategy = PriorityQueueStrategy(field="urgency")
        manager = TaskManager(strategy)
        task = manager.add_task(lambda: asyncio.sleep(0), {"urgency": "high", "priority": "nonsense"})
        level = strategy.level_of(task)
        await manager.aclose()
        return level

    assert run(main()) == 1.0


def test_by_hand() -> None:
    """Through the four methods, without a manager: order, ageing, changes, cancellations, the bound."""

    async def main() -> None:
        strategy = PriorityQueueStrategy(max_pending=4, overflow="drop_lowest")
        low, high, normal, late = (
            Task(lambda: asyncio.sleep(0), {"priority": p}) for p in ("low", "high", "normal", 1)
        )
        assert await strategy.get_sleep_interval() == math.inf
        for task in (low, high, normal):
            strategy.add_task(task)
        assert await strategy.get_sleep_interval() == 0.0
        assert strategy.get_next_task() is high
        await strategy.on_task_done()
        await asyncio.sleep(120.1)
        strategy.add_task(late)
        strategy.set_priority(normal, "low")
        assert [strategy.get_next_task() for _ in range(4)] == [low, normal, late, None]
        for task in (late, low, normal, high):
            strategy.add_task(task)
        extra = Task(lambda: asyncio.sleep(0), {"priority": "critical"})
        strategy.add_task(extra)
        assert low.state is TaskState.CANCELLED
        late.cancel()
        assert strategy.get_next_task() is extra
        assert strategy.get_next_task() is high
        assert strategy.get_next_task() is normal
        assert strategy.get_next_task() is None
        assert strategy.stats() == {"awaited": 0, "queued": 0, "max_pending": 4, "dropped": 1}

    run(main())


def test_by_hand_a_level_and_back_keeps_the_place() -> None:
    """First in, first out inside a level is by age, not by the last change."""
    strategy = PriorityQueueStrategy(aging_seconds=None)
    tasks = [Task(lambda: asyncio.sleep(0)) for _ in range(3)]
    for task in tasks:
        strategy.add_task(task)
    strategy.set_priority(tasks[0], "high")
    strategy.set_priority(tasks[0], "normal")
    assert [strategy.get_next_task() for _ in range(3)] == tasks


def test_set_priority_during_admission() -> None:
    """A plugin may decide on the level when a task is admitted."""
    strategy = PriorityQueueStrategy()

    class Promotes:
        @hookimpl
        def atm_admitted(self, task: Task[Any]) -> None:
            if task.metadata["name"] == "b":
                strategy.set_priority(task, "critical")

    async def main() -> List[str]:
        names: List[str] = []

        async def work(name: str) -> None:
            names.append(name)

        async with TaskManager([ConcurrentLimitStrategy(1), strategy, Promotes()]) as manager:
            for name in "ab":
                manager.add_task(functools.partial(work, name), {"name": name})
        return names

    assert run(main()) == ["b", "a"]


@pytest.mark.parametrize("starts", [False, True], ids=["not started", "blocked"])
def test_changes_and_cancellations_leave_nothing_behind(starts: bool) -> None:
    """200 queued tasks, each given another level 100 times, half of them cancelled: no memory for what is over."""

    async def main() -> None:
        strategy = PriorityQueueStrategy(max_pending=1000)
        manager = TaskManager([ConcurrentLimitStrategy(1), strategy])
        if starts:
            await manager.idle()
            manager.submit(asyncio.sleep, 1e6)
            await asyncio.sleep(0)
        tasks = [manager.submit(asyncio.sleep, 0) for _ in range(200)]
        tracemalloc.start()
        try:
            for n in range(100):
                if n == 50:
                    before = tracemalloc.get_traced_memory()[0]
                for task in tasks:
                    strategy.set_priority(task, -n)
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            assert tracemalloc.get_traced_memory()[0] - before < 100_000
        finally:
            tracemalloc.stop()
        assert strategy.stats()["queued"] == 100
        await manager.aclose(timeout=0)
        assert strategy.stats()["queued"] == 0

    run(main())


@pytest.mark.slow
def test_a_hundred_thousand_queued_tasks() -> None:
    """Added, every tenth made critical, every tenth cancelled: all the others run, in order, and nothing is kept."""
    count = 100_000
    started: List[int] = []

    async def work(n: int) -> None:
        started.append(n)

    async def main() -> None:
        strategy = PriorityQueueStrategy(max_pending=count)
        manager = TaskManager([ConcurrentLimitStrategy(1), strategy])
        tasks = [manager.add_task(functools.partial(work, n), {"priority": n % 4}) for n in range(count)]
        for n in range(0, count, 10):
            strategy.set_priority(tasks[n], -1)
        for n in range(5, count, 10):
            tasks[n].cancel()
        async with manager:
            pass
        assert strategy.stats()["queued"] == 0

    run(main())
    left = [n for n in range(count) if n % 10 != 5]
    assert started == sorted(left, key=lambda n: (-1 if n % 10 == 0 else n % 4, n))
