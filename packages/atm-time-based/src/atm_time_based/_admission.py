"""What a task says about its times, in its metadata."""

from __future__ import annotations

from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Callable, Mapping

from atm_core import SettingError, Settings, TaskRejected
from atm_time_based._errors import ScheduleError
from atm_time_based._parse import parse_schedule
from atm_time_based._recurrence import Recurrence
from atm_time_based._rules import Rules, check_rules

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["check_with", "read_task"]


def read_task(task: Task[Any], written: Any, rules: Rules, timezone: tzinfo) -> Recurrence:
    """The runs of a task, none of which has a time yet.

    Args:
        task: May have a ``"name"``, and settings of its own under ``"time_based"``.
        written: Its schedule, in any form.
        rules: The strategy's settings.
        timezone: The zone of a ``start`` or ``end`` without an offset.

    Raises:
        TaskRejected: Something is wrong; a ``ScheduleError`` if it is the schedule.
    """
    schedule = parse_schedule(written)
    if schedule.recurring and task.args is None:
        raise TaskRejected(f"{task!r} is to run again and again: add a function, not its coroutine")
    name = task.metadata.get("name")
    own = task.metadata.get("time_based")
    if own is not None:
        if not isinstance(own, Mapping):
            raise TaskRejected(f"a task's settings under 'time_based' must be a dict, got {own!r}")
        try:
            with Settings("time_based") as check:
                rules = check_rules(check, rules, own, timezone)
        except SettingError as error:
            raise TaskRejected(str(error)) from error
    return Recurrence(schedule, name if isinstance(name, str) else "", rules)


def check_with(check: Settings, parameter: str, value: Any, read: Callable[[Any], Any]) -> Any:
    """``read(value)``, or None with the mistake noted in ``check``."""
    try:
        return read(value)
    except ScheduleError as error:
        own = error.field == parameter
        check.fail(parameter, value, error.expected if own else f"must be valid ({error.field} {error.expected})")
        return None
