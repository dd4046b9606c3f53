"""Managers that start, stop and end with scheduled tasks in them."""

from __future__ import annotations

import asyncio
import gc
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from atm_time_based import TimeBasedStrategy, after, every

from atm_core import TaskManager

if TYPE_CHECKING:
    from conftest import Bench

START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
DAY = 86400.0


def test_leaving_the_manager_does_not_wait_for_the_next_run(bench: Bench) -> None:
    """Only for a run that has begun, and for what runs once."""

    async def main() -> float:
        async with TaskManager(TimeBasedStrategy()) as manager:
            yearly = manager.add_task(bench.job("yearly"), {"schedule": "@yearly"})
            manager.add_task(bench.job("minutely", lasts=20), {"schedule": every(seconds=60)})
            manager.add_task(bench.job("once"), {"schedule": after(70)})
            await asyncio.sleep(61)
        assert yearly.cancelled()
        return bench.now()

    assert bench.run(main()) == 80
    assert bench.ran == [(60, "minutely"), (70, "once")]


def test_nothing_is_kept_of_what_is_settled(bench: Bench) -> None:
    strategy = TimeBasedStrategy(overlap="allow")

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            for _ in range(3):
                task = manager.add_task(
                    bench.job(lasts=25), {"schedule": every(seconds=10), "time_based": {"max_runs": 3}}
                )
                await task
            await asyncio.sleep(100)
            del task
            gc.collect()
            assert not strategy._table.active
            assert len(strategy._coming) == 0
            assert not strategy._table.beside._owners
            assert not strategy._table.beside._runs
            assert not strategy._table._alarm._alarms.heap

    bench.run(main())


def test_a_manager_without_schedules_never_wakes(bench: Bench) -> None:
    """The wall clock is looked at only while something goes by it."""
    strategy = TimeBasedStrategy()

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            assert strategy._table._alarm._timer is None
            manager.add_task(bench.job(), {"schedule": every(hours=1)})
            assert strategy._table._alarm._timer is None
            task = manager.add_task(bench.job(), {"schedule": "@daily"})
            assert strategy._table._alarm._timer is not None
            task.cancel()
            assert strategy._table._alarm._timer is None

    bench.run(main())


def test_tasks_added_before_the_loop_runs_are_on_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its clocks show other times than those by which they were added."""
    monkeypatch.setattr("time.time", lambda: START + 30)
    manager = TaskManager(TimeBasedStrategy())
    manager.add_task(bench.job("yearly"), {"schedule": "@yearly"})
    manager.add_task(bench.job("once"), {"schedule": after(60)})

    async def main() -> None:
        async with manager:
            await asyncio.sleep(400 * DAY)

    bench.run(main())
    assert bench.times("yearly") == [365 * DAY]
    assert bench.times("once") == [90]


def test_a_strategy_may_come_in_while_the_manager_runs(bench: Bench) -> None:
    async def main() -> None:
        async with TaskManager() as manager:
            strategy = TimeBasedStrategy(overlap="cancel_running")
            manager.register(strategy)
            task = manager.add_task(bench.job(lasts=1000), {"schedule": "* * * * *"})
            await asyncio.sleep(90)
            bench.loop.jump_wall_clock(3600)
            await asyncio.sleep(120)
            task.cancel()

    bench.run(main())
    assert bench.times() == [60, 3720, 3780]


def test_a_manager_that_was_stopped_makes_up_for_the_pause(bench: Bench) -> None:
    strategy = TimeBasedStrategy()

    async def main() -> None:
        manager = TaskManager(strategy)
        task = manager.add_task(bench.job(), {"schedule": "*/10 * * * *"})
        await manager.idle()
        await asyncio.sleep(700)
        await manager.stop()
        await asyncio.sleep(3600)
        await manager.idle()
        await asyncio.sleep(600)
        runs = strategy.recurrence(task)
        assert runs is not None
        assert runs.missed == 5
        await manager.aclose()

    bench.run(main())
    assert bench.times() == [600, 4300, 4800]
