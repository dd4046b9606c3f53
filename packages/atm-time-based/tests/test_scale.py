"""A hundred thousand schedules in one manager, and one that is looked at closely."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, List

import pytest
from atm_time_based import TimeBasedStrategy, cron, every

from atm_core import TaskManager, TaskState

if TYPE_CHECKING:
    from conftest import Bench


def timers(bench: Bench) -> List[Any]:
    return [timer for timer in bench.loop._scheduled if not timer._cancelled]


def test_a_hundred_thousand_schedules_have_one_timer(bench: Bench) -> None:
    """Half of them by the wall clock, which needs a second one: the look once a minute."""
    strategy = TimeBasedStrategy()
    hourly = cron("0 * * * *")
    n, count = 100_000, [0]

    async def work() -> None:
        count[0] += 1

    async def main() -> None:
        manager = TaskManager(strategy)
        await manager.idle()
        for k in range(n // 2):
            manager.add_task(work, {"schedule": every(seconds=1800.0 + k % 100)})
        await asyncio.sleep(0)
        assert len(timers(bench)) <= 1
        for _ in range(n // 2):
            manager.add_task(work, {"schedule": hourly})
        await asyncio.sleep(0)
        assert len(timers(bench)) <= 2
        await asyncio.sleep(3500)
        assert len(timers(bench)) <= 3  # and this sleep's
        await asyncio.sleep(199)
        # At 3699 s: all of the one kind, and of the other all once and half of them (1800 to 1849) twice.
        assert strategy.stats()["runs"] == count[0] == n // 2 * 2 + n // 4
        await manager.aclose()

    bench.run(main())


@pytest.mark.parametrize("overlap", ["cancel_running", "allow"])
def test_nothing_is_kept_of_runs_that_are_over(bench: Bench, overlap: str) -> None:
    """Ten thousand runs that may be cancelled or joined by the next: the strategy's heap does not grow."""
    strategy = TimeBasedStrategy(overlap=overlap)
    sizes: List[int] = []

    async def work() -> None:
        sizes.append(len(strategy._table._alarm._alarms.heap))

    bench.days(10_000, strategy, [(work, {"schedule": every(seconds=1)})])
    assert len(sizes) >= 9999
    assert max(sizes) <= 3


def test_nothing_is_kept_of_tasks_that_are_settled(bench: Bench) -> None:
    """A task of which the next run is a year away is cancelled in its run, over and over."""
    strategy = TimeBasedStrategy(overlap="allow")

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            other = manager.add_task(bench.job(lasts=1e9), {"schedule": every(hours=1, start="2026-01-01")})
            await asyncio.sleep(1)
            for _ in range(1000):
                start = datetime.fromtimestamp(bench.loop.wall_time(), timezone.utc)
                task = manager.add_task(bench.job(lasts=5), {"schedule": every(hours=8760, start=start)})
                await asyncio.sleep(1)
                assert task.state is TaskState.RUNNING
                assert len(strategy._table._alarm._alarms.until) == 2
                task.cancel()
                await asyncio.sleep(0)
                assert len(strategy._table._alarm._alarms.until) == 1
                assert len(strategy._table._alarm._alarms.heap) <= 2
            other.cancel()

    bench.run(main())
