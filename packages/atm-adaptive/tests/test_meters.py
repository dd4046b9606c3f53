"""What is read of CPU and memory."""

from __future__ import annotations

import collections
import pathlib
from typing import Any, List

import pytest
from atm_adaptive._cgroup import CpuQuota, MemoryLimit
from atm_adaptive._meters import CpuMeter, memory_fraction, psutil_or_none

Times = collections.namedtuple("Times", "user nice system idle iowait guest guest_nice")
Memory = collections.namedtuple("Memory", "total percent")


class FakePsutil:
    def __init__(self, times: List[Any], memory: Any = None) -> None:
        self._times = iter(times)
        self._memory = memory

    def cpu_times(self) -> Any:
        return next(self._times)

    def virtual_memory(self) -> Any:
        return self._memory


def test_the_machine_s_cpu_since_the_last_reading() -> None:
    """Counted from when the meter was made; a guest's time is not counted twice; waiting for a disk is not busy."""
    meter = CpuMeter(
        FakePsutil(
            [
                Times(10, 0, 5, 100, 1, 4, 0),
                Times(16, 0, 6, 102, 2, 10, 0),
                Times(16, 0, 6, 102, 2, 10, 0),
                Times(16, 0, 6, 112, 2, 10, 0),
            ]
        )
    )
    assert meter.read() == pytest.approx((6 + 1) / (6 + 1 + 2 + 1))
    assert meter.read() is None  # no time has passed
    assert meter.read() == 0.0


def test_the_container_s_cpu(tmp_path: pathlib.Path) -> None:
    """Two seconds of CPU in four seconds with half a CPU: all of it."""
    usage = tmp_path / "cpu.stat"
    usage.write_text("usage_usec 1000000\n")
    now = [100.0]
    meter = CpuMeter(None, lambda: now[0], CpuQuota(0.5, str(usage), 1e-6))
    now[0] = 104.0
    usage.write_text("usage_usec 3000000\n")
    assert meter.read() == pytest.approx(1.0)
    now[0] = 108.0
    assert meter.read() == 0.0


def test_memory_of_the_machine_or_the_container(tmp_path: pathlib.Path) -> None:
    psutil = FakePsutil([], Memory(1000, 40.0))
    assert memory_fraction(psutil) == 0.4
    (tmp_path / "current").write_text("50\n")
    (tmp_path / "stat").write_text("inactive_file 10\n")
    files = str(tmp_path / "current"), str(tmp_path / "stat"), "inactive_file"
    assert memory_fraction(psutil, MemoryLimit(100, *files)) == 0.4
    assert memory_fraction(psutil, MemoryLimit(2000, *files)) == 0.4  # the limit is no limit
    (tmp_path / "current").write_text("100\n")
    assert memory_fraction(psutil, MemoryLimit(100, *files)) == 0.9


def test_the_real_ones() -> None:
    """On the machine that runs this, if psutil is there."""
    psutil = psutil_or_none()
    if psutil is not None:
        meter = CpuMeter(psutil)
        deadline = psutil.cpu_times().user + 0.05
        while psutil.cpu_times().user < deadline:
            sum(range(10_000))
        busy = meter.read()
        assert busy is not None and 0 < busy <= 1
        assert 0 < memory_fraction(psutil) < 1
