"""Priority inheritance: along the whole chain, and undone at the end."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, List, Optional, Set, Tuple

import pytest
from atm_priority_queue import PriorityQueueStrategy
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import ConcurrentLimitStrategy, Task, TaskManager, current_task
from atm_core.testing import run

NORMAL = 2.0


async def nothing() -> None:
    pass


def test_what_an_urgent_task_awaits_starts_first() -> None:
    """A critical task awaits a low one behind ten normal ones: that one starts next, in the slot of the waiting one."""

    async def run_it(inherit: bool) -> List[str]:
        names: List[str] = []

        async def work(name: str) -> None:
            names.append(name)
            await asyncio.sleep(1)

        async with TaskManager([ConcurrentLimitStrategy(1), PriorityQueueStrategy(inherit=inherit)]) as manager:
            manager.submit(work, "first")
            await asyncio.sleep(0)
            low = manager.add_task(lambda: work("low"), {"priority": "low"})

            async def urgent() -> None:
                names.append("urgent")
                await low

            manager.add_task(urgent, {"priority": "critical"})
            for n in range(10):
                manager.submit(work, f"normal {n}")
        return names

    assert run(run_it(True))[:3] == ["first", "urgent", "low"]
    assert run(run_it(False)).index("low") == 12


def test_along_the_whole_chain(closed: Any) -> None:
    """a waits for b, which waits for c, and so on, each added with less urgency: the last is as urgent as the first."""
    strategy = PriorityQueueStrategy(aging_seconds=None)

    async def main() -> None:
        async with TaskManager([strategy, closed]) as manager:
            tasks = [manager.add_task(nothing, {"priority": 50, "closed": True})]
            for n in range(20):
                tasks.append(manager.add_task(tasks[-1].wait, {"priority": 40 - n}))
                await asyncio.sleep(0)
            await asyncio.sleep(1)
            assert {strategy.level_of(task) for task in tasks} == {21.0}
            assert strategy.set_priority(tasks[-1], -7) is False
            assert {strategy.level_of(task) for task in tasks} == {-7.0}
            tasks[10].cancel()
            await asyncio.sleep(1)
            assert {strategy.level_of(task) for task in tasks[:10]} == {32.0}
            tasks[0].cancel()

    run(main())
    assert strategy.stats()["awaited"] == 0


def test_a_wait_that_begins_further_up_reaches_the_end(closed: Any) -> None:
    """b waits for c already when a begins to wait for b."""
    strategy = PriorityQueueStrategy()

    async def main() -> None:
        async with TaskManager([strategy, closed]) as manager:
            c = manager.add_task(nothing, {"priority": "low", "closed": True})
            b = manager.add_task(c.wait, {"priority": "normal"})
            await asyncio.sleep(1)
            assert strategy.level_of(c) == 2
            a = manager.add_task(b.wait, {"priority": "critical"})
            await asyncio.sleep(1)
            assert [strategy.level_of(task) for task in (a, b, c)] == [0, 0, 0]
            c.cancel()

    run(main())


@pytest.mark.parametrize("end", ["result", "failure", "cancellation", "timeout", "waiter fails elsewhere"])
def test_it_ends_with_the_wait(end: str, closed: Any) -> None:
    """However the wait ends, the awaited task is as urgent as by itself again, and nothing is kept."""
    strategy = PriorityQueueStrategy(aging_seconds=None)

    async def main() -> None:
        async with TaskManager([strategy, closed]) as manager:
            bottom = manager.add_task(nothing, {"priority": 9, "closed": True})

            async def middle() -> None:
                if end in ("result", "failure"):
                    await asyncio.sleep(2)
                    if end == "failure":
                        raise OSError
                else:
                    await bottom

            awaited = manager.add_task(middle, {"priority": 5})

            async def wait() -> None:
                if end == "timeout":
                    await asyncio.wait_for(awaited.wait(), 2)
                elif end == "waiter fails elsewhere":
                    waiting = asyncio.ensure_future(awaited.wait())
                    await asyncio.sleep(2)
                    waiting.cancel()
                    raise OSError
                else:
                    await awaited

            waiter = manager.add_task(wait, {"priority": 1})
            await asyncio.sleep(1)
            assert strategy.level_of(awaited) == 1
            if end == "cancellation":
                waiter.cancel()
            await asyncio.sleep(2)
            assert waiter.done()
            assert strategy.stats()["awaited"] == (0 if end in ("result", "failure") else 1)
            if not awaited.done():
                assert strategy.level_of(awaited) == 5
                assert strategy.level_of(bottom) == 5
            for task in (waiter, awaited):
                if task.done() and not task.cancelled():
                    task.exception()
            bottom.cancel()

    run(main())
    assert strategy.stats()["awaited"] == 0
    assert not strategy._waits._waits_for


def test_the_most_urgent_of_several_counts(closed: Any) -> None:
    """Two wait for one; when the more urgent one leaves, the other's urgency is left."""
    strategy = PriorityQueueStrategy(aging_seconds=None)

    async def main() -> None:
        async with TaskManager([strategy, closed]) as manager:
            awaited = manager.add_task(nothing, {"priority": 9, "closed": True})
            waiters = [manager.add_task(awaited.wait, {"priority": n}) for n in (3, 1, 2)]
            await asyncio.sleep(1)
            levels = []
            for waiter in (waiters[1], waiters[0], waiters[2]):
                levels.append(strategy.level_of(awaited))
                waiter.cancel()
                await asyncio.sleep(1)
            assert [*levels, strategy.level_of(awaited)] == [1, 2, 2, 9]
            awaited.cancel()

    run(main())


