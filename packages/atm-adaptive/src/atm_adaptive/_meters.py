"""CPU and memory of this machine, or of the container that it is for us."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Optional

from atm_adaptive import _cgroup

__all__ = ["CpuMeter", "memory_fraction", "psutil_or_none"]


def psutil_or_none() -> Any:
    """The module ``psutil`` (extra ``system``), if it is installed."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil


class CpuMeter:
    """The part of the CPU that was busy since the last reading: of the container's quota, or else of the whole machine.

    ``psutil.cpu_percent`` is not used: its first answer is meaningless, and it shares its memory of the last call with
    everyone in the process.

    Args:
        psutil: The module.
        clock: Real seconds.
        quota: The control group's; None: there is none.
    """

    def __init__(
        self, psutil: Any, clock: Callable[[], float] = time.monotonic, quota: Optional[_cgroup.CpuQuota] = None
    ) -> None:
        self._psutil = psutil
        self._clock = clock
        self._quota = quota
        self._last = self._counters()

    def read(self) -> Optional[float]:
        """From 0 to 1 (with a quota for moments a little more); None if no time has passed."""
        busy, total = self._counters()
        before, self._last = self._last, (busy, total)
        elapsed = total - before[1]
        if elapsed <= 0:
            return None
        share: float = max(0.0, (busy - before[0]) / elapsed)
        return share if self._quota is not None else min(1.0, share)  # sums of rounded counters

    def _counters(self) -> Any:
        if self._quota is not None:
            return self._quota.used_seconds(), self._clock() * self._quota.cpus
        times: Dict[str, float] = self._psutil.cpu_times()._asdict()
        # A guest's time is in user and nice already.
        total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
        return total - times["idle"] - times.get("iowait", 0.0), total


def memory_fraction(psutil: Any, limit: Optional[_cgroup.MemoryLimit] = None) -> float:
    """The part of the memory in use, from 0 to 1: of the container's limit, or else of the whole machine."""
    memory = psutil.virtual_memory()
    if limit is not None and limit.bytes < memory.total:
        return limit.used_fraction()
    return float(memory.percent) / 100
