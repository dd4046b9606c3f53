"""What is refused, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from atm_time_based import ScheduleError, TimeBasedStrategy, every

from atm_core import TaskManager, TaskRejected

if TYPE_CHECKING:
    from conftest import Bench


@pytest.mark.parametrize(
    "metadata, error",
    [
        ({"schedule": "61 * * * *"}, "^minute must"),
        ({"schedule": {"cron": "* * 31 2 *"}}, "never fire"),
        ({"schedule": 5}, "^schedule must"),
        ({"schedule": {"cron": "* * * * *", "timezone": "Mars/Olympus"}}, "^timezone must"),
        ({"schedule": "@hourly", "time_based": 5}, "must be a dict"),
        ({"schedule": "@hourly", "time_based": {"overlap": "alow"}}, "did you mean 'allow'"),
        ({"schedule": "@hourly", "time_based": {"overlaps": "allow"}}, "did you mean 'overlap'"),
        ({"schedule": "@hourly", "time_based": {"end": "2025-01-01"}}, "never run"),
        ({"schedule": "@hourly", "time_based": {"start": "2028-01-01"}}, "start must not be after the strategy's end"),
        ({"schedule": "@hourly", "time_based": {"start": "soon"}}, "^start must"),
        ({"schedule": "@hourly", "time_based": {"max_runs": 0}}, "^max_runs must"),
        ({"schedule": "@hourly", "time_based": {5: 1}}, "^5 is no setting of a task, got 1"),
        ({"schedule": {"every_seconds": 1, 5: 1}}, "^5 is no key of a schedule with 'every_seconds', got 1"),
        ({"schedule": {"every_seconds": 0}}, "^every_seconds must be at least 0.001, got 0.0"),
        ({"schedule": {"every_seconds": True}}, "^every_seconds must be a number of seconds"),
        ({"schedule": {"after_seconds": 1e300}}, "^after_seconds must be a number of seconds"),
        ({"schedule": {"at": None}}, "^at must be a datetime"),
        ({"schedule": {"at": "2026-13-01"}}, "^at must be a datetime"),
        ({"schedule": {"cron": None}}, "^cron must be a string, got None"),
        ({"schedule": ""}, "^cron must have 5 fields"),
        ({"schedule": False}, "^schedule must be a schedule"),
        ({"schedule": []}, "^schedule must be a schedule"),
    ],
)
def test_a_mistake_is_refused_when_the_task_is_added(bench: Bench, metadata: Any, error: str) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy(end="2027-01-01")) as manager:
            with pytest.raises(TaskRejected, match=error):
                manager.add_task(bench.job(), metadata)
            assert manager.stats()["strategies"]["time_based"]["scheduled"] == 0

    bench.run(main())


def test_a_schedules_mistake_names_its_field(bench: Bench) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:
            with pytest.raises(ScheduleError) as caught:
                manager.add_task(bench.job(), {"schedule": "0 0 * * FOO"})
            assert caught.value.field == "day-of-week"

    bench.run(main())


def test_a_coroutine_cannot_recur(bench: Bench) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:
            with pytest.raises(TaskRejected, match="add a function"):
                manager.add_task(bench.job()(), {"schedule": every(seconds=1)})

    bench.run(main())


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": 5},
        {"name": None},
        {"name": ["x"]},
        {"recurrence": "daily", "scheduled_at": "noon"},
        {"time_based": None},
        {"time_based": {}},
        {"time_based": {"start": None, "end": None, "max_runs": None, "misfire_grace_seconds": None}},
    ],
)
def test_what_others_may_write_into_metadata_disturbs_nothing(bench: Bench, metadata: Any) -> None:
    bench.days(25, TimeBasedStrategy(), [(bench.job(), {"schedule": every(seconds=10), **metadata})])
    assert bench.times() == [10, 20]


def test_metadata_of_one_task_may_be_that_of_the_next(bench: Bench) -> None:
    """With all that the strategy has left there."""
    strategy = TimeBasedStrategy()
    [(task, first)] = bench.days(25, strategy, [(bench.job(), {"schedule": every(seconds=10)})])
    [(_, second)] = bench.days(25, TimeBasedStrategy(), [(bench.job(), dict(task.metadata))])
    assert second is not first
    assert (first.runs, second.runs) == (2, 2)