def test_the_age_is_inherited_too() -> None:
    """A task of the same level that has waited long hands on its age, which counts as much as a level."""

    async def main() -> List[str]:
        names: List[str] = []

        async def work(name: str, seconds: float) -> None:
            names.append(name)
            await asyncio.sleep(seconds)

        async with TaskManager([ConcurrentLimitStrategy(1), PriorityQueueStrategy()]) as manager:
            box: List[Task[Any]] = []

            async def old() -> None:
                names.append("old")
                await asyncio.sleep(90)
                await box[0]

            manager.submit(old)
            await asyncio.sleep(70)
            manager.add_task(lambda: work("high", 1), {"priority": "high"})
            box.append(manager.add_task(lambda: work("awaited", 1), {"priority": "normal"}))
        return names

    assert run(main()) == ["old", "awaited", "high"]


def test_a_waiting_task_whose_level_became_nonsense_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    """It changed its metadata by itself: that is logged, and what it awaits keeps its own urgency."""

    async def main() -> List[str]:
        names: List[str] = []

        async def work(name: str) -> None:
            names.append(name)
            await asyncio.sleep(1)

        strategy = PriorityQueueStrategy()
        async with TaskManager([ConcurrentLimitStrategy(1), strategy]) as manager:
            low = manager.add_task(lambda: work("low"), {"priority": "low"})

            async def urgent() -> None:
                task = current_task()
                assert task is not None
                task.metadata["priority"] = "nonsense"
                await low

            manager.add_task(urgent, {"priority": "critical"})
            manager.submit(work, "normal")
            await asyncio.sleep(0.5)
            assert strategy.level_of(low) == 3
            assert strategy.set_priority(low, "normal")
            manager.submit(work, "last")
        return names

    assert run(main()) == ["normal", "low", "last"]
    assert "must be one of 'critical'" in caplog.text


