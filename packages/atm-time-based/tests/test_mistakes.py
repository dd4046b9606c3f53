"""What is refused, and how."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from atm_time_based import ScheduleError, TimeBasedStrategy, every

from atm_core import SettingError, TaskManager, TaskRejected

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
    ],
)
def test_a_mistake_is_refused_when_the_task_is_added(bench: Bench, metadata: Any, error: str) -> None:
    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:
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
    "settings, parameter",
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": 5}, "timezone"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"misfire_grace_seconds": -1}, "misfire_grace_seconds"),
        ({"misfire_grace_seconds": True}, "misfire_grace_seconds"),
        ({"on_missed": "run"}, "on_missed"),
        ({"catchup_seconds": math.nan}, "catchup_seconds"),
        ({"catchup_seconds": None}, "catchup_seconds"),
        ({"overlap": "never"}, "overlap"),
        ({"jitter_seconds": "2"}, "jitter_seconds"),
        ({"start": "soon"}, "start"),
        ({"end": 5}, "end"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "end"),
        ({"max_runs": 0}, "max_runs"),
        ({"end_on_failure": 1}, "end_on_failure"),
        ({"state_file": 5}, "state_file"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(settings: Any, parameter: str) -> None:
    with pytest.raises(SettingError) as caught:
        TimeBasedStrategy(**settings)
    assert caught.value.parameter == parameter
    assert str(caught.value).startswith(parameter)
