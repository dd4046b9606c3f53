"""Tasks with a schedule in a manager: one handle, many runs."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, List

import pytest
from atm_time_based import MissedRunError, TimeBasedStrategy, after, at, cron, every

from atm_core import ConcurrentLimitStrategy, TaskManager, TaskState

if TYPE_CHECKING:
    from conftest import Bench

START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
HOUR, DAY = 3600.0, 86400.0


def test_each_kind_of_schedule_runs_at_its_times(bench: Bench) -> None:
    bench.days(
        2 * DAY,
        TimeBasedStrategy(),
        [
            (bench.job("cron"), {"schedule": cron("0 3 * * *")}),
            (bench.job("every"), {"schedule": every(hours=20)}),
            (bench.job("at"), {"schedule": at("2026-01-01T05:00")}),
            (bench.job("after"), {"schedule": after(5)}),
            (bench.job("now"), {}),
            (bench.job("reboot"), {"schedule": "@reboot"}),
        ],
    )
    assert bench.times("cron") == [3 * HOUR, 27 * HOUR]
    assert bench.times("every") == [20 * HOUR, 40 * HOUR]
    assert bench.times("at") == [5 * HOUR]
    assert bench.times("after") == [5]
    assert bench.times("now") == bench.times("reboot") == [0]


def test_the_written_forms_do_the_same(bench: Bench) -> None:
    bench.days(
        DAY,
        TimeBasedStrategy(timezone="Asia/Tokyo"),
        [
            (bench.job("cron"), {"schedule": {"cron": "0 12 * * *"}}),
            (bench.job("zone"), {"schedule": {"cron": "0 12 * * *", "timezone": "UTC"}}),
            (bench.job("every"), {"schedule": {"every_seconds": 9 * HOUR}}),
            (bench.job("at"), {"schedule": {"at": "2026-01-01T10:00"}}),
            (bench.job("after"), {"schedule": {"after_seconds": 5}}),
            (bench.job("text"), {"schedule": "0 12 * * *"}),
        ],
    )
    assert bench.times("cron") == bench.times("text") == [3 * HOUR]
    assert bench.times("zone") == [12 * HOUR]
    assert bench.times("every") == [9 * HOUR, 18 * HOUR]
    assert bench.times("at") == [HOUR]


def test_the_strategys_cron_is_for_tasks_that_name_no_schedule(bench: Bench) -> None:
    bench.days(
        3 * HOUR,
        TimeBasedStrategy(cron="30 * * * *"),
        [
            (bench.job("default"), {}),
            (bench.job("own"), {"schedule": after(1)}),
            (bench.job("none"), {"schedule": None}),
        ],
    )
    assert bench.times("default") == [1800, 1800 + HOUR, 1800 + 2 * HOUR]
    assert bench.times("own") == [1]
    assert bench.times("none") == [0]


def test_a_recurring_task_is_one_handle_pending_and_running_in_turn(bench: Bench) -> None:
    strategy = TimeBasedStrategy()
    states: List[Any] = []

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(bench.job("x", lasts=10), {"schedule": every(seconds=60), "name": "x"})
            runs = strategy.recurrence(task)
            assert runs is not None
            for pause in (65, 10, 50, 25):
                states.append((bench.now(), task.state, runs.runs, runs.next_run_at, runs.scheduled_at))
                await asyncio.sleep(pause)
            assert task.cancel()
            await asyncio.sleep(1000)
            assert (task.state, runs.runs, runs.next_run_at) == (TaskState.CANCELLED, 2, None)
            assert strategy.recurrence(task) is runs

    bench.run(main())
    assert states == [
        (0, TaskState.PENDING, 0, START + 60, None),
        (65, TaskState.RUNNING, 0, START + 120, START + 60),
        (75, TaskState.PENDING, 1, START + 120, None),
        (125, TaskState.RUNNING, 1, START + 180, START + 120),
    ]
    assert bench.times() == [60, 120]


def test_cancel_ends_a_run_and_the_schedule(bench: Bench) -> None:
    strategy = TimeBasedStrategy()

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(bench.job("x", lasts=30), {"schedule": every(seconds=60)})
            await asyncio.sleep(70)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            runs = strategy.recurrence(task)
            assert runs is not None
            assert (runs.runs, runs.next_run_at) == (1, None)
            assert runs.last_outcome is not None
            assert runs.last_outcome.cancelled
            await asyncio.sleep(1000)

    bench.run(main())
    assert bench.times() == [60]


def test_a_failed_run_is_reported_and_does_not_end_the_task(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    strategy = TimeBasedStrategy()
    with caplog.at_level(logging.ERROR):
        [(_, runs)] = bench.days(
            200, strategy, [(bench.job("x", fails=True), {"schedule": every(seconds=60), "name": "x"})]
        )
    assert bench.times() == [60, 120, 180]
    assert runs.runs == 3
    assert runs.last_outcome is not None
    assert runs.last_outcome.failed
    for n, record in enumerate(caplog.records, 1):
        assert f"its run of 2026-01-01T00:0{n}:00+00:00 failed" in record.getMessage()
    assert len(caplog.records) == 3
    assert all(record.exc_info is not None for record in caplog.records)


def test_a_failed_run_ends_the_task_if_that_is_asked_for(bench: Bench) -> None:
    strategy = TimeBasedStrategy(end_on_failure=True)

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(bench.job("x", fails=True), {"schedule": every(seconds=60)})
            with pytest.raises(RuntimeError, match="x fails"):
                await task

    bench.run(main())
    assert bench.times() == [60]


def test_a_task_that_runs_once_has_a_result(bench: Bench) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:
            task = manager.add_task(bench.job("x")(), {"schedule": after(5)})
            assert await task == "x"
            assert bench.now() == 5

    bench.run(main())


def test_the_number_of_runs_and_their_span_can_be_limited(bench: Bench) -> None:
    strategy = TimeBasedStrategy(start="2026-01-01T02:00", end="2026-01-01T06:00", max_runs=3)
    outcomes = bench.days(
        DAY,
        strategy,
        [
            (bench.job("hourly"), {"schedule": "@hourly"}),
            (bench.job("free"), {"schedule": "@hourly", "time_based": {"max_runs": None, "start": None}}),
            (bench.job("late"), {"schedule": every(hours=3), "time_based": {"max_runs": 9}}),
        ],
    )
    assert bench.times("hourly") == [2 * HOUR, 3 * HOUR, 4 * HOUR]
    assert bench.times("free") == [n * HOUR for n in (1, 2, 3, 4, 5, 6)]
    assert bench.times("late") == [3 * HOUR, 6 * HOUR]
    assert [task.state for task, _ in outcomes] == [TaskState.SUCCEEDED] * 3
    assert outcomes[0][0].result() == "hourly"


def test_work_is_told_which_time_it_runs_for(bench: Bench) -> None:
    from atm_core import current_task

    told = []

    async def work() -> None:
        task = current_task()
        assert task is not None
        told.append(task.metadata["scheduled_at"] - START)

    bench.days(HOUR, TimeBasedStrategy(jitter_seconds=100, seed=1), [(work, {"schedule": every(minutes=20)})])
    assert told == [1200, 2400]


def test_a_schedule_joins_the_limits_of_others(bench: Bench) -> None:
    """Its runs wait for a slot like any other task, and hold none between runs."""
    bench.days(
        100,
        TimeBasedStrategy(),
        [
            (bench.job("slow", lasts=15), {"schedule": after(50)}),
            (bench.job("x"), {"schedule": every(seconds=30)}),
        ],
        [ConcurrentLimitStrategy(1)],
    )
    assert bench.times("x") == [30, 65, 90]


def test_a_task_whose_only_time_is_past_runs_at_once_or_never(bench: Bench) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:
            an_hour_ago = {"schedule": at("2025-12-31T23:00")}
            assert await manager.add_task(bench.job("late"), an_hour_ago) == "late"
            strict = manager.add_task(
                bench.job(), {**an_hour_ago, "time_based": {"misfire_grace_seconds": 60}}
            )
            with pytest.raises(MissedRunError, match="late"):
                await strict
            with pytest.raises(MissedRunError):
                await manager.add_task(bench.job(), {"schedule": at("2025-12-25T00:00")})

    bench.run(main())
    assert bench.ran == [(0, "late")]


def test_it_says_when_a_task_runs_next_and_counts(bench: Bench) -> None:
    strategy = TimeBasedStrategy(timezone="Asia/Tokyo")

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(bench.job(), {"schedule": "0 12 * * *"})
            plain = manager.add_task(bench.job())
            assert strategy.explain(task, 0.0) == "its next run is due at 2026-01-01T12:00:00+09:00"
            assert strategy.recurrence(plain) is None
            await asyncio.sleep(DAY)
            assert strategy.stats() == {
                "scheduled": 1,
                "running": 0,
                "runs": 1,
                "missed": 0,
                "skipped": 0,
                "next_run_at": START + DAY + 3 * HOUR,
            }
        assert strategy.stats()["runs"] == 1
        assert strategy.stats()["next_run_at"] is None

    bench.run(main())


def test_twenty_thousand_runs_that_take_their_time_do_not_drift(bench: Bench) -> None:
    """Neither the work nor what a turn of the loop takes moves the next run."""
    [(_, runs)] = bench.days(
        2000.05, TimeBasedStrategy(), [(bench.job(lasts=0.07), {"schedule": every(seconds=0.1)})]
    )
    assert runs.runs >= 19_999
    assert bench.times() == [pytest.approx(0.1 * n, abs=1e-5) for n in range(1, 20_001)]
