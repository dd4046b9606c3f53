"""With the other packages, where they are installed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, List

import pytest
from atm_time_based import TimeBasedStrategy, every

from atm_core import TaskManager

if TYPE_CHECKING:
    from conftest import Bench

retry: Any = pytest.importorskip("atm_retry")


def strategies(first: bool, **settings: Any) -> List[Any]:
    """Both orders must do the same."""
    both = [
        retry.RetryStrategy(max_attempts=3, backoff="constant", initial_delay_seconds=5, jitter="none"),
        TimeBasedStrategy(**settings),
    ]
    return both if first else both[::-1]


@pytest.mark.parametrize("first", [True, False])
def test_a_run_is_retried_within_its_own_time_and_then_the_schedule_goes_on(
    bench: Bench, first: bool
) -> None:
    """Each run has all its attempts; the counts are of runs, not of attempts."""
    stack = strategies(first)
    time_based = next(one for one in stack if isinstance(one, TimeBasedStrategy))

    async def main() -> None:
        async with TaskManager(stack) as manager:
            task = manager.add_task(bench.job("x", fails=True), {"schedule": every(seconds=60)})
            await asyncio.sleep(195)
            runs = time_based.recurrence(task)
            assert runs is not None
            assert (runs.runs, runs.missed, runs.skipped) == (3, 0, 0)
            assert runs.last_outcome is not None
            assert runs.last_outcome.failed

    bench.run(main())
    assert bench.times() == [60, 65, 70, 120, 125, 130, 180, 185, 190]


@pytest.mark.parametrize("first", [True, False])
def test_overlap_counts_the_retries(bench: Bench, first: bool) -> None:
    stack = strategies(first)
    time_based = next(one for one in stack if isinstance(one, TimeBasedStrategy))

    async def main() -> None:
        async with TaskManager(stack) as manager:
            task = manager.add_task(bench.job("x", lasts=2, fails=True), {"schedule": every(seconds=10)})
            await asyncio.sleep(59)
            runs = time_based.recurrence(task)
            assert runs is not None
            assert (runs.runs, runs.skipped) == (2, 2)

    bench.run(main())
    assert bench.times() == [10, 17, 24, 30, 37, 44, 50, 57]


@pytest.mark.parametrize("first", [True, False])
def test_a_run_that_is_too_late_is_not_retried(bench: Bench, first: bool) -> None:
    from atm_core import ConcurrentLimitStrategy

    stack = [*strategies(first, misfire_grace_seconds=1), ConcurrentLimitStrategy(1)]

    async def main() -> None:
        async with TaskManager(stack) as manager:
            manager.add_task(bench.job("x"), {"schedule": every(seconds=60)})
            manager.add_task(bench.job("slow", lasts=100))
            await asyncio.sleep(130)

    bench.run(main())
    assert bench.times("x") == [120]
