"""What the control group of this process allows and uses: the container's terms, not the host's.

Version 2 (``cpu.max``, ``memory.max``: https://docs.kernel.org/admin-guide/cgroup-v2.html) and version 1
(``cpu.cfs_quota_us``, ``memory.limit_in_bytes``). Of a group and those above it, the tightest counts.
"""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

__all__ = ["CpuQuota", "MemoryLimit", "cpu_quota", "memory_limit"]

_UNLIMITED = 1 << 60  # version 1 shows "no limit" as a number near 2**63


class CpuQuota(NamedTuple):
    """How many CPUs may be used, and the file and unit of the seconds used so far."""

    cpus: float
    usage_file: str
    seconds_per_unit: float

    def used_seconds(self) -> float:
        """CPU seconds since the group was made."""
        return _number(self.usage_file, "usage_usec") * self.seconds_per_unit


class MemoryLimit(NamedTuple):
    """How many bytes may be used, and the files that tell how many are."""

    bytes: float
    usage_file: str
    stat_file: str
    cache_field: str

    def used_fraction(self) -> float:
        """The part in use that cannot be reclaimed at will, from 0 to 1."""
        used = _number(self.usage_file)
        return max(0.0, used - _number(self.stat_file, self.cache_field)) / self.bytes


def cpu_quota(proc: str = "/proc", sys: str = "/sys/fs/cgroup") -> Optional[CpuQuota]:
    """The tightest CPU quota; None if there is none.

    Args:
        proc: Where procfs is mounted.
        sys: Where the control groups are.
    """
    found: List[CpuQuota] = []
    for folder in _folders("", proc, sys):
        quota, period = _words(os.path.join(folder, "cpu.max"))
        if quota > 0 and period > 0:
            found.append(CpuQuota(quota / period, os.path.join(folder, "cpu.stat"), 1e-6))
    for folder in _folders("cpu", proc, sys):
        quota, _ = _words(os.path.join(folder, "cpu.cfs_quota_us"))
        period, _ = _words(os.path.join(folder, "cpu.cfs_period_us"))
        usage = os.path.join(folder, "cpuacct.usage")
        if quota > 0 and period > 0 and os.path.exists(usage):
            found.append(CpuQuota(quota / period, usage, 1e-9))
    return min(found, default=None)


def memory_limit(proc: str = "/proc", sys: str = "/sys/fs/cgroup") -> Optional[MemoryLimit]:
    """The tightest memory limit; None if there is none.

    Args:
        proc: Where procfs is mounted.
        sys: Where the control groups are.
    """
    files = (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    found: List[MemoryLimit] = []
    for controller, limit_name, usage_name, cache_field in files:
        for folder in _folders(controller, proc, sys):
            limit, _ = _words(os.path.join(folder, limit_name))
            usage, stat = os.path.join(folder, usage_name), os.path.join(folder, "memory.stat")
            if 0 < limit < _UNLIMITED and os.path.exists(usage):
                found.append(MemoryLimit(limit, usage, stat, cache_field))
    return min(found, default=None)


def _folders(controller: str, proc: str, sys: str) -> Iterator[str]:
    """The group's folder and those above it, for a controller of version 1, or ``""`` for version 2.

    Inside a container the path that procfs shows may be the host's, which cannot be seen: then the mount itself,
    which is the container's group.
    """
    path = _groups(proc).get(controller)
    if path is None:
        return
    root = _mount(controller, sys)
    inside = [part for part in path.split("/") if part not in ("", "..")]
    while inside:
        folder = os.path.join(root, *inside)
        if os.path.isdir(folder):
            yield folder
        inside.pop()
    yield root


def _groups(proc: str) -> Dict[str, str]:
    """The group's path by controller, from lines such as ``4:cpu,cpuacct:/a/b`` and ``0::/a/b``."""
    found: Dict[str, str] = {}
    for line in _lines(os.path.join(proc, "self", "cgroup")):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for one in controllers.split(","):
            found[one] = path
    return found


def _mount(controller: str, sys: str) -> str:
    if not controller:
        unified = os.path.join(sys, "unified")  # version 2 next to version 1
        return unified if os.path.isdir(unified) else sys
    joined = os.path.join(sys, "cpu,cpuacct")
    return joined if controller == "cpu" and os.path.isdir(joined) else os.path.join(sys, controller)


def _words(path: str) -> Tuple[float, float]:
    """The first two numbers in a file; 0 for what is missing, and for ``max``."""
    words = " ".join(_lines(path)).split()[:2] + ["0", "0"]
    return _float(words[0]), _float(words[1])


def _number(path: str, field: str = "") -> float:
    """The number in a file, or that behind ``field`` if it is a list of fields."""
    for line in _lines(path):
        name, _, value = line.rpartition(" ")
        if not name or name == field:
            return _float(value)
    return 0.0


def _float(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return 0.0


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
