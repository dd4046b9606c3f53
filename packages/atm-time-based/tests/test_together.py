"""With the other packages, where they are installed."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, List, Optional

import pytest
from atm_time_based import TimeBasedStrategy, every

from atm_core import ConcurrentLimitStrategy, TaskManager, current_task

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
    stack = [*strategies(first, misfire_grace_seconds=1), ConcurrentLimitStrategy(1)]

    async def main() -> None:
        async with TaskManager(stack) as manager:
            manager.add_task(bench.job("x"), {"schedule": every(seconds=60)})
            manager.add_task(bench.job("slow", lasts=100))
            await asyncio.sleep(130)

    bench.run(main())
    assert bench.times("x") == [120]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("slots", [None, 1])
def test_a_run_that_takes_the_place_of_a_retry_has_all_its_attempts(
    bench: Bench, first: bool, slots: Optional[int]
) -> None:
    """Every 10 s, cancelling; each attempt fails after 2 s, and is to be repeated twice, 5 s later: once in vain."""
    stack = strategies(first, overlap="cancel_running")
    if slots:
        stack.append(ConcurrentLimitStrategy(slots))
    time_based = next(one for one in stack if isinstance(one, TimeBasedStrategy))

    async def main() -> None:
        async with TaskManager(stack) as manager:
            task = manager.add_task(bench.job("x", lasts=2, fails=True), {"schedule": every(seconds=10)})
            await asyncio.sleep(45)
            runs = time_based.recurrence(task)
            assert runs is not None
            assert (runs.runs, runs.missed, runs.skipped) == (3, 0, 0)
            task.cancel()

    bench.run(main())
    assert bench.times() == [10, 17, 20, 27, 30, 37, 40]


def test_a_retry_that_waits_for_a_slot_gives_way_to_the_next_run(bench: Bench) -> None:
    """The retry of 25 s finds the gate full until 65 s; by then it is the turn of the run of 60 s."""
    stack = [*strategies(True, overlap="cancel_running"), ConcurrentLimitStrategy(1)]
    told: List[Any] = []

    async def work() -> None:
        task = current_task()
        assert task is not None
        told.append((bench.now(), task.metadata["scheduled_at"] - task.metadata["recurrence"].schedule.added_at))
        if len(told) == 1:
            raise RuntimeError

    async def main() -> None:
        async with TaskManager(stack) as manager:
            task = manager.add_task(work, {"schedule": every(seconds=20)})
            await asyncio.sleep(21)
            manager.add_task(bench.job("other", lasts=44))
            await asyncio.sleep(50)
            task.cancel()

    bench.run(main())
    assert told == [(20, 20), (65, 60)]


@pytest.mark.parametrize("order", range(6))
def test_any_order_of_strategies_does_the_same(bench: Bench, order: int) -> None:
    from itertools import permutations

    made = [*strategies(True), ConcurrentLimitStrategy(1)]
    stack = list(permutations(made))[order]

    async def main() -> None:
        async with TaskManager(stack) as manager:
            one = manager.add_task(bench.job("fails", lasts=1, fails=True), {"schedule": every(seconds=30)})
            other = manager.add_task(bench.job("works", lasts=4), {"schedule": "*/30 * * * * *"})
            await asyncio.sleep(85)
            one.cancel()
            other.cancel()

    bench.run(main())
    assert sorted(bench.ran) == [
        (30, "fails"), (31, "works"), (36, "fails"), (42, "fails"),
        (60, "works"), (64, "fails"), (70, "fails"), (76, "fails"),
    ]  # fmt: skip


def test_a_run_that_an_open_breaker_refuses_is_missed(bench: Bench) -> None:
    breaker = pytest.importorskip("atm_circuit_breaker").CircuitBreakerStrategy(consecutive_failures=2, open_seconds=25)
    strategy = TimeBasedStrategy()
    [(_, runs)] = bench.days(65, strategy, [(bench.job("x", fails=True), {"schedule": every(seconds=10)})], [breaker])
    assert bench.times() == [10, 20, 50, 60]  # it is open from 20 s to 45 s
    assert (runs.runs, runs.missed) == (4, 2)


@pytest.mark.parametrize("first", [True, False])
def test_runs_may_go_in_batches(bench: Bench, first: bool) -> None:
    """A strategy that holds tasks runs them itself; those are runs like any other."""
    bulk = pytest.importorskip("atm_bulk")
    strategy = TimeBasedStrategy()
    stack: List[Any] = [strategy, bulk.BulkStrategy(max_wait_seconds=0.5)]
    batches: List[Any] = []

    @bulk.batched  # type: ignore[untyped-decorator, unused-ignore]
    async def insert(rows: List[int]) -> None:
        batches.append((bench.now(), sorted(rows)))

    async def main() -> None:
        async with TaskManager(stack if first else stack[::-1]) as manager:
            tasks = [
                manager.add_task(functools.partial(insert, n), {"schedule": every(seconds=10)}) for n in range(3)
            ]
            await asyncio.sleep(35)
            for task in tasks:
                runs = strategy.recurrence(task)
                assert runs is not None
                assert (runs.runs, runs.missed, runs.skipped) == (3, 0, 0)
                task.cancel()

    bench.run(main())
    assert batches == [(10.5, [0, 1, 2]), (20.5, [0, 1, 2]), (30.5, [0, 1, 2])]
