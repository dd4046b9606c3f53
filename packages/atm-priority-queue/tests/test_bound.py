"""The bound on the queue, and who goes when it is full."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, List, Optional, Tuple

import pytest
from atm_priority_queue import PriorityQueueStrategy
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import ConcurrentLimitStrategy, QueueFullError, Task, TaskManager, hookimpl
from atm_core.testing import run

Order = Callable[..., List[Any]]

ADDS = [
    ("running", None),
    ("old low", "low"),
    ("high", "high"),
    ("new low", "low"),
    ("one more", "low"),
    ("critical", 0),
]


def test_reject(start_order: Order) -> None:
    """The new one goes, whatever it is."""
    assert start_order(ADDS, max_pending=3) == ["running", "high", "old low", "new low"]


def test_drop_lowest(start_order: Order) -> None:
    """The oldest of the lowest level goes, if the new one is of a higher level; otherwise the new one."""
    assert start_order(ADDS, max_pending=3, overflow="drop_lowest") == ["running", "critical", "high", "new low"]


def test_drop_oldest(start_order: Order) -> None:
    """The oldest of the lowest level goes, if the new one is not of a lower level."""
    assert start_order(ADDS, max_pending=3, overflow="drop_oldest") == ["running", "critical", "high", "one more"]
    lower = [*ADDS[:4], ("too low", 9)]
    assert start_order(lower, max_pending=3, overflow="drop_oldest") == ["running", "high", "old low", "new low"]


def test_the_oldest_goes_first() -> None:
    """By the time at which it was added."""

    async def main() -> None:
        manager = TaskManager(
            [ConcurrentLimitStrategy(1), PriorityQueueStrategy(max_pending=2, overflow="drop_oldest")]
        )
        tasks = []
        for _ in range(4):
            tasks.append(manager.submit(asyncio.sleep, 0))
            await asyncio.sleep(1)
        assert [task.done() for task in tasks] == [True, True, False, False]
        assert all(isinstance(task.exception(), QueueFullError) for task in tasks[:2])
        await manager.aclose()

    run(main())


def test_retries_take_no_room() -> None:
    """A task that waits for its second attempt is neither counted nor dropped."""

    async def main() -> None:
        strategy = PriorityQueueStrategy(max_pending=1, overflow="drop_oldest")
        async with TaskManager([ConcurrentLimitStrategy(1), strategy, Twice()]) as manager:
            runs = 0

            async def fails_once() -> int:
                nonlocal runs
                runs += 1
                if runs == 1:
                    raise OSError
                return runs

            retried = manager.add_task(fails_once, {"priority": "low"})
            await asyncio.sleep(0.1)
            manager.submit(asyncio.sleep, 1.0)
            await asyncio.sleep(0.5)
            assert retried.state.value == "pending"
            assert strategy.stats()["queued"] == 0
            new = manager.submit(asyncio.sleep, 0)
            assert await retried == 2
            await new

    run(main())


def test_both_ends_are_told() -> None:
    """The caller of add_task, and whoever awaits the dropped task: a rejection, no cancellation of their own."""

    async def main() -> None:
        strategy = PriorityQueueStrategy(max_pending=1, overflow="drop_lowest")
        manager = TaskManager([ConcurrentLimitStrategy(1), strategy])
        low = manager.add_task(lambda: asyncio.sleep(0), {"priority": "low"})
        waiter = asyncio.ensure_future(low.wait())
        high = manager.add_task(lambda: asyncio.sleep(0), {"priority": "high"})
        with pytest.raises(QueueFullError, match=r"a new task took its place .drop_lowest of the priority queue"):
            await low
        await waiter
        with pytest.raises(QueueFullError, match=r"1 tasks are queued already .max_pending of the priority queue"):
            manager.add_task(lambda: asyncio.sleep(0), {"priority": "low"})
        assert strategy.stats() == {"awaited": 0, "queued": 1, "max_pending": 1, "dropped": 1}
        async with manager:
            await high

    run(main())


def test_who_is_awaited_by_an_urgent_task_is_not_low() -> None:
    """An inherited level protects."""

    async def main() -> None:
        strategy = PriorityQueueStrategy(max_pending=2, overflow="drop_lowest")
        gate = ConcurrentLimitStrategy(1, key="slot")
        async with TaskManager([gate, strategy]) as manager:
            manager.add_task(lambda: asyncio.sleep(5), {"slot": "a"})
            await asyncio.sleep(0)
            awaited = manager.add_task(lambda: asyncio.sleep(1), {"priority": "low", "slot": "a"})
            manager.add_task(awaited.wait, {"priority": "critical", "slot": "b"})
            await asyncio.sleep(1)
            other = manager.add_task(lambda: asyncio.sleep(1), {"priority": "normal", "slot": "a"})
            manager.add_task(lambda: asyncio.sleep(1), {"priority": "high", "slot": "a"})
            with pytest.raises(QueueFullError):
                await other
            await awaited

    run(main())


def test_set_priority_changes_who_goes(start_order: Order) -> None:
    """A task that was made more urgent is not dropped for its old level."""

    async def main() -> None:
        strategy = PriorityQueueStrategy(max_pending=2, overflow="drop_lowest")
        manager = TaskManager([ConcurrentLimitStrategy(1), strategy])
        a, b = (manager.add_task(lambda: asyncio.sleep(0), {"priority": "low"}) for _ in range(2))
        strategy.set_priority(a, "critical")
        manager.add_task(lambda: asyncio.sleep(0))
        assert b.done()
        assert not a.done()
        assert isinstance(b.exception(), QueueFullError)
        async with manager:
            pass

    run(main())


def test_a_callback_of_a_cancelled_task_finds_its_room_free() -> None:
    """Whoever replaces a queued task by another one is not refused."""

    async def main() -> None:
        manager = TaskManager([ConcurrentLimitStrategy(1), PriorityQueueStrategy(max_pending=2)])
        first, _ = (manager.submit(asyncio.sleep, 0) for _ in range(2))
        new: List[Task[Any]] = []
        first.add_done_callback(lambda _: new.append(manager.submit(asyncio.sleep, 0)))
        first.cancel()
        assert len(new) == 1
        async with manager:
            pass

    run(main())


def test_a_callback_of_a_dropped_task_that_adds_another_one_does_not_pass_the_bound() -> None:
    """It takes the room that was meant for the new task, which is refused."""
    strategy = PriorityQueueStrategy(max_pending=2, overflow="drop_oldest")

    async def main() -> None:
        manager = TaskManager([ConcurrentLimitStrategy(1), strategy])

        def add(name: str) -> None:
            task = manager.add_task(lambda: asyncio.sleep(0), {"name": name})
            task.add_done_callback(add_again)

        def add_again(task: Task[Any]) -> None:
            if isinstance(task.exception(), QueueFullError):
                add(f"{task.metadata['name']} again")

        add("a")
        add("b")
        for _ in range(4):
            with pytest.raises(QueueFullError):
                add("c")
            assert strategy.stats()["queued"] == 2
        async with manager:
            pass

    run(main())


def test_tasks_that_are_added_while_one_is_admitted_count() -> None:
    """By another plugin, after this strategy has seen that there is room."""

    class AddsAnother:
        @hookimpl(trylast=True)
        def atm_admit(self, manager: TaskManager, task: Task[Any]) -> None:
            if "another" in task.metadata:
                manager.submit(asyncio.sleep, 0)

    async def main() -> None:
        strategy = PriorityQueueStrategy(max_pending=1)
        manager = TaskManager([AddsAnother(), strategy])
        with pytest.raises(QueueFullError):
            manager.add_task(lambda: asyncio.sleep(0), {"another": True})
        assert strategy.stats()["queued"] == 1
        async with manager:
            pass

    run(main())


class Twice:
    """Every failed attempt is made once more, after a pause."""

    @hookimpl
    def atm_again(self, task: Any, outcome: Any, now: float) -> Optional[float]:
        return now + 0.3 if outcome.failed and task.attempts < 2 else None


@pytest.mark.parametrize("overflow", ["reject", "drop_oldest", "drop_lowest"])
@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    adds=st.lists(
        st.tuples(
            st.floats(0.0, 0.6), st.integers(0, 3), st.sampled_from(["ok", "ok", "fails", "cancel now", "cancel later"])
        ),
        max_size=40,
    )
)
def test_the_bound_holds(adds: List[Tuple[float, int, str]], overflow: str) -> None:
    """Never more than max_pending wait for their first start, nothing is lost, everything is forgotten at the end."""
    strategy = PriorityQueueStrategy(max_pending=3, overflow=overflow)

    async def work(end: str) -> None:
        await asyncio.sleep(0.5)
        if end == "fails":
            raise OSError

    async def main() -> None:
        tasks: List[Task[Any]] = []
        refused = 0
        async with TaskManager([ConcurrentLimitStrategy(1), strategy, Twice()]) as manager:
            for pause, level, end in adds:
                await asyncio.sleep(pause)
                try:
                    task = manager.add_task(lambda end=end: work(end), {"priority": level})  # type: ignore[misc]
                except QueueFullError:
                    refused += 1
                    continue
                tasks.append(task)
                if end == "cancel now":
                    task.cancel()
                elif end == "cancel later":
                    asyncio.get_running_loop().call_later(0.4, task.cancel)
                waiting = [one for one in tasks if one.state.value == "pending" and not one.attempts]
                assert len(waiting) <= 3
                assert strategy.stats()["queued"] >= len(waiting)
            await manager.join()
        ends = [None if task.cancelled() else task.exception() for task in tasks]
        assert all(error is None or isinstance(error, (OSError, QueueFullError)) for error in ends)
        assert sum(isinstance(error, QueueFullError) for error in ends) == strategy.stats()["dropped"]
        assert len(tasks) + refused == len(adds)

    run(main())
    assert strategy.stats()["queued"] == 0
    assert not strategy._bound._queued._entries  # type: ignore[union-attr]
