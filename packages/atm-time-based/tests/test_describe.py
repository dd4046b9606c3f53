"""Schedules in words."""

from __future__ import annotations

from typing import Any

import pytest
from atm_time_based import after, at, cron, describe, every


@pytest.mark.parametrize(
    "schedule, words",
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/7 * * * *", "every 7th minute of every hour"),
        ("0 * * * *", "at minute 0 of every hour"),
        ("@hourly", "at minute 0 of every hour"),
        ("0 */2 * * *", "at minute 0 of every 2nd hour"),
        ("* 1-6 * * *", "every minute of hours 1 to 6"),
        ("1-10/3,30 * * * *", "at minute 30 and every 3rd minute from 1 to 10 of every hour"),
        ("0 3 * * MON-FRI", "at 03:00 on Monday to Friday"),
        ("30 7,19 * * *", "at 07:30 and 19:30"),
        ("15 0 3 * * *", "at 03:00:15"),
        ("11,22 30 1,2,3 * * *", "at seconds 11 and 22 of minute 30 of hours 1, 2 and 3"),
        ("* * * * * *", "every second of every minute of every hour"),
        ("0 0 1,15 * *", "at 00:00 on days 1 and 15 of the month"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("0 0 L-3 * *", "at 00:00 on the 3rd day before the last of the month"),
        ("0 9 15W * *", "at 09:00 on the weekday nearest to day 15 of the month"),
        ("0 9 LW JAN-MAR,12 *", "at 09:00 on the last weekday of the month in December and January to March"),
        ("0 0 13 * FRI", "at 00:00 on day 13 of the month or on Friday"),
        ("0 0 */2 * MON", "at 00:00 on every 2nd day of the month if it is Monday"),
        ("0 0 1-31 * MON", "at 00:00"),  # either is enough, and one of them lets every day pass
        ("0 0 15 JAN 0-7", "at 00:00 in January"),
        ("0 0 15 * *", "at 00:00 on day 15 of the month"),
        ("0 0 * * MON#2", "at 00:00 on the 2nd Monday of the month"),
        ("0 0 * * 5L", "at 00:00 on the last Friday of the month"),
        ("H 3 * * *", "at its own minute of hour 3"),
        ("H/15 * * * *", "every 15th minute from its own of every hour"),
        ("@reboot", "once when it is added"),
        ({"cron": "0 3 * * *", "timezone": "Asia/Tokyo"}, "at 03:00 (Asia/Tokyo)"),
        (every(seconds=30), "every 30 seconds"),
        (every(hours=1), "every hour"),
        (every(hours=36), "every 36 hours"),
        (every(seconds=0.5), "every 0.5 seconds"),
        (after(60), "once 1 minute after it is added"),
        (at("2027-01-01T00:00", timezone="Asia/Tokyo"), "once at 2027-01-01 00:00:00 (Asia/Tokyo)"),
    ],
)
def test_says_when_it_fires(schedule: Any, words: str) -> None:
    assert describe(schedule) == words


def test_with_a_name_h_is_a_number() -> None:
    assert describe(cron("H H * * *").bound(0.0, name="backup")) == "at 16:52 (UTC)"
