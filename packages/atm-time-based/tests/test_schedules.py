"""Intervals, single times, and how schedules are written down."""

from __future__ import annotations

import copy
import json
import math
import pickle
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Dict, Optional

import pytest
from atm_time_based import (
    Cron,
    Every,
    Schedule,
    ScheduleError,
    TimeBasedStrategy,
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

from atm_core import HookError, TaskManager

if TYPE_CHECKING:
    from conftest import Bench

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


@pytest.mark.parametrize(
    "moment, zone, expected",
    [
        ("2021-03-28T03:30", "Europe/Riga", "2021-03-28T01:00:00+00:00"),
        ("2021-10-31T03:30", "Europe/Riga", "2021-10-31T00:30:00+00:00"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
    ],
)
def test_a_zone_means_the_same_in_the_datetime_and_beside_it(moment: str, zone: str, expected: str) -> None:
    naive, tz = datetime.fromisoformat(moment), find_zone(zone)
    for one in (at(naive, timezone=tz), at(naive.replace(tzinfo=tz)), at(naive).bound(0.0, timezone=tz)):
        assert one.first(0.0) == datetime.fromisoformat(expected).timestamp()


class Pytz(tzinfo):
    """As pytz's zones are: what ``replace(tzinfo=...)`` makes of them is a local mean time of long ago."""

    zone = "Europe/London"

    def localize(self, moment: datetime) -> datetime:
        raise AssertionError

    def utcoffset(self, moment: Optional[datetime]) -> timedelta:
        return timedelta(minutes=-1)

    def dst(self, moment: Optional[datetime]) -> None:
        return None

    def tzname(self, moment: Optional[datetime]) -> str:
        return "LMT"


def test_a_zone_of_pytz_is_taken_by_its_name() -> None:
    found = next_times(cron("0 12 * * *", timezone=Pytz()), 1, "2026-06-01")
    assert [one.isoformat() for one in found] == ["2026-06-01T12:00:00+01:00"]
    assert cron("0 12 * * *", timezone=Pytz()) == cron("0 12 * * *", timezone="Europe/London")


def test_without_time_zone_data_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from atm_time_based import _zones

    def none(key: str) -> Any:
        raise KeyError(key)

    monkeypatch.setattr(_zones, "ZoneInfo", none)
    monkeypatch.setattr(_zones, "available_timezones", set)
    assert find_zone("UTC") is timezone.utc
    with pytest.raises(ScheduleError, match=r"^timezone must .*\(there is none: install tzdata\), got 'Asia/Tokyo'"):
        find_zone("Asia/Tokyo")


def test_far_times_are_the_end_of_the_schedule() -> None:
    far = every(seconds=60, start="9998-12-31T23:59")
    assert [one.year for one in next_times(far, 2, "9998-12-31T23:59")] == [9998, 9999]
    assert next_times(far, 5, datetime(9999, 12, 31, 0, 0, tzinfo=timezone.utc).timestamp()) == []
    assert [one.year for one in next_times(at("9998-12-31", timezone="America/New_York"), 2)] == [9998]


class Primes(Schedule):
    """A kind of one's own."""

    def next_after(self, wall_time: float) -> Optional[float]:
        number = int(wall_time) + 1
        while any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
            number += 1
        return float(number)

    def to_dict(self) -> Dict[str, Any]:
        return {"primes": True}


def test_a_kind_of_ones_own_needs_two_methods() -> None:
    assert [one.timestamp() for one in next_times(Primes(), 4, 10.0)] == [11, 13, 17, 19]
    with pytest.raises(TypeError, match="abstract"):
        Schedule()  # type: ignore[abstract]


def test_a_kind_that_stands_still_is_an_error_and_no_endless_loop(bench: Bench) -> None:
    class Still(Primes):
        def next_after(self, wall_time: float) -> Optional[float]:
            return max(wall_time, 1_767_225_660.0)  # a minute after the start

    async def main() -> None:
        async with TaskManager(TimeBasedStrategy()) as manager:
            task = manager.add_task(bench.job(), {"schedule": Still()})
            with pytest.raises((HookError, ScheduleError), match="must go on after"):
                await task

    bench.run(main())


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
    for kind in (one, every(seconds=5), at("2027-01-01", timezone="Asia/Tokyo"), after(5), cron("@reboot")):
        for made in (pickle.loads(pickle.dumps(kind)), copy.deepcopy(kind)):
            assert made == kind
            assert made.bound(0.0).first(0.0) == kind.bound(0.0).first(0.0)
    with pytest.raises(ScheduleError) as caught:
        cron("61 * * * *")
    error = pickle.loads(pickle.dumps(caught.value))
    assert (str(error), error.field, error.value) == (str(caught.value), "minute", "61")
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
        (lambda: every(seconds=1e-300), "seconds"),
        (lambda: every(seconds=10**400), "seconds"),
        (lambda: every(seconds=1, start="0001-01-01"), "start"),
        (lambda: at("9999-01-01"), "at"),
        (lambda: cron("@reboot", seconds="5"), "second"),
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
