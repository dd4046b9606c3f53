"""Tasks at specific times and intervals: cron expressions, time zones, missed runs."""

from __future__ import annotations

from atm_time_based._describe import describe
from atm_time_based._errors import MissedRunError, ScheduleError, StateFileError
from atm_time_based._make import after, at, cron, every
from atm_time_based._parse import next_times, parse_schedule
from atm_time_based._recurrence import Recurrence
from atm_time_based._schedules import After, At, Cron, Every, Reboot, Schedule
from atm_time_based._strategy import TimeBasedStrategy

__all__ = [
    "After",
    "At",
    "Cron",
    "Every",
    "MissedRunError",
    "Reboot",
    "Recurrence",
    "Schedule",
    "ScheduleError",
    "StateFileError",
    "TimeBasedStrategy",
    "after",
    "at",
    "cron",
    "describe",
    "every",
    "next_times",
    "parse_schedule",
]
