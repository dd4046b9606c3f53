"""Cancelling a scheduled task at each moment of its life."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, List

import pytest
from atm_time_based import TimeBasedStrategy, every

from atm_core import ConcurrentLimitStrategy, TaskManager, TaskState, current_task

if TYPE_CHECKING:
    from conftest import Bench


# Every 100 s, a run of two attempts of 30 s with 10 s between them; another task has the only slot till 150 s.
MOMENTS = {
    "before it is due": 50,
    "as it is due": 100,
    "while the gate is full": 120,
    "as the gate opens": 150,
    "in the first attempt": 160,
    "as the first attempt ends": 180,
    "between two attempts": 185,
    "as the second attempt begins": 190,
    "in the second attempt": 200,
    "as the next one is due, in the run": 200.0,
    "as the run ends": 220,
    "after the run": 230,
    "before the manager starts": -1,
}


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all", "cancel_running", "allow"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_cancel_ends_it_at_any_moment(bench: Bench, moment: str, overlap: str) -> None:
    strategy = TimeBasedStrategy(overlap=overlap)
    at = MOMENTS[moment]
    ends: List[float] = []

    async def work() -> None:
        bench.ran.append((bench.now(), "x"))
        try:
            await asyncio.sleep(30)
        finally:
            ends.append(bench.now())
        raise RuntimeError

    async def main() -> None:
        manager = TaskManager([strategy, bench.repeats(10), ConcurrentLimitStrategy(1)])
        task = manager.add_task(work, {"schedule": every(seconds=100)})
        runs = strategy.recurrence(task)
        assert runs is not None
        if at < 0:
            assert task.cancel()
        else:
            manager.add_task(bench.job("other", lasts=150))
        await manager.idle()
        await asyncio.sleep(max(at, 0))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        began = len(bench.times("x"))
        assert task.state is TaskState.CANCELLED
        assert bench.now() <= max(at, 0)
        await manager.join()
        await asyncio.sleep(1000)
        assert len(bench.times("x")) == began == len(ends)
        assert (runs.next_run_at, runs.scheduled_at, runs.kept) == (None, None, [])
        assert not strategy._table.active
        assert not strategy._table._alarm._alarms.heap
        assert not strategy._table.beside._owners
        stats = manager.stats()
        assert (stats["pending"], stats["running"]) == (0, 0)
        slot = manager.add_task(bench.job("after"))
        await asyncio.wait_for(slot.wait(), 1)
        await manager.aclose()

    bench.run(main())


def test_work_may_cancel_its_own_task(bench: Bench) -> None:
    strategy = TimeBasedStrategy()

    async def work() -> None:
        bench.ran.append((bench.now(), None))
        task = current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(work, {"schedule": every(seconds=10)})
            await asyncio.sleep(35)
            assert task.cancelled()

    bench.run(main())
    assert bench.times() == [10]


def test_work_that_is_cancelled_from_inside_ends_its_run_alone(bench: Bench) -> None:
    strategy = TimeBasedStrategy()

    async def work() -> None:
        bench.ran.append((bench.now(), None))
        raise asyncio.CancelledError

    [(_, runs)] = bench.days(35, strategy, [(work, {"schedule": every(seconds=10)})])
    assert bench.times() == [10, 20, 30]
    assert runs.last_outcome is not None
    assert runs.last_outcome.cancelled


def test_work_that_swallows_its_cancellation_is_not_cancelled_again(bench: Bench) -> None:
    """It has been asked to make room; the next run waits until it does."""
    strategy = TimeBasedStrategy(overlap="cancel_running")

    async def work() -> None:
        bench.ran.append((bench.now(), None))
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(25)

    [(_, runs)] = bench.days(100, strategy, [(work, {"schedule": every(seconds=10)})])
    assert bench.times() == [10, 45, 75]
    assert runs.last_outcome is not None
    assert runs.missed == 0


def test_stopping_at_once_cancels_the_run_and_its_task(bench: Bench) -> None:
    async def main() -> None:
        manager = TaskManager(TimeBasedStrategy())
        running = manager.add_task(bench.job("long", lasts=1000), {"schedule": every(seconds=10)})
        asleep = manager.add_task(bench.job("x"), {"schedule": every(seconds=50)})
        await manager.idle()
        await asyncio.sleep(20)
        await manager.stop(timeout=0)
        assert (running.state, asleep.state) == (TaskState.CANCELLED, TaskState.PENDING)
        await manager.idle()
        await asyncio.sleep(40)
        await manager.aclose()
        assert asleep.state is TaskState.CANCELLED

    bench.run(main())
    assert bench.times("x") == [50]
