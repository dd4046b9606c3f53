"""Quotas and limits of control groups, read from a copy of the files of both versions."""

from __future__ import annotations

import pathlib
from typing import Dict

import pytest
from atm_adaptive._cgroup import cpu_quota, memory_limit

GIB = 1 << 30


class Machine:
    """A folder that looks like /proc and /sys/fs/cgroup."""

    def __init__(self, root: pathlib.Path) -> None:
        self.proc, self.sys = root / "proc", root / "sys"
        self.sys.mkdir(parents=True)

    def write(self, files: Dict[str, str]) -> None:
        for name, text in files.items():
            path = self.sys / name if name != "cgroup" else self.proc / "self" / "cgroup"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def test_without_groups_there_is_no_limit(machine: Machine) -> None:
    assert cpu_quota(str(machine.proc), str(machine.sys)) is None
    assert memory_limit(str(machine.proc), str(machine.sys)) is None


def test_version_2_in_a_container(machine: Machine) -> None:
    """The container's group is the root of what it sees."""
    machine.write(
        {
            "cgroup": "0::/\n",
            "cpu.max": "150000 100000\n",
            "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
            "memory.max": f"{2 * GIB}\n",
            "memory.current": f"{GIB}\n",
            "memory.stat": f"anon 1\ninactive_file {GIB // 2}\n",
        }
    )
    quota = cpu_quota(str(machine.proc), str(machine.sys))
    assert quota is not None and quota.cpus == 1.5
    assert quota.used_seconds() == 2.5
    limit = memory_limit(str(machine.proc), str(machine.sys))
    assert limit is not None and limit.used_fraction() == 0.25


def test_version_2_takes_the_tightest_of_those_above(machine: Machine) -> None:
    machine.write(
        {
            "cgroup": "0::/outer/inner\n",
            "outer/inner/cpu.max": "90000 100000\n",
            "outer/inner/memory.max": "max\n",
            "outer/inner/memory.current": "1\n",
            "outer/cpu.max": "50000 100000\n",
            "outer/cpu.stat": "usage_usec 7000000\n",
            "outer/memory.max": f"{GIB}\n",
            "outer/memory.current": f"{GIB // 4}\n",
        }
    )
    quota = cpu_quota(str(machine.proc), str(machine.sys))
    assert quota is not None and (quota.cpus, quota.used_seconds()) == (0.5, 7.0)
    limit = memory_limit(str(machine.proc), str(machine.sys))
    assert limit is not None and limit.used_fraction() == 0.25


def test_version_1(machine: Machine) -> None:
    machine.write(
        {
            "cgroup": "5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n",
            "cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
            "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/job/cpuacct.usage": "3000000000\n",
            "memory/job/memory.limit_in_bytes": f"{GIB}\n",
            "memory/job/memory.usage_in_bytes": f"{GIB}\n",
            "memory/job/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB // 4}\n",
        }
    )
    quota = cpu_quota(str(machine.proc), str(machine.sys))
    assert quota is not None and (quota.cpus, quota.used_seconds()) == (2.0, 3.0)
    limit = memory_limit(str(machine.proc), str(machine.sys))
    assert limit is not None and limit.used_fraction() == 0.75


def test_version_1_without_limits(machine: Machine) -> None:
    machine.write(
        {
            "cgroup": "5:memory:/\n4:cpu:/\n",
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "cpu/cpuacct.usage": "1\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.usage_in_bytes": "1\n",
        }
    )
    assert cpu_quota(str(machine.proc), str(machine.sys)) is None
    assert memory_limit(str(machine.proc), str(machine.sys)) is None


def test_a_path_of_the_host_that_cannot_be_seen(machine: Machine) -> None:
    """Without a namespace of its own a container is shown the host's path; its group is mounted at the root."""
    machine.write(
        {
            "cgroup": "5:memory:/docker/0123abcd\n",
            "memory/memory.limit_in_bytes": f"{GIB}\n",
            "memory/memory.usage_in_bytes": f"{GIB // 2}\n",
        }
    )
    limit = memory_limit(str(machine.proc), str(machine.sys))
    assert limit is not None and limit.used_fraction() == 0.5


def test_nonsense_is_no_limit(machine: Machine) -> None:
    machine.write({"cgroup": "what\n\n0::/../x\n", "cpu.max": "a b\n", "memory.max": "\n", "memory.current": "1"})
    assert cpu_quota(str(machine.proc), str(machine.sys)) is None
    assert memory_limit(str(machine.proc), str(machine.sys)) is None
