"""Intervals, single times, and how schedules are written down."""

from __future__ import annotations

import json
import math
import pickle
from datetime import datetime, timezone
from typing import Any

import pytest
from atm_time_based import (
    Cron,
    Every,
    Schedule,
    ScheduleError,
    after,
    at,
    cron,
    every,
    next_times,
    parse_schedule,
)
from atm_time_based._zones import find_zone
from hypothesis import given, settings
from hypothesis import strategies as st

WRONG: Any = [5]


def test_an_interval_does_not_drift_over_a_million_runs() -> None:
    start = 1_700_000_000.0
    schedule = every(seconds=0.1).bound(start - 0.1)
    wall_time = start
    for _ in range(1_000_000):
        following = schedule.next_after(wall_time)
        assert following > wall_time
        wall_time = following
    assert wall_time == pytest.approx(start + 100_000, abs=1e-6)


@settings(derandomize=True)
@given(
    seconds=st.floats(1e-3, 1e7),
    start=st.floats(0, 4e9),
    since=st.floats(-10, 1e8),
    after_start=st.booleans(),
)
def test_an_interval_is_strictly_later_and_skips_nothing(
    seconds: float, start: float, since: float, after_start: bool
) -> None:
    schedule = Every(seconds, start=start)
    wall_time = start + since
    found = schedule.next_after(wall_time)
    assert found > wall_time
    if found > start:
        count = round((found - start) / seconds)
        assert found == start + count * seconds
        assert start + (count - 1) * seconds <= wall_time


def test_an_interval_runs_first_one_interval_after_it_is_added_or_at_its_start() -> None:
    assert [found.timestamp() for found in next_times(every(seconds=30), 3, 100.0)] == [130, 160, 190]
    anchored = every(minutes=1, start="1970-01-01T00:00:30")
    assert [found.timestamp() for found in next_times(anchored, 2, 0.0)] == [30, 90]
    assert [found.timestamp() for found in next_times(anchored, 2, 30.0)] == [30, 90]
    assert [found.timestamp() for found in next_times(anchored, 2, 100.0)] == [150, 210]
    assert every(seconds=1, minutes=2, hours=1).seconds == 3721


def test_unbound_schedules_count_from_the_time_that_they_are_told() -> None:
    assert every(seconds=30).next_after(7.0) == 37
    assert after(5).next_after(7.0) == 12
    bound = after(5).bound(7.0)
    assert (bound.next_after(11.0), bound.next_after(12.0), bound.first(99.0)) == (12, None, 12)
    assert bound.bound(50.0) is bound


def test_at_fires_once_in_its_zone() -> None:
    tokyo = at("2027-01-01T00:00", timezone="Asia/Tokyo")
    expected = datetime(2026, 12, 31, 15, tzinfo=timezone.utc).timestamp()
    assert tokyo.next_after(0.0) == expected
    assert tokyo.next_after(expected) is None
    assert tokyo.first(expected + 9) == expected
    assert not tokyo.recurring
    zone = find_zone("Asia/Tokyo")
    assert at("2027-01-01T00:00").bound(0.0, timezone=zone).next_after(0.0) == expected
    for same in (
        "2026-12-31T15:00Z",
        "2027-01-01T00:00+09:00",
        datetime(2026, 12, 31, 15, tzinfo=timezone.utc),
    ):
        assert at(same).next_after(0.0) == expected


def test_fractions_of_a_second_survive() -> None:
    assert (
        at("2027-01-01T00:00:00.250").next_after(0.0)
        == datetime(2027, 1, 1, tzinfo=timezone.utc).timestamp() + 0.25
    )


@pytest.mark.parametrize(
    "written, schedule",
    [
        (
            {"cron": "0 3 * * MON-FRI", "timezone": "Europe/London"},
            cron("0 3 * * MON-FRI", timezone="Europe/London"),
        ),
        (
            {"cron": "0 3 * * *", "seconds": "5", "jitter_seconds": 2.0},
            cron("0 3 * * *", seconds="5", jitter_seconds=2),
        ),
        ({"cron": "@reboot"}, cron("@reboot")),
        ({"every_seconds": 30.0}, every(seconds=30)),
        ({"every_seconds": 30.0, "jitter_seconds": 2.0}, every(seconds=30, jitter_seconds=2)),
        ({"every_seconds": 60.0, "start": "2026-01-01T00:00:00+00:00"}, every(minutes=1, start="2026-01-01")),
        (
            {"at": "2027-01-01T00:00:00", "timezone": "Asia/Tokyo"},
            at("2027-01-01T00:00", timezone="Asia/Tokyo"),
        ),
        ({"after_seconds": 5.0}, after(5)),
    ],
)
def test_the_written_form_and_the_schedule_are_the_same(written: Any, schedule: Schedule) -> None:
    assert parse_schedule(json.loads(json.dumps(written))) == schedule
    assert schedule.to_dict() == written
    assert parse_schedule(schedule) is schedule


