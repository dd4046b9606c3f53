"""Changes of the clocks, against a minute-by-minute account of what ought to happen."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import List, Tuple

import pytest
from atm_time_based import ScheduleError, at, cron, next_times
from atm_time_based._cron import CronExpression, parse_fields
from atm_time_based._days import DayRule
from atm_time_based._zones import find_zone, fixed_instant, local
from hypothesis import given, reject, settings
from hypothesis import strategies as st

# Zone, and the date of a change: an hour, half an hour (Lord Howe), a whole day that is left out (Apia), at
# midnight (São Paulo, Beirut), back to midnight (Havana), three hours (Casey), two (Troll), soon after
# another (Casablanca).
CHANGES: List[Tuple[str, str]] = [
    ("Europe/Riga", "2021-03-28"),
    ("Europe/Riga", "2021-10-31"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2019-10-06"),
    ("Australia/Lord_Howe", "2020-04-05"),
    ("Pacific/Apia", "2011-12-30"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2019-02-16"),
    ("Asia/Beirut", "2022-03-27"),
    ("America/Havana", "2023-11-05"),
    ("Antarctica/Casey", "2010-03-05"),
    ("Antarctica/Troll", "2020-03-29"),
    ("Africa/Casablanca", "2024-03-10"),
    ("Africa/Casablanca", "2024-04-14"),
]


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    single = st.integers(low, high).map(str)
    ranges = st.tuples(st.integers(low, high), st.integers(low, high)).map(
        lambda two: f"{min(two)}-{max(two)}"
    )
    lists = st.lists(st.one_of(single, ranges), min_size=1, max_size=3).map(",".join)
    steps = st.integers(1, high - low).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), steps, lists)


expressions = st.tuples(
    numbers(0, 59),
    st.one_of(numbers(0, 23), numbers(0, 4)),
    st.one_of(st.just("*"), numbers(1, 28), st.sampled_from(["L", "LW", "30W", "*/2"])),
    st.just("*"),
    st.one_of(st.just("*"), numbers(0, 6)),
).map(" ".join)


def account(expression: str, zone_name: str, begin: int, end: int) -> List[float]:
    """Every time in ``(begin, end]`` at which it ought to fire, from looking at each minute."""
    zone = find_zone(zone_name)
    assert zone is not None
    _, minute, hour, day, _, weekday = parse_fields(expression)
    days, minutes, hours = DayRule(day, weekday), set(minute.values), set(hour.values)

    def matches(moment: datetime) -> bool:
        return (
            moment.minute in minutes
            and moment.hour in hours
            and bool(days.bits(moment.year, moment.month) >> moment.day & 1)
        )

    if not CronExpression(expression).fixed:
        return [float(wall) for wall in range(begin + 60, end + 1, 60) if matches(local(wall, zone))]
    found = set()
    shown, last = local(begin, zone) - timedelta(days=2), local(end, zone)
    while shown <= last:
        if matches(shown):
            found.add(fixed_instant(shown, zone))
        shown += timedelta(minutes=1)
    return sorted(wall for wall in found if begin < wall <= end)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(expression=expressions, change=st.sampled_from(CHANGES), offset=st.integers(0, 1439))
def test_fires_as_the_account_says(expression: str, change: Tuple[str, str], offset: int) -> None:
    """Fixed times once, right after a gap if they fall in one; all others by elapsed time."""
    zone = find_zone(change[0])
    assert zone is not None
    begin = int(fixed_instant(datetime.fromisoformat(change[1]), zone)) - 86400 + offset * 60
    end = begin + 86400 * 2
    try:
        schedule = cron(expression, timezone=zone)
    except ScheduleError:
        reject()  # such as the last weekday, if it is a Sunday
    found = []
    wall_time = schedule.next_after(begin)
    while wall_time is not None and wall_time <= end:
        found.append(wall_time)
        wall_time = schedule.next_after(wall_time)
    assert found == account(expression, change[0], begin, end)


def test_half_an_hour_does_not_lead_hours_astray() -> None:
    """Lord Howe, 6 October 2019: 02:00 becomes 02:30. A search by whole hours misses 03:00 to 03:20."""
    found = next_times(cron("*/10 3 * * *", timezone="Australia/Lord_Howe"), 3, "2019-10-06T00:00")
    assert [f"{one:%d %H:%M}" for one in found] == ["06 03:00", "06 03:10", "06 03:20"]


def test_a_day_that_is_left_out_is_made_up_for_at_its_end() -> None:
    """Apia had no 30 December 2011."""
    found = next_times(cron("0 12 * * *", timezone="Pacific/Apia"), 3, "2011-12-29T11:00")
    assert [f"{one:%d %H:%M}" for one in found] == ["29 12:00", "31 00:00", "31 12:00"]


@pytest.mark.parametrize(
    "moment, zone, expected",
    [
        ("2021-03-28T03:30", "Europe/Riga", "2021-03-28T04:00:00+03:00"),
        ("2021-10-31T03:30", "Europe/Riga", "2021-10-31T03:30:00+03:00"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
    ],
)
def test_at_in_a_gap_means_its_end_and_in_a_repeated_hour_the_first(
    moment: str, zone: str, expected: str
) -> None:
    assert [one.isoformat() for one in next_times(at(moment, timezone=zone), 2, 0.0)] == [expected]


def test_fold_picks_the_second_of_two() -> None:
    moment = datetime(2021, 10, 31, 3, 30, fold=1)
    assert (
        next_times(at(moment, timezone="Europe/Riga"), 1, 0.0)[0].isoformat() == "2021-10-31T03:30:00+02:00"
    )