@pytest.mark.parametrize("ends", ["cancelled", "fails", "succeeds"])
def test_a_settled_task_hands_nothing_on(ends: str, closed: Any) -> None:
    """Even if an asyncio task that it left behind still waits, as after a cancelled ``asyncio.wait``."""
    strategy = PriorityQueueStrategy(aging_seconds=None)
    left: List[Any] = []

    async def main() -> None:
        async with TaskManager([strategy, closed]) as manager:
            awaited = manager.add_task(nothing, {"priority": 9, "closed": True})

            async def urgent() -> None:
                left.append(asyncio.ensure_future(awaited.wait()))
                await asyncio.wait(left, timeout=2)
                if ends == "fails":
                    raise OSError

            waiter = manager.add_task(urgent, {"priority": 1})
            await asyncio.sleep(1)
            assert strategy.level_of(awaited) == 1
            if ends == "cancelled":
                waiter.cancel()
            await asyncio.sleep(2)
            assert waiter.done() and not left[0].done()
            assert strategy.level_of(awaited) == 9
            assert strategy.stats()["awaited"] == 0
            if ends == "fails":
                waiter.exception()
            closed.closed = False
            manager.wake()
        await left[0]

    run(main())
    assert not strategy._waits._waits_for


def test_many_waits_of_one_task_leave_nothing_on_it(closed: Any) -> None:
    """A task that awaits others one after the other keeps no trace of those waits."""
    strategy = PriorityQueueStrategy()

    async def main() -> None:
        async with TaskManager([strategy, closed]) as manager:
            task = manager.add_task(nothing, {"closed": True})
            by = Task(nothing)
            for _ in range(100):
                strategy.atm_awaited(task, by)
                strategy.atm_resumed(task, by)
            assert by.remove_done_callback(strategy._waits.leave) == 0
            task.cancel()

    run(main())


def test_many_waiters_cost_little(closed: Any) -> None:
    """Twenty thousand tasks wait for one, and stop waiting, the most urgent first: O(log n) each."""
    strategy = PriorityQueueStrategy(aging_seconds=None)
    awaited = Task(nothing, {"priority": 10**6})
    waiters = [Task(nothing, {"priority": n}) for n in range(20_000)]
    steps = 0

    def counted(task: Task[Any]) -> Tuple[float, float]:
        nonlocal steps
        steps += 1
        return float(task.metadata["priority"]), float(task.metadata["priority"])

    strategy._waits._own = counted
    for waiter in reversed(waiters):
        strategy.atm_awaited(awaited, waiter)
    for waiter in waiters:
        strategy.atm_resumed(awaited, waiter)
    assert steps < 5 * len(waiters)
    assert strategy.stats()["awaited"] == 0


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    data=st.lists(
        st.one_of(
            st.tuples(st.just("waits"), st.integers(0, 9), st.integers(0, 9)),
            st.tuples(st.just("resumes"), st.integers(0, 9), st.integers(0, 9)),
            st.tuples(st.just("level"), st.integers(0, 9), st.integers(-5, 5)),
        ),
        max_size=80,
    ),
    aging_seconds=st.sampled_from([None, 3.0]),
)
def test_any_graph_of_waits(data: List[Tuple[str, int, int]], aging_seconds: Optional[float]) -> None:
    """After any change, each task is as urgent as the most urgent one that waits for it, directly or not."""
    strategy = PriorityQueueStrategy(aging_seconds=aging_seconds, default=0)
    tasks = [Task(nothing) for _ in range(10)]
    waits: Dict[int, Set[int]] = {n: set() for n in range(10)}  # who waits for whom

    def reachable(n: int) -> Set[int]:
        found, todo = {n}, [n]
        while todo:
            for further in waits[todo.pop()] - found:
                found.add(further)
                todo.append(further)
        return found

    for kind, a, b in data:
        if kind == "level":
            strategy.set_priority(tasks[a], b)
        elif kind == "waits" and a not in reachable(b):
            waits[a].add(b)
            strategy.atm_awaited(tasks[b], tasks[a])
        elif kind == "resumes":
            waits[a].discard(b)
            strategy.atm_resumed(tasks[b], tasks[a])
        for n, task in enumerate(tasks):
            waiting = [tasks[by] for by in range(10) if n in reachable(by)]
            assert strategy.level_of(task) == min(one.metadata.get("priority", 0) for one in waiting)
    for a in range(10):
        for b in list(waits[a]):
            strategy.atm_resumed(tasks[b], tasks[a])
    assert strategy.stats()["awaited"] == 0
    assert not strategy._waits._waits_for