def test_a_string_is_cron() -> None:
    assert parse_schedule("0  3 * * *") == cron("0 3 * * *")


def test_schedules_compare_hash_and_pickle_by_value() -> None:
    one, same = cron("0 3 * * *", timezone="Asia/Tokyo"), cron("0 3 * * *", timezone="Asia/Tokyo")
    assert one == same
    assert hash(one) == hash(same)
    assert pickle.loads(pickle.dumps(one)).next_after(0.0) == one.next_after(0.0)
    assert cron("@reboot") != after(0)
    with pytest.raises(AttributeError):
        one.expression = "* * * * *"  # type: ignore[misc, union-attr]


def test_binding_fills_in_only_what_is_open() -> None:
    tokyo, london = find_zone("Asia/Tokyo"), find_zone("Europe/London")
    assert cron("0 3 * * *").bound(0.0, timezone=tokyo) == cron("0 3 * * *", timezone="Asia/Tokyo")
    named = cron("0 3 * * *", timezone="Asia/Tokyo")
    assert named.bound(0.0, timezone=london, name="x") is named
    hashed = cron("H 3 * * *", timezone="Asia/Tokyo").bound(0.0, name="x")
    assert isinstance(hashed, Cron)
    assert hashed.name == "x"
    assert cron("H(30-31) 0 * * *").bound(0.0, name="y") != hashed


def test_a_name_may_make_an_expression_impossible_and_then_it_is_refused() -> None:
    open_schedule = cron("0 0 H(30-31) 4 *")
    outcomes = set()
    for name in "abcdefgh":
        try:
            open_schedule.bound(0.0, name=name)
            outcomes.add("taken")
        except ScheduleError as error:
            assert error.field == "day-of-month"
            outcomes.add("refused")
    assert outcomes == {"taken", "refused"}


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: every(), "seconds"),
        (lambda: every(seconds=True), "seconds"),
        (lambda: every(seconds=-1, minutes=1), "seconds"),
        (lambda: every(minutes=math.inf), "minutes"),
        (lambda: every(hours=WRONG), "hours"),
        (lambda: every(seconds=1, jitter_seconds=math.nan), "jitter_seconds"),
        (lambda: every(seconds=1, start="soon"), "start"),
        (lambda: after(-1), "seconds"),
        (lambda: at("tomorrow"), "at"),
        (lambda: at(WRONG), "at"),
        (lambda: cron(WRONG), "cron"),
        (lambda: cron("* * * * *", seconds=WRONG), "second"),
        (lambda: cron("* * * * *", timezone="Europe/Lodnon"), "timezone"),
        (lambda: cron("* * * * *", timezone=WRONG), "timezone"),
        (lambda: cron("* * * * *", timezone="../etc"), "timezone"),
        (lambda: cron("* * * * *", timezone=""), "timezone"),
        (lambda: parse_schedule(WRONG), "schedule"),
        (lambda: parse_schedule({}), "schedule"),
        (lambda: parse_schedule({"cron": "* * * * *", "every_seconds": 5}), "schedule"),
        (lambda: parse_schedule({"cron": "* * * * *", "timezon": "UTC"}), "timezon"),
        (lambda: parse_schedule({"after_seconds": 5, "timezone": "UTC"}), "timezone"),
        (lambda: parse_schedule({"every_seconds": -5}), "every_seconds"),
        (lambda: parse_schedule({"after_seconds": "5"}), "after_seconds"),
    ],
)
def test_mistakes_name_the_parameter(make: Any, field: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        make()
    assert caught.value.field == field
    assert field in str(caught.value)


def test_a_mistyped_zone_is_answered_with_the_nearest() -> None:
    with pytest.raises(ScheduleError, match="did you mean 'Europe/London'"):
        cron("* * * * *", timezone="Europe/Lodnon")


def test_next_times_shows_the_schedules_zone_and_stops_at_its_end() -> None:
    found = next_times(cron("0 3 * * *", timezone="Asia/Tokyo"), 2, "2026-01-01T00:00")
    assert [one.isoformat() for one in found] == ["2026-01-01T03:00:00+09:00", "2026-01-02T03:00:00+09:00"]
    assert len(next_times(after(5), 4, 0.0)) == 1
    assert next_times(every(seconds=1), 0, 0.0) == []
    assert len(next_times(every(seconds=1), 2)) == 2
