"""A wall clock that is moved: by NTP, by hand, or because the machine slept."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, List

import pytest
from atm_time_based import Recurrence, TimeBasedStrategy, after, at, every

from atm_core import ConcurrentLimitStrategy, TaskManager

if TYPE_CHECKING:
    from conftest import Bench

START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
HOUR, DAY = 3600.0, 86400.0


def moved(
    bench: Bench, schedule: Any, before: float, by: float, afterwards: float, **settings: Any
) -> Recurrence:
    """Run a task; after ``before`` seconds the wall clock is moved. Runs are noted in the loop's own time."""
    strategy = TimeBasedStrategy(**settings)

    async def work() -> None:
        bench.ran.append((bench.loop.time(), None))

    async def main() -> Recurrence:
        manager = TaskManager(strategy)
        task = manager.add_task(work, {"schedule": schedule})
        runs = strategy.recurrence(task)
        assert runs is not None
        await manager.idle()
        await asyncio.sleep(before)
        bench.loop.jump_wall_clock(by)
        await asyncio.sleep(afterwards)
        await manager.aclose()
        return runs

    result: Recurrence = bench.run(main())
    return result


def test_a_clock_that_goes_forward_brings_a_run_forward(bench: Bench) -> None:
    """At 00:30 the clock is set to 02:45; the run of 03:00 comes when the clock shows it."""
    runs = moved(bench, "0 3 * * *", 1800, 2.25 * HOUR, HOUR)
    assert bench.times() == [1800 + 900]
    assert runs.missed == 0


def test_what_a_clock_jumps_over_is_missed_and_made_up_for_within_a_minute(bench: Bench) -> None:
    """At 00:30:10 the clock is set to 04:30:10."""
    runs = moved(bench, "0 * * * *", 1810, 4 * HOUR, HOUR)
    assert len(bench.ran) == 2
    assert 1810 <= bench.times()[0] <= 1870
    assert bench.times()[1] == 1800 + 1800
    assert (runs.runs, runs.missed) == (2, 3)


def test_what_a_clock_jumps_over_may_stay_missed(bench: Bench) -> None:
    runs = moved(bench, "0 * * * *", 1810, 4 * HOUR, HOUR, on_missed="skip")
    assert bench.times() == [3600]
    assert (runs.runs, runs.missed) == (1, 4)


def test_each_run_that_a_clock_jumps_over_can_be_made_up_for(bench: Bench) -> None:
    runs = moved(bench, "0 * * * *", 1810, 4 * HOUR, 900, on_missed="run_all")
    assert len(bench.ran) == 4
    assert runs.missed == 0


def test_a_time_of_the_day_that_comes_again_does_not_run_again(bench: Bench) -> None:
    """The job of 01:00 has run; at 01:30 the clock goes back to 00:30."""
    moved(bench, "0 1 * * *", 1.5 * HOUR, -HOUR, 2 * DAY)
    assert bench.times() == [HOUR, 26 * HOUR]


def test_a_time_of_the_day_that_has_not_come_waits_for_the_clock(bench: Bench) -> None:
    moved(bench, "0 3 * * *", 2 * HOUR, -HOUR, 3 * HOUR)
    assert bench.times() == [4 * HOUR]


def test_every_few_minutes_goes_on_by_elapsed_time(bench: Bench) -> None:
    """As in an hour that is repeated in autumn."""
    moved(bench, "*/20 * * * *", 1.5 * HOUR, -HOUR, HOUR)
    assert bench.times() == [n * 1200.0 for n in range(1, 8)]


def test_a_clock_that_was_far_ahead_does_not_stop_the_schedule(bench: Bench) -> None:
    """A machine without a clock of its own started in the year 2036, until NTP put it right."""
    bench.loop.jump_wall_clock(10 * 365 * DAY)
    moved(bench, "0 1 * * *", 2 * DAY, -10 * 365 * DAY, DAY)
    # Ten years of 365 days are not ten years: the hour stays.
    assert bench.times() == [HOUR, 25 * HOUR, 49 * HOUR]


@pytest.mark.parametrize("by", [HOUR, -HOUR, 30 * DAY, -30 * DAY])
def test_intervals_and_delays_from_the_addition_do_not_look_at_the_wall_clock(
    bench: Bench, by: float
) -> None:
    runs = moved(bench, every(seconds=100), 250, by, 300, misfire_grace_seconds=1)
    assert bench.times() == [100, 200, 300, 400, 500]
    assert runs.missed == 0
    bench.ran.clear()
    moved(bench, after(50), 25, by, 300, misfire_grace_seconds=1)
    assert bench.times() == [600]


