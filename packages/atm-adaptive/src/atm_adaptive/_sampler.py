"""Reads CPU, memory and the lag of the event loop while anything runs."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Callable, Dict, Mapping, Optional

from atm_adaptive import _cgroup
from atm_adaptive._meters import CpuMeter, memory_fraction, psutil_or_none

__all__ = ["Meter", "Sampler", "system_meters"]

Meter = Callable[[], Optional[float]]

_TICKS = 10  # looks at the lag in each interval: what blocks the loop for a tenth of it is surely seen
_ROUNDING = 1e-9  # seconds
_log = logging.getLogger("atm_adaptive")


class Sampler:
    """A task that tells readings every ``interval_seconds``, as long as something runs; otherwise it sleeps.

    Args:
        tell: Gets the readings, by name; ``loop_lag`` is the longest delay of a timer, in seconds.
        meters: What else to read, by name. One that fails is logged and read no more.
        interval_seconds: The time between two readings.
    """

    def __init__(
        self, tell: Callable[[Mapping[str, float]], None], meters: Mapping[str, Meter], interval_seconds: float
    ) -> None:
        self._tell = tell
        self._meters = dict(meters)
        self._interval_seconds = interval_seconds
        self._busy = False
        self._resume: Optional[asyncio.Future[None]] = None
        loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] = loop.create_task(self._run(loop))
        if hasattr(self._task, "set_name"):  # from Python 3.8
            self._task.set_name("atm_adaptive sampler")

    def set_busy(self, busy: bool) -> None:
        """Whether anything runs."""
        self._busy = busy
        if busy and self._resume is not None and not self._resume.done():
            self._resume.set_result(None)

    async def stop(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            if not self._busy:
                self._resume = loop.create_future()
                await self._resume
                self._resume = None
                self._read()  # what was before counts for nothing
            lag, now = 0.0, loop.time()
            end = now + self._interval_seconds
            while now < end - _ROUNDING:
                due = min(now + self._interval_seconds / _TICKS, end)
                await asyncio.sleep(due - now)
                now = loop.time()
                lag = max(lag, now - due)
            self._tell({**self._read(), "loop_lag": lag})

    def _read(self) -> Dict[str, float]:
        readings: Dict[str, float] = {}
        for name, meter in list(self._meters.items()):
            try:
                value = meter()
            except Exception:
                _log.exception("%s cannot be read and is watched no more", name)
                del self._meters[name]
                continue
            if value is not None:
                readings[name] = value
        return readings


def system_meters(cpu: bool, memory: bool) -> Dict[str, Meter]:
    """The meters of this machine or container; none without psutil.

    The files that they read are in the kernel's memory: no disk is waited for.
    """
    psutil: Any = psutil_or_none()
    meters: Dict[str, Meter] = {}
    if psutil is not None and cpu:
        meters["cpu"] = CpuMeter(psutil, quota=_cgroup.cpu_quota()).read
    if psutil is not None and memory:
        limit = _cgroup.memory_limit()
        meters["memory"] = lambda: memory_fraction(psutil, limit)
    return meters
