"""Input that no honest user would hand in: every mistake is told, and harms nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect

import pytest

from atm_core import SettingError, TaskManager, TaskRejected, WorkError
from atm_core.testing import run
from atm_plugins import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy


@dataclasses.dataclass(frozen=True)
class Equal:
    value: int

    def __await__(self):
        return asyncio.sleep(1, self.value).__await__()


@dataclasses.dataclass
class Unhashable:
    value: int

    def __await__(self):
        return asyncio.sleep(1, self.value).__await__()


@pytest.mark.parametrize("kind", [Equal, Unhashable])
def test_awaitables_that_are_equal_or_have_no_hash(kind):
    async def main():
        async with TaskManager() as manager:
            tasks = [manager.add_task(kind(1)), manager.add_task(kind(1))]
        assert [await task for task in tasks] == [1, 1]

    run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DelayedStrategy(10**400),
        lambda: FixedWindowStrategy(1, 10**400),
        lambda: TaskManager(poll_interval=10**400),
    ],
)
def test_numbers_too_large_for_a_float(wrong):
    with pytest.raises(SettingError):
        wrong()


def test_a_cost_too_large_for_a_float():
    from atm_core import CostTooLargeError

    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1, cost="cost")) as manager:
            with pytest.raises(CostTooLargeError):
                manager.add_task(lambda: asyncio.sleep(1), {"cost": 10**400})

    run(main())


def test_a_pyproject_whose_tool_is_no_table(tmp_path):
    from atm_core import ConfigError

    (tmp_path / "pyproject.toml").write_text("tool = 3\n")
    with pytest.raises(ConfigError):
        TaskManager.from_config(tmp_path / "pyproject.toml")


def test_an_entry_point_with_extras(tmp_path, monkeypatch):
    info = tmp_path / "one-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[atm.strategies]\nspaced = atm_plugins:DelayedStrategy [fast]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    TaskManager.from_config({"strategies": [{"name": "spaced", "delay_seconds": 1}]})


def test_a_coroutine_with_wrong_metadata_is_closed():
    async def main():
        async with TaskManager() as manager:
            work = asyncio.sleep(1)
            with pytest.raises(WorkError, match="metadata must be a mapping"):
                manager.add_task(work, 5)
            assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED

    run(main())


def test_a_task_of_another_manager_cannot_be_rejected():
    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1)) as one, TaskManager() as other:
            one.submit(asyncio.sleep, 1)
            queued = one.submit(asyncio.sleep, 1, "result")
            assert not other.reject(queued, TaskRejected("no"))
            assert other.stats()["pending"] == 0
            assert await queued == "result"

    run(main())
