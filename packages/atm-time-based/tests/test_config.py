"""Chosen by name, with schedules and settings from TOML, JSON and dicts."""

from __future__ import annotations

import asyncio
import json
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

import pytest
from atm_time_based import Cron, TimeBasedStrategy, at, cron, every, parse_schedule

from atm_core import ConfigError, SettingError, TaskManager

if TYPE_CHECKING:
    from conftest import Bench

START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
HOUR = 3600.0

TOML = """
[[nightly.strategies]]
name = "time_based"
timezone = "Asia/Tokyo"
cron = "0 12 * * *"
misfire_grace_seconds = 60
on_missed = "skip"
catchup_seconds = 7200
overlap = "buffer_one"
jitter_seconds = 0
start = "2026-01-02"
end = 2026-01-04T00:00:00
max_runs = 5
end_on_failure = true
state_file = "runs.db"
seed = 1

[[nightly.strategies]]
name = "concurrent_limit"
max_concurrent = 2
"""


@pytest.mark.parametrize("form", ["toml", "json", "dict"])
def test_every_setting_can_stand_in_a_config(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"timezone": "Asia/Tokyo", "cron": "0 12 * * *", "start": "2026-01-02", "end": "2026-01-04"}
    listed: Dict[str, Any] = {"strategies": [{"name": "time_based", **options}]}
    if form == "toml":
        (tmp_path / "atm.toml").write_text(TOML, encoding="utf-8")
    elif form == "json":
        (tmp_path / "atm.json").write_text(json.dumps({"nightly": listed}), encoding="utf-8")

    async def main() -> None:
        manager = TaskManager.from_config(listed if form == "dict" else f"atm.{form}")
        manager.add_task(bench.job(), {"name": "noon"})
        async with manager:
            await asyncio.sleep(10 * 24 * HOUR)

    bench.run(main())
    assert bench.times() == [27 * HOUR, 51 * HOUR]  # noon in Tokyo is three in the morning, UTC
    assert (tmp_path / "runs.db").exists() is (form == "toml")


def test_every_mistake_of_a_config_is_told_at_once_by_key() -> None:
    wrong = {
        "name": "time_based", "timezone": "Europe/Lodnon", "cron": "0 0 * * FOO", "on_missed": "run",
        "overlap": "alow", "catchup_seconds": -1, "end": "soon", "max_runs": 0, "state_file": "",
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        TaskManager.from_config({"strategies": [wrong]})
    text = str(caught.value)
    for expected in (
        "timezone must be a zone of the IANA database (did you mean 'Europe/London'?), got 'Europe/Lodnon'",
        "cron must be valid (day-of-week must be made of",
        "got '0 0 * * FOO'",
        "on_missed must be one of",
        "(did you mean 'allow'?), got 'alow'",
        "catchup_seconds must be",
        "end must be a datetime or an ISO 8601 string like '2027-01-01T00:00', got 'soon'",
        "max_runs must be greater than 0, got 0",
        "state_file must be a path, got ''",
    ):
        assert expected in text
    assert text.count("Lodnon") == text.count("FOO") == 1
    with pytest.raises(ConfigError, match="did you mean 'timezone'"):
        TaskManager.from_config({"strategies": [{"name": "time_based", "timezon": "UTC"}]})


@pytest.mark.parametrize(
    "default, times",
    [
        ("30 * * * *", [1800, 5400]),
        ({"cron": "0 10 * * *", "timezone": "Asia/Tokyo"}, [HOUR]),
        ({"every_seconds": 3000}, [3000, 6000]),
        ({"at": "2026-01-01T01:00"}, [HOUR]),
        ({"at": datetime(2026, 1, 1, 1)}, [HOUR]),
        ({"after_seconds": 5}, [5]),
        (every(hours=1), [HOUR, 7200]),
    ],
)
def test_the_default_may_have_any_form(bench: Bench, default: Any, times: Any) -> None:
    bench.days(7201, TimeBasedStrategy(cron=default), [(bench.job(), {})])
    assert bench.times() == times


def test_dates_of_toml_are_times() -> None:
    """TOML has dates, times of both, and offsets of its own."""
    assert at(date(2027, 1, 1)) == at("2027-01-01") == at("2027-01-01T00:00")
    written = {"at": date(2027, 1, 1), "timezone": "Asia/Tokyo"}
    assert parse_schedule(written) == at("2027-01-01", timezone="Asia/Tokyo")
    assert every(seconds=5, start=date(2027, 1, 1)) == every(seconds=5, start="2027-01-01T00:00Z")


def test_a_schedule_survives_json() -> None:
    one = parse_schedule(json.loads('{"cron": "H 3 * * MON-FRI", "timezone": "Europe/London", "jitter_seconds": 5}'))
    assert isinstance(one, Cron)
    assert parse_schedule(json.loads(json.dumps(one.to_dict()))) == one
    reboot = cron("@reboot", jitter_seconds=5)
    assert parse_schedule(json.loads(json.dumps(reboot.to_dict()))) == reboot


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"timezone": "Mars/Olympus"}, "timezone must be a zone of the IANA database, got 'Mars/Olympus'"),
        ({"timezone": 5}, "timezone must be a zone's name or a tzinfo, got 5"),
        ({"timezone": None}, "timezone must be a zone's name or a tzinfo, got None"),
        ({"cron": "0 0 30 2 *"}, "cron must be valid (day-of-month must be a day that comes: this can never fire)"),
        ({"cron": 5}, "cron must be valid (schedule must be a schedule, a dict or a cron string), got 5"),
        ({"cron": {"every_seconds": 0}}, "cron must be valid (every_seconds must be at least 0.001)"),
        ({"misfire_grace_seconds": "1"}, "misfire_grace_seconds must be a number of at least 0, got '1'"),
        ({"misfire_grace_seconds": True}, "misfire_grace_seconds must be a number of at least 0, got True"),
        ({"on_missed": None}, "on_missed must be one of 'run_latest', 'run_all', 'run_earliest', 'skip', got None"),
        ({"catchup_seconds": float("inf")}, "catchup_seconds must be a finite number of at least 0, got inf"),
        ({"overlap": "queue"}, "overlap must be one of 'skip', 'buffer_one', 'buffer_all', 'cancel_running', 'allow'"),
        ({"jitter_seconds": -1}, "jitter_seconds must be a finite number of at least 0, got -1"),
        ({"start": "soon"}, "start must be a datetime or an ISO 8601 string like '2027-01-01T00:00', got 'soon'"),
        ({"end": 5}, "end must be a datetime or an ISO 8601 string like '2027-01-01T00:00', got 5"),
        ({"end": "0001-01-01"}, "end must be in the years 2 to 9998, which every zone can show, got '0001-01-01'"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "end must not be before start, got '2026-01-01'"),
        ({"max_runs": 1.0}, "max_runs must be a whole number greater than 0, got 1.0"),
        ({"end_on_failure": 1}, "end_on_failure must be True or False, got 1"),
        ({"state_file": b"runs.db"}, "state_file must be a path, got b'runs.db'"),
        ({"state_file": "a\0b"}, "state_file must be a path, got 'a\\x00b'"),
        ({"seed": 1.5}, "seed must be a whole number, got 1.5"),
    ],
)
def test_a_message_names_the_parameter_what_is_expected_and_the_value(settings: Any, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        TimeBasedStrategy(**settings)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(" (TimeBasedStrategy)")
