"""Cron expressions: what this dialect adds to cronsim's, and what it refuses."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import List

import pytest
from atm_time_based import ScheduleError, cron, next_times
from atm_time_based._cron import CronExpression
from atm_time_based._zones import find_zone


def days(expression: str, start: str, n: int) -> List[str]:
    return [found.strftime("%m-%d") for found in next_times(expression, n, start)]


@pytest.mark.parametrize(
    "alias, expression",
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@ANNUALLY", "0 0 1 1 *"),
    ],
)
def test_an_alias_means_what_crontab_5_says(alias: str, expression: str) -> None:
    assert next_times(alias, 5, 0.0) == next_times(expression, 5, 0.0)


def test_reboot_fires_once_when_it_is_added() -> None:
    assert next_times("@reboot", 3, 1000.0) == next_times("@Reboot", 1, 1000.0)
    assert [found.timestamp() for found in next_times("@reboot", 3, 1000.0)] == [1000.0]


def test_names_take_any_case_and_a_range_of_names_may_end_in_sunday() -> None:
    assert days("0 0 * * fri-Sun", "2024-01-01", 4) == ["01-05", "01-06", "01-07", "01-12"]
    assert days("0 0 * * 5-7", "2024-01-01", 4) == ["01-05", "01-06", "01-07", "01-12"]
    assert days("0 0 1 feb-APR *", "2024-01-01", 3) == ["02-01", "03-01", "04-01"]


def test_both_day_fields_restricted_means_either_and_a_star_means_both() -> None:
    """Vixie's rule, with the star that may have a step."""
    assert days("0 0 13 * FRI", "2024-01-01", 4) == ["01-05", "01-12", "01-13", "01-19"]
    assert days("0 0 */2 * FRI", "2024-01-01", 3) == ["01-05", "01-19", "02-09"]
    assert days("0 0 ? * FRI", "2024-01-01", 2) == ["01-05", "01-12"]
    assert days("0 0 13 * ?", "2024-01-01", 2) == ["01-13", "02-13"]


def test_w_is_the_nearest_weekday_in_the_same_month() -> None:
    # 2024: 1 June is a Saturday, 30 June a Sunday, 15 June a Saturday, 16 June a Sunday.
    assert days("0 0 1W 6 *", "2024-05-31", 1) == ["06-03"]
    assert days("0 0 30W 6 *", "2024-05-31", 1) == ["06-28"]
    assert days("0 0 15W 6 *", "2024-05-31", 1) == ["06-14"]
    assert days("0 0 16W 6 *", "2024-05-31", 1) == ["06-17"]
    assert days("0 0 LW 6 *", "2024-05-31", 1) == ["06-28"]
    assert days("0 0 L-3W 6 *", "2024-05-31", 1) == ["06-27"]


def test_w_of_a_day_that_a_month_does_not_have_skips_the_month() -> None:
    assert days("0 0 31W * *", "2024-01-01", 4) == ["01-31", "03-29", "05-31", "07-31"]


def test_l_counts_from_the_end_and_hash_from_the_beginning() -> None:
    assert days("0 0 L * *", "2023-01-31T00:00", 3) == ["02-28", "03-31", "04-30"]
    assert days("0 0 L-2 2 *", "2024-01-01", 2) == ["02-27", "02-26"]
    assert days("0 0 * * MON#5", "2024-01-01", 3) == ["01-29", "04-29", "07-29"]
    assert days("0 0 * * 5L,1#1", "2024-01-01T12:00", 3) == ["01-26", "02-05", "02-23"]


def test_six_fields_have_the_seconds_first() -> None:
    found = next_times("*/20 59 23 * * *", 4, "2024-01-01")
    assert [f"{one:%H:%M:%S}" for one in found] == ["23:59:00", "23:59:20", "23:59:40", "23:59:00"]


def test_every_second_is_every_second() -> None:
    expression = CronExpression("* * * * * *")
    zone = find_zone("Europe/London")
    assert zone is not None
    assert [expression.next_after(second + 0.25, zone) for second in range(57, 63)] == [
        58,
        59,
        60,
        61,
        62,
        63,
    ]


def test_the_seconds_parameter_keeps_debians_rule_and_six_fields_do_not() -> None:
    """Riga has no 03:30 on 28 March 2021: one job runs late, as a daily job should; the other does not."""
    start = "2021-03-28T02:00"
    with_rule = next_times(cron("30 3 * * *", timezone="Europe/Riga", seconds="15,45"), 3, start)
    assert [one.isoformat() for one in with_rule] == [
        "2021-03-28T04:00:15+03:00",
        "2021-03-28T04:00:45+03:00",
        "2021-03-29T03:30:15+03:00",
    ]
    without = next_times(cron("15,45 30 3 * * *", timezone="Europe/Riga"), 1, start)
    assert [one.isoformat() for one in without] == ["2021-03-29T03:30:15+03:00"]
    with pytest.raises(ScheduleError, match=r"^second must be given once"):
        cron("15 30 3 * * *", seconds="1")


