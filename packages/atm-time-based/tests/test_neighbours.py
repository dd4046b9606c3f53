"""Cases next to the reference vectors: other zones, leap days, nth weekdays, names, steps, seconds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, List

import pytest
from atm_time_based import ScheduleError, cron, next_times
from atm_time_based._zones import find_zone
from cronsim import CronSim, CronSimError
from hypothesis import given, reject, settings
from hypothesis import strategies as st


def shown(expression: str, start: str, n: int, zone: str = "UTC", **options: Any) -> List[str]:
    found = next_times(cron(expression, timezone=zone, **options), n, start)
    return [one.isoformat().replace("+00:00", "") for one in found]


@pytest.mark.parametrize(
    "expression, start, expected",
    [
        # Leap days: every fourth year but for 2100.
        ("0 0 29 2 *", "2023-01-01", ["2024-02-29", "2028-02-29"]),
        ("0 0 29 FEB *", "2096-03-01", ["2104-02-29", "2108-02-29"]),
        ("0 0 L 2 *", "2023-01-01", ["2023-02-28", "2024-02-29"]),
        ("0 0 L-1 2 *", "2023-01-01", ["2023-02-27", "2024-02-28"]),
        ("0 0 LW 2 *", "2023-01-01", ["2023-02-28", "2024-02-29", "2025-02-28", "2026-02-27"]),
        ("0 0 29W 2 *", "2023-01-01", ["2024-02-29", "2028-02-29", "2032-02-27"]),
        ("0 0 28,29 2 *", "2023-01-01", ["2023-02-28", "2024-02-28", "2024-02-29"]),
        # Nth and last weekdays.
        ("0 0 * * 5L", "2026-01-01", ["2026-01-30", "2026-02-27", "2026-03-27", "2026-04-24"]),
        ("0 0 * 2 0L", "2026-01-01", ["2026-02-22", "2027-02-28", "2028-02-27"]),
        ("0 0 * * 7#1", "2026-01-01", ["2026-01-04", "2026-02-01"]),
        ("0 0 * * sun#1", "2026-01-01", ["2026-01-04", "2026-02-01"]),
        ("0 0 * * Fri#5", "2026-01-01", ["2026-01-30", "2026-05-29", "2026-07-31"]),
        ("0 0 * * 1#1,3#2,6L", "2026-01-01", ["2026-01-05", "2026-01-14", "2026-01-31", "2026-02-02"]),
        ("0 0 * * MON,5#1", "2026-01-01", ["2026-01-02", "2026-01-05", "2026-01-12"]),
        ("0 0 1 * 1#1", "2026-01-02", ["2026-01-05", "2026-02-01", "2026-02-02", "2026-03-01"]),
        ("0 0 L * 5L", "2026-01-01", ["2026-01-30", "2026-01-31", "2026-02-27", "2026-02-28"]),
        ("0 0 */1 * 2#3", "2026-01-01", ["2026-01-20", "2026-02-17"]),
        # Weekdays near a day.
        ("0 0 1W * *", "2026-01-02", ["2026-02-02", "2026-03-02", "2026-04-01"]),
        ("0 0 15W,LW * *", "2026-01-01", ["2026-01-15", "2026-01-30", "2026-02-16", "2026-02-27"]),
        ("0 0 31W * *", "2026-01-01", ["2026-01-30", "2026-03-31", "2026-05-29"]),
        ("0 0 L-0 * *", "2026-01-01", ["2026-01-31", "2026-02-28"]),
        ("0 0 L-2W * *", "2026-01-01", ["2026-01-29", "2026-02-26", "2026-03-30"]),
        # Names in any case, ranges of names, steps over them; no range wraps but to the Sunday of its week.
        ("0 0 1 Jan-mAR *", "2026-01-02", ["2026-02-01", "2026-03-01", "2027-01-01"]),
        ("0 0 1 JAN-DEC/5 *", "2026-01-01T01:00", ["2026-06-01", "2026-11-01", "2027-01-01"]),
        ("0 0 * * mon-fri/2", "2026-01-01", ["2026-01-02", "2026-01-05", "2026-01-07"]),
        ("0 0 * * SAT-SUN", "2026-01-01", ["2026-01-03", "2026-01-04", "2026-01-10"]),
        ("0 0 * * SUN-SUN", "2026-01-01", ["2026-01-04", "2026-01-11"]),
        ("0 0 * * 6-SUN", "2026-01-01", ["2026-01-03", "2026-01-04", "2026-01-10"]),
        ("0 0 * * sun-TUE", "2026-01-01", ["2026-01-04", "2026-01-05", "2026-01-06", "2026-01-11"]),
        # Steps.
        ("0 0 */10 * *", "2026-01-01T01:00", ["2026-01-11", "2026-01-21", "2026-01-31", "2026-02-01"]),
        ("0 0 5/10 * *", "2026-01-01", ["2026-01-05", "2026-01-15", "2026-01-25", "2026-02-05"]),
        ("0 0 1-15/7,20 * *", "2026-01-02", ["2026-01-08", "2026-01-15", "2026-01-20", "2026-02-01"]),
        ("0 0 * * */3", "2026-01-01", ["2026-01-03", "2026-01-04", "2026-01-07"]),
        ("0 0 */100,1-7 * MON", "2026-01-01", ["2026-01-05", "2026-02-02"]),
        ("0 0 1-7 * */7", "2026-01-01", ["2026-01-04", "2026-02-01"]),
    ],
)
def test_days(expression: str, start: str, expected: List[str]) -> None:
    assert [one[:10] for one in shown(expression, start, len(expected))] == expected


@pytest.mark.parametrize(
    "expression, start, expected",
    [
        ("*/25 * * * *", "00:00", ["00:25:00", "00:50:00", "01:00:00"]),
        ("7-59/26 * * * *", "00:00", ["00:07:00", "00:33:00", "00:59:00", "01:07:00"]),
        ("0 22-23,0-1 * * *", "00:30", ["01:00:00", "22:00:00", "23:00:00"]),
        ("5 4/6 * * *", "00:00", ["04:05:00", "10:05:00", "16:05:00", "22:05:00"]),
        ("58/1 59 23 * * *", "00:00", ["23:59:58", "23:59:59"]),
        ("*/17 30 12 * * *", "12:30:20", ["12:30:34", "12:30:51"]),
        ("5-7,30 0 * * * *", "00:00:05", ["00:00:06", "00:00:07", "00:00:30", "01:00:05"]),
        ("0 */30 9-10 * * *", "09:10", ["09:30:00", "10:00:00", "10:30:00"]),
    ],
)
def test_times_of_a_day(expression: str, start: str, expected: List[str]) -> None:
    found = shown(expression, f"2026-01-01T{start}", len(expected))
    assert [one[11:19] for one in found] == expected


@pytest.mark.parametrize(
    "expression, zone, start, expected",
    [
        # Fixed times in a gap: right after it, once, several of them as one.
        ("30 2 * * *", "America/New_York", "2026-03-08T00:00", ["08T03:00:00-04:00", "09T02:30:00-04:00"]),
        ("0,15,30 2 * * *", "America/New_York", "2026-03-08T00:00", ["08T03:00:00-04:00", "09T02:00:00-04:00"]),
        ("30 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00", ["04T01:00:00-02:00", "05T00:30:00-02:00"]),
        ("0 0 * * *", "Asia/Beirut", "2022-03-26T12:00", ["27T01:00:00+03:00", "28T00:00:00+03:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["04T02:30:00+11:00", "05T02:15:00+11:00"]),
        ("0 2 * * SUN", "Europe/London", "2026-03-28T00:00", ["29T02:00:00+01:00", "05T02:00:00+01:00"]),
        # In a repeated hour: once, the first time.
        ("30 1 * * *", "America/New_York", "2026-11-01T00:00", ["01T01:30:00-04:00", "02T01:30:00-05:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["05T01:45:00+11:00", "06T01:45:00+10:30"]),
        ("30 23 * * *", "America/Sao_Paulo", "2019-02-16T12:00", ["16T23:30:00-02:00", "17T23:30:00-03:00"]),
        ("30 3-3 * * *", "Europe/Riga", "2021-10-31T00:00", ["31T03:30:00+03:00", "01T03:30:00+02:00"]),
        # A star as minute or hour: by elapsed time.
        ("30 * * * *", "America/New_York", "2026-03-08T01:00", ["08T01:30:00-05:00", "08T03:30:00-04:00"]),
        ("30 * * * *", "America/New_York", "2026-11-01T01:00", ["01T01:30:00-04:00", "01T01:30:00-05:00"]),
        ("*/20 2 * * *", "America/New_York", "2026-03-08T00:00", ["09T02:00:00-04:00", "09T02:20:00-04:00"]),
        ("*/30 1 * * *", "America/New_York", "2026-11-01T01:10", ["01T01:30:00-04:00", "01T01:00:00-05:00"]),
        # Six fields do, too; a field of seconds apart does not.
        ("0 30 2 * * *", "America/New_York", "2026-03-08T00:00", ["09T02:30:00-04:00"]),
        ("9 30 1 * * *", "America/New_York", "2026-11-01T00:00", ["01T01:30:09-04:00", "01T01:30:09-05:00"]),
        # Zones that are off by odd minutes.
        ("0 12 * * *", "Asia/Kathmandu", "2026-01-01T11:00", ["01T12:00:00+05:45"]),
        ("30 2 * * *", "Pacific/Chatham", "2026-09-26T12:00", ["27T02:30:00+12:45", "28T02:30:00+13:45"]),
        ("0 3 * * *", "Pacific/Chatham", "2026-09-26T12:00", ["27T03:45:00+13:45", "28T03:00:00+13:45"]),
    ],
)
def test_changes_of_the_clocks(expression: str, zone: str, start: str, expected: List[str]) -> None:
    assert [one[8:] for one in shown(expression, start, len(expected), zone)] == expected


@pytest.mark.parametrize("text", ["-1", "61", "ABC", "2/", "/2", "2#", "#2", "1##1", "1//2", "¹", "LL", "LWX"])
@pytest.mark.parametrize(
    "whole, field",
    [
        ("{} * * * *", "minute"),
        ("* {} * * *", "hour"),
        ("* * {} * *", "day-of-month"),
        ("* * * {} *", "month"),
        ("* * * * {}", "day-of-week"),
        ("{} * * * * *", "second"),
        ("* * * * * {}", "day-of-week"),
        ("1-{} * * * *", "minute"),
        ("{}-60 * * * *", "minute"),
        ("* * 1,{} * *", "day-of-month"),
        ("* * {}/1 * *", "day-of-month"),
        ("* * * {}-DEC *", "month"),
        ("* * * JAN-{} *", "month"),
        ("* * * * {}-SUN", "day-of-week"),
        ("* * * * MON-{}", "day-of-week"),
        ("* * * * * * {}", "cron"),
    ],
)
def test_what_is_wrong_in_one_field_is_wrong_in_each(whole: str, field: str, text: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        cron(whole.format(text))
    assert caught.value.field == field


def field(low: int, high: int) -> st.SearchStrategy[str]:
    values = st.integers(low, high)
    ranges = st.tuples(values, values).filter(lambda two: two[0] < two[1])
    term = st.one_of(
        values.map(str),
        ranges.map(lambda two: f"{two[0]}-{two[1]}"),
        st.tuples(ranges, st.integers(1, high - low)).map(lambda of: f"{of[0][0]}-{of[0][1]}/{of[1]}"),
        st.tuples(values, st.integers(1, high - low)).map(lambda of: f"{of[0]}/{of[1]}"),
    )
    star = st.one_of(st.just("*"), st.integers(1, high).map(lambda step: f"*/{step}"))
    return st.one_of(star, st.lists(term, min_size=1, max_size=3).map(",".join))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    expression=st.tuples(
        st.one_of(st.just(""), field(0, 59)), field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)
    ).map(" ".join),
    zone=st.sampled_from(["UTC", "Europe/Riga", "America/New_York", "Asia/Kathmandu", "Pacific/Chatham"]),
    start=st.datetimes(datetime(2018, 1, 1), datetime(2027, 1, 1)),
)
def test_cronsim_agrees_where_the_clocks_change_by_whole_hours(expression: str, zone: str, start: datetime) -> None:
    """All that both can say, but for ``5-5/2``, which cronsim takes for ``5/2``."""
    tz = timezone.utc if zone == "UTC" else find_zone(zone)
    begin = datetime.fromtimestamp(start.replace(tzinfo=timezone.utc, microsecond=0).timestamp(), tz)
    try:
        schedule = cron(expression, timezone=tz)
        theirs = CronSim(expression, begin)
    except (ScheduleError, CronSimError):  # can never fire; before 2.4, cronsim knows no seconds
        reject()
    wall_time = begin.timestamp()
    for _ in range(4):
        found = schedule.next_after(wall_time)
        expected = next(theirs, None)
        while expected is not None and expected.timestamp() == wall_time:  # several of one gap are one here
            expected = next(theirs, None)
        assert found == (None if expected is None else expected.timestamp())
        if found is None or begin + timedelta(days=3650) < datetime.fromtimestamp(found, tz):
            return
        wall_time = found
