"""Several managers, several loops, one after another or at once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from atm_time_based import TimeBasedStrategy, after, cron, every

from atm_core import HookError, TaskManager
from atm_core.testing import VirtualTimeLoop

if TYPE_CHECKING:
    from conftest import Bench

START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
HOUR = 3600.0


def test_two_managers_share_nothing_but_the_schedule(bench: Bench) -> None:
    """One schedule object, of many tasks and in many managers."""
    shared = cron("*/10 * * * *")

    async def main() -> None:
        one = TaskManager(TimeBasedStrategy(timezone="Asia/Tokyo"))
        other = TaskManager(TimeBasedStrategy(timezone="Asia/Kathmandu"))
        for n in range(3):
            one.add_task(bench.job(f"one {n}"), {"schedule": shared})
            other.add_task(bench.job(f"other {n}"), {"schedule": shared})
        async with one, other:
            await asyncio.sleep(HOUR)

    bench.run(main())
    assert shared == cron("*/10 * * * *")
    for n in range(3):
        assert bench.times(f"one {n}") == [600.0 * k for k in range(1, 7)]
        # Kathmandu is 45 minutes off, so its tenths of minutes are five later.
        assert bench.times(f"other {n}") == [300 + 600.0 * k for k in range(6)]


def test_one_strategy_serves_one_manager(bench: Bench) -> None:
    strategy = TimeBasedStrategy()

    async def main() -> None:
        one, other = TaskManager(strategy), TaskManager(strategy)
        one.add_task(bench.job("one"), {"schedule": "* * * * *"})
        with pytest.raises(HookError, match="works for another manager: make one for each"):
            other.add_task(bench.job("other"), {"schedule": "* * * * *"})
        async with one:
            await asyncio.sleep(150)
        other.add_task(bench.job("other"), {"schedule": after(5)})
        async with other:
            pass

    bench.run(main())
    assert bench.times("one") == [60, 120]
    assert bench.times("other") == [155]


def test_one_manager_takes_one_strategy(bench: Bench) -> None:
    async def main() -> None:
        manager = TaskManager()
        manager.register(TimeBasedStrategy(), "one")
        manager.register(TimeBasedStrategy(), "another")
        with pytest.raises(HookError, match="one TimeBasedStrategy"):
            await manager.idle()
        await manager.aclose()

    bench.run(main())


@pytest.mark.parametrize("wall_gap", [0.0, 1000.0, -1000.0])
def test_a_manager_goes_on_in_another_loop(bench: Bench, wall_gap: float) -> None:
    """Its clock begins at 0 again, and the wall clock may have been moved meanwhile."""
    manager = TaskManager(TimeBasedStrategy())

    async def first() -> None:
        manager.add_task(bench.job("cron"), {"schedule": "0 * * * *"})
        manager.add_task(bench.job("every"), {"schedule": every(minutes=50)})
        manager.add_task(bench.job("after"), {"schedule": after(3 * HOUR)})
        await manager.idle()
        await asyncio.sleep(1.5 * HOUR)
        await manager.stop()

    async def second() -> None:
        await manager.idle()
        await asyncio.sleep(2 * HOUR)
        await manager.aclose()

    bench.run(first())
    bench.loop.close()
    bench.loop = VirtualTimeLoop(wall_start=START + 1.5 * HOUR + wall_gap)
    bench.run(second())
    assert bench.times("cron") == [HOUR, 2 * HOUR, 3 * HOUR]
    if not wall_gap:
        assert bench.times("every") == [3000, 6000, 9000, 12000]
        assert bench.times("after") == [3 * HOUR]


def test_a_loop_that_is_closed_under_a_run_disturbs_no_interval(bench: Bench) -> None:
    manager = TaskManager(TimeBasedStrategy())

    async def first() -> None:
        manager.add_task(bench.job("long", lasts=100), {"schedule": "*/10 * * * *"})
        manager.add_task(bench.job("every"), {"schedule": every(minutes=7)})
        await manager.idle()
        await asyncio.sleep(650)

    async def second() -> None:
        await manager.idle()
        await asyncio.sleep(1300)
        await manager.aclose(timeout=0)

    bench.run(first())
    bench.loop.close()
    bench.loop = VirtualTimeLoop(wall_start=START + 650)
    bench.run(second())
    assert bench.times("long") == [600, 1200, 1800]
    assert bench.times("every") == [420, 840, 1260, 1680]


def test_a_task_may_be_added_by_a_run(bench: Bench) -> None:
    """In the middle of a turn, with the same schedule object, many at once."""
    minutely = cron("* * * * *")

    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:

            async def work() -> None:
                bench.ran.append((bench.now(), "outer"))
                for n in range(100):
                    inner: Any = {"schedule": minutely, "time_based": {"max_runs": 1}}
                    manager.add_task(bench.job(n), inner)

            manager.add_task(work, {"schedule": minutely})
            await asyncio.sleep(150)

    bench.run(main())
    assert bench.times("outer") == [60, 120]
    assert len(bench.ran) == 2 + 100  # the hundred of 120 s are due at 180 s