def test_next_is_strictly_later_and_fractions_do_not_matter() -> None:
    schedule = cron("*/10 * * * *")
    assert schedule.next_after(599.9) == 600
    assert schedule.next_after(600) == 1200
    assert schedule.next_after(600.000001) == 1200


def test_h_is_stable_and_differs_by_name_and_field() -> None:
    """The values are written down: a new release must not move everyone's jobs."""
    found = [next_times("H H * * *", 1, "2024-01-01", name=name)[0] for name in ("backup", "report")]
    assert [f"{one:%H:%M}" for one in found] == ["16:52", "18:48"]


def test_h_spreads_a_load_over_the_whole_range() -> None:
    names = [f"job-{number}" for number in range(2000)]
    found = Counter(next_times("H H * * *", 1, "2024-01-01", name=name)[0] for name in names)
    assert len(found) > 1000  # of 1440 minutes of the day; 1082 would be there by pure chance
    assert max(found.values()) < 9


@pytest.mark.parametrize("name", ["a", "b", "c", "backup"])
def test_h_keeps_to_its_range_and_steps(name: str) -> None:
    within = next_times("H(10-19) * * * *", 3, "2024-01-01", name=name)
    assert all(10 <= one.minute <= 19 for one in within)
    assert len({one.minute for one in within}) == 1
    stepped = next_times("H/15 * * * *", 5, "2024-01-01", name=name)
    assert {(b - a).total_seconds() for a, b in zip(stepped, stepped[1:])} == {900.0}
    both = next_times("H(0-29)/10 * * * *", 3, "2024-01-01", name=name)
    assert [one.minute for one in both] == [both[0].minute, both[0].minute + 10, both[0].minute + 20]
    assert 1 <= next_times("0 0 H * *", 1, "2024-01-01", name=name)[0].day <= 28


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 L-30 2 *",
        "0 0 31W 2 *",
        "0 0 */100 * MON#2",
        "0 0 */31 2 MON#5",
    ],
)
def test_an_expression_that_can_never_fire_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleError, match=r"^day-of-month .*never") as caught:
        cron(expression)
    assert caught.value.field == "day-of-month"


@pytest.mark.parametrize(
    "expression",
    ["0 0 29 2 *", "0 0 29 2 */7", "0 0 30 2 MON", "0 0 L-30 * *", "0 0 * 2 MON#5", "0 0 */31 * *"],
)
def test_an_expression_that_fires_rarely_is_taken(expression: str) -> None:
    assert cron(expression).next_after(0.0) is not None


def test_the_rarest_day_is_found() -> None:
    """29 February on a Sunday, over the year 2100, which has none."""
    assert [f"{one:%Y-%m-%d}" for one in next_times("0 0 29 2 */7", 2, "2077-01-01")] == [
        "2088-02-29",
        "2128-02-29",
    ]


def test_whether_h_can_ever_fire_is_known_with_the_name() -> None:
    """April has no 31st, and H is April for some names and March for others."""
    schedule = cron("0 0 31 H(3-4) *")
    refused = []
    for name in "abcdefgh":
        try:
            assert next_times(schedule, 1, 0.0, name=name)[0].month == 3
        except ScheduleError as error:
            assert error.field == "day-of-month"
            refused.append(name)
    assert 0 < len(refused) < 8
    with pytest.raises(ScheduleError, match="never"):
        cron("H H 31 2 *")


@pytest.mark.parametrize(
    "expression, field",
    [
        ("H(10-5) * * * *", "minute"),
        ("H(0-60) * * * *", "minute"),
        ("H- * * * *", "minute"),
        ("? * * * *", "minute"),
        ("0 ?/2 * * *", "hour"),
        ("0 0 L/2 * *", "day-of-month"),
        ("0 0 L-31 * *", "day-of-month"),
        ("0 0 10-15W * *", "day-of-month"),
        ("0 0 0W * *", "day-of-month"),
        ("0 0 5L * *", "day-of-month"),
        ("0 0 * * L", "day-of-week"),
        ("0 0 * * SAT-TUE", "day-of-week"),
        ("0 0 * * 15W", "day-of-week"),
        ("0 0 * FOO *", "month"),
        (",1 * * * *", "minute"),
        ("99999999999999999999 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("0 0 0 0/120 * 2-6", "day-of-month"),
        ("* * * *", "cron"),
        ("", "cron"),
        ("@fortnightly", "cron"),
        ("0 0 * * \u017fun", "day-of-week"),  # a long s is an S in capitals
        ("TZ=Asia/Tokyo 0 0 * * *", "second"),
    ],
)
def test_other_mistakes_name_their_field(expression: str, field: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        cron(expression)
    assert caught.value.field == field
    assert str(caught.value).startswith(field)


def test_the_end_of_the_calendar_is_the_end_of_the_schedule() -> None:
    end = datetime.fromisoformat("9999-12-31T00:00:00+00:00").timestamp()
    assert cron("0 0 * * *").next_after(end) is None
    assert cron("0 0 * * *", timezone="Asia/Tokyo").next_after(end + 80000) is None
