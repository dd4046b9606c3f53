"""Retries beside other strategies: the wait holds nothing, every gate is passed again, and age is kept."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, List, Tuple

import pytest
from atm_retry import RetryStrategy
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy, Task, TaskManager, hookimpl
from atm_core.testing import Recorder, run


class Failing:
    """Work that fails so many times, and takes its time."""

    def __init__(self, fails: int, lasts: float = 0.0, name: Any = None) -> None:
        self.left = fails
        self.lasts = lasts
        self.log: List[Tuple[float, Any]] = []
        self.name = name

    async def __call__(self) -> Any:
        self.log.append((asyncio.get_running_loop().time(), self.name))
        await asyncio.sleep(self.lasts)
        self.left -= 1
        if self.left >= 0:
            raise OSError(self.name)
        return self.name


def log_of(work: List[Failing], *strategies: Any, apart: float = 0.0) -> List[Tuple[float, Any]]:
    log: List[Tuple[float, Any]] = []

    async def main() -> None:
        async with TaskManager(list(strategies)) as manager:
            manager.pause()
            for name, one in enumerate(work):
                one.log, one.name = log, name
                manager.submit(one)
                await asyncio.sleep(apart)
            manager.resume()

    run(main())
    return log


def test_the_wait_holds_no_slot() -> None:
    """Ten tasks with one slot, the first of which fails: the others run during its wait."""
    log = log_of(
        [Failing(1, 1.0), *[Failing(0, 1.0) for _ in range(9)]],
        RetryStrategy(backoff="constant", initial_delay_seconds=100, max_delay_seconds=100, jitter="none"),
        ConcurrentLimitStrategy(1),
    )
    assert log == [*[(float(n), n) for n in range(10)], (101.0, 0)]


def test_the_wait_spends_no_rate_and_the_retry_does() -> None:
    """Two starts a window: the retry takes its place in the window in which it starts."""
    log = log_of(
        [Failing(1), *[Failing(0) for _ in range(4)]],
        FixedWindowStrategy(2, 10.0),
        RetryStrategy(initial_delay_seconds=1, jitter="none"),
    )
    assert log == [(0.0, 0), (0.0, 1), (10.0, 0), (10.0, 2), (20.0, 3), (20.0, 4)]


@pytest.mark.parametrize("ordered", [False, True])
def test_it_keeps_its_age(ordered: bool) -> None:
    """Back from its wait it goes before all that are younger; a priority still comes first."""

    class Order:
        @hookimpl
        def atm_order(self, task: Task[Any]) -> int:
            return 0

    log = log_of(
        [Failing(1), *[Failing(0) for _ in range(5)]],
        DelayedStrategy(1.0, measure_from="start"),
        RetryStrategy(initial_delay_seconds=1.5, jitter="none"),
        *([Order()] if ordered else []),
        apart=0.5,
    )
    assert log == [(3.0 + at, name) for at, name in enumerate([0, 1, 0, 2, 3, 4, 5])]


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(
    fails=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    lasts=st.sampled_from([0.0, 0.25, 1.0]),
    jitter=st.sampled_from(["none", "full", "equal", "decorrelated", "smooth", 0.3]),
    max_attempts=st.integers(1, 4),
    cancelled=st.sets(st.integers(0, 11), max_size=3),
    seed=st.integers(0, 100),
)
def test_every_promise_holds_together(
    fails: List[int], lasts: float, jitter: Any, max_attempts: int, cancelled: Any, seed: int
) -> None:
    """Random failures, durations and cancellations under three strategies at once: no limit is broken, no task is lost,
    none has more attempts than allowed nor fewer than it needs, and everything is given back."""
    recorder = Recorder()
    limit = ConcurrentLimitStrategy(2)
    retry = RetryStrategy(max_attempts, jitter=jitter, seed=seed)

    async def main() -> List[Task[Any]]:
        manager = TaskManager([FixedWindowStrategy(3, 1.0), retry, limit, recorder])
        async with manager:
            tasks = [manager.submit(Failing(n, lasts, name=n)) for n in fails]
            await asyncio.sleep(0.6)
            for n in cancelled:
                if n < len(tasks):
                    tasks[n].cancel()
        return tasks

    tasks = run(main())
    recorder.max_running(2)
    recorder.never_more_than(5, 1.0)
    recorder.all_settled_once()
    recorder.everything_given_back()
    for n, (needed, task) in enumerate(zip(fails, tasks)):
        assert task.attempts <= max_attempts
        if task.cancelled():
            assert n in cancelled
        elif needed < max_attempts:
            assert (task.result(), task.attempts) == (needed, needed + 1)
        else:
            assert isinstance(task.exception(), OSError)
            assert task.attempts == max_attempts
    assert limit.used() == 0
    assert retry.stats()["retrying"] == 0


def test_a_hundred_clients_do_not_come_back_together() -> None:
    """All fail at the same instant; with full jitter at most a fifth of them come back in a tenth of the time."""

    def most_at_once(jitter: Any) -> int:
        retry = RetryStrategy(2, initial_delay_seconds=10, jitter=jitter, seed=3)
        log = log_of([Failing(1) for _ in range(100)], retry)[100:]
        counts: Dict[int, int] = {}
        for at, _ in log:
            counts[int(at)] = counts.get(int(at), 0) + 1
        return max(counts.values())

    assert most_at_once("none") == 100
    assert most_at_once("full") <= 20
