"""At least so long between tasks."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Dict, Hashable, Optional

from atm_core import Settings, SlotGate, hookimpl
from atm_core.strategy import Key

if TYPE_CHECKING:
    from atm_core import Task

__all__ = ["DelayedStrategy"]


class DelayedStrategy(SlotGate):
    """Each task starts at least ``delay_seconds`` after the previous one completed, or started.

    Measured from completion, tasks run one at a time. Measured from the start, the next may start while the last still
    runs. Idle time is not saved up: after a pause, the delay is still kept between every two tasks. A task that is
    cancelled before its first step does not count.

    O(1) a task in time; one entry a key, dropped when its delay is over.

    Args:
        delay_seconds: 0 or more.
        measure_from: ``"completion"`` or ``"start"``.
        key: A metadata field, or a function of the task: the delay is kept for each value on its own.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(self, delay_seconds: float, *, measure_from: str = "completion", key: Key = None) -> None:
        with Settings("DelayedStrategy") as check:
            self.delay_seconds: float = check.duration("delay_seconds", delay_seconds)
            self.measure_from: str = check.choice("measure_from", measure_from, ("completion", "start"))
            super().__init__(key=key)
        self._from_start = measure_from == "start"
        # By key, the earliest first, as each new time is later than all before it; dropped when it has passed.
        self._next_at: OrderedDict[Hashable, float] = OrderedDict()
        self._keys: Dict[Task[Any], Hashable] = {}  # of what runs
        self._imminent: Dict[Hashable, Task[Any]] = {}  # started, the first step still to come

    def limit_of(self, key: Hashable) -> float:
        """One at a time, or any number when the delay is measured from the start."""
        return math.inf if self._from_start else 1

    def explain(self, task: Task[Any], now: float) -> str:
        if not self._from_start and self.used(self.key_of(task)):
            return "the previous task still runs"
        return f"the delay of {self.delay_seconds:g} s since the previous {self.measure_from}"

    @hookimpl
    def atm_manager_started(self) -> None:
        """Forget times further ahead than any delay: they are by another loop's clock."""
        latest = asyncio.get_running_loop().time() + self.delay_seconds
        self._next_at = OrderedDict((key, at) for key, at in self._next_at.items() if at <= latest)

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> Optional[float]:
        """When the delay is over; unknown while the task from whose completion it counts still runs."""
        room = super().atm_ready_at(task, now)
        if room == math.inf:
            return room
        key = self.key_of(task)
        if self._from_start and key in self._imminent:
            return now + self.delay_seconds  # its first step is about to come, and will tell exactly
        return self._next_at.get(key, now)

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """The next one waits."""
        super().atm_started(task, now)
        key = self._keys[task] = self.key_of(task)
        self._imminent[key] = task

    @hookimpl
    def atm_began(self, task: Task[Any], now: float) -> None:
        """From now on it counts."""
        key = self._keys[task]
        if self._imminent.get(key) is task:  # with no delay at all, there may be several
            del self._imminent[key]
        if self._from_start:
            self._delay(key, now)

    @hookimpl
    def atm_finished(self, task: Task[Any], now: float) -> None:  # type: ignore[override]  # passed by name
        """The delay from a completion begins, unless the task never did."""
        super().atm_finished(task)
        key = self._keys.pop(task)
        if self._imminent.get(key) is task:
            del self._imminent[key]
        elif not self._from_start:
            self._delay(key, now)

    def _delay(self, key: Hashable, now: float) -> None:
        times = self._next_at
        times[key] = now + self.delay_seconds
        times.move_to_end(key)
        for _ in range(2):  # two leave for each that comes, so what is over does not pile up
            oldest = next(iter(times))
            if times[oldest] > now:
                break
            del times[oldest]
            if not times:
                break