def test_an_interval_with_a_start_stays_on_its_times(bench: Bench) -> None:
    """Each full ten minutes of the wall clock; one that it shows a second time counts again."""
    moved(bench, every(minutes=10, start="2026-01-01"), 700, -300, 1300)
    assert bench.times() == [0, 600, 900, 1500]


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_one_time_moves_with_the_clock(bench: Bench, by: float) -> None:
    moved(bench, at("2026-01-01T03:00"), HOUR, by, DAY)
    assert bench.times() == [3 * HOUR - by]


def test_several_single_times_all_move(bench: Bench) -> None:
    strategy = TimeBasedStrategy()

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            for hour in (5, 3, 4):
                manager.add_task(bench.job(hour), {"schedule": at(f"2026-01-01T{hour:02d}:00")})
            await asyncio.sleep(HOUR)
            bench.loop.jump_wall_clock(-HOUR)

    bench.run(main())
    assert bench.ran == [(3 * HOUR, 3), (4 * HOUR, 4), (5 * HOUR, 5)]
    assert bench.loop.time() == 6 * HOUR


def test_a_task_that_wakes_on_a_clock_that_went_back_just_then_waits(bench: Bench) -> None:
    """Within the minute in which nobody has looked yet."""
    moved(bench, "0 1 * * *", HOUR - 5, -600, DAY)
    assert bench.times() == [HOUR + 600]


@pytest.mark.parametrize("overlap", ["allow", "cancel_running"])
def test_the_clock_may_move_while_a_task_runs(bench: Bench, overlap: str) -> None:
    strategy = TimeBasedStrategy(overlap=overlap)

    async def work() -> None:
        bench.ran.append((bench.loop.time(), None))
        await asyncio.sleep(90)

    async def main() -> None:
        manager = TaskManager(strategy)
        manager.add_task(work, {"schedule": "* * * * *"})
        await manager.idle()
        await asyncio.sleep(65)
        bench.loop.jump_wall_clock(-30)
        await asyncio.sleep(150)
        await manager.aclose(timeout=0)

    bench.run(main())
    assert bench.times() == [60, 150, 210]


def test_the_clock_may_move_while_a_gate_is_full(bench: Bench) -> None:
    """The run of 01:00 waits for a slot when the clock goes back to 00:58: it runs when that shows 01:00."""
    strategy = TimeBasedStrategy()
    notes: List[float] = []

    async def work() -> None:
        notes.append(bench.now())

    async def main() -> None:
        async with TaskManager([strategy, ConcurrentLimitStrategy(1)]) as manager:
            task = manager.add_task(work, {"schedule": "0 1 * * *"})
            manager.add_task(bench.job(lasts=HOUR + 30))
            await asyncio.sleep(HOUR + 10)
            bench.loop.jump_wall_clock(-120)
            await asyncio.sleep(300)
            runs = strategy.recurrence(task)
            assert runs is not None
            assert (runs.runs, runs.missed) == (1, 0)

    bench.run(main())
    assert notes == [HOUR]


def test_small_differences_between_the_clocks_move_nothing(bench: Bench) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:
            manager.add_task(bench.job(), {"schedule": "*/5 * * * *"})
            for n in range(100):
                await asyncio.sleep(60)
                bench.loop.jump_wall_clock(0.002 if n % 2 else -0.002)

    bench.run(main())
    assert all(at % 300 < 0.01 or at % 300 > 299.99 for at in bench.times())
    assert len(bench.times()) in (19, 20)


def test_many_small_moves_are_one_large_one(bench: Bench) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:
            manager.add_task(bench.job(), {"schedule": "0 1 * * *"})
            for _ in range(55):
                await asyncio.sleep(60)
                bench.loop.jump_wall_clock(0.01)
            await asyncio.sleep(600)

    bench.run(main())
    assert bench.times() == [pytest.approx(HOUR, abs=0.06)]
    assert bench.times()[0] >= HOUR - 0.06


def test_the_wall_clock_is_looked_at_once_a_minute_and_not_more(bench: Bench) -> None:
    looks: List[float] = []
    strategy = TimeBasedStrategy()
    look = strategy._table.clock.moved
    strategy._table.clock.moved = lambda: looks.append(bench.loop.time()) or look()  # type: ignore[method-assign, func-returns-value]

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            manager.add_task(bench.job(), {"schedule": "@yearly"})
            await asyncio.sleep(HOUR)

    bench.run(main())
    assert len([at for at in looks if at > 0]) == 60
