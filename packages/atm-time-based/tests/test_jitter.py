"""Jitter: each run starts up to so much later, and no other one is moved by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

import pytest
from atm_time_based import TimeBasedStrategy, cron, every

if TYPE_CHECKING:
    from conftest import Bench


def test_jitter_delays_each_run_and_moves_none_of_the_next(bench: Bench) -> None:
    strategy = TimeBasedStrategy(jitter_seconds=10, seed=7)
    bench.days(
        100_000,
        strategy,
        [
            (bench.job("strategy's"), {"schedule": every(seconds=100)}),
            (bench.job("own"), {"schedule": every(seconds=100, jitter_seconds=50)}),
            (bench.job("none"), {"schedule": cron("* * * * *", jitter_seconds=0)}),
        ],
    )
    delays = [at - 100 * n for n, at in enumerate(bench.times("strategy's"), 1)]
    assert len(delays) >= 999
    assert all(0 <= delay <= 10 for delay in delays)
    assert max(delays) > 9
    assert min(delays) < 1
    own = [at - 100 * n for n, at in enumerate(bench.times("own"), 1)]
    assert 45 < max(own) <= 50
    assert all(at % 60 == 0 for at in bench.times("none"))


def test_the_same_seed_gives_the_same_times(bench: Bench) -> None:
    def delays(seed: int) -> List[float]:
        begin, bench.ran = bench.now(), []
        strategy = TimeBasedStrategy(jitter_seconds=10, seed=seed)
        bench.days(1000, strategy, [(bench.job(), {"schedule": every(seconds=100)})])
        return [round(at - begin, 3) for at in bench.times()]

    assert delays(1) == delays(1) != delays(2)


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all", "allow"])
def test_jitter_larger_than_the_interval_loses_no_run(bench: Bench, overlap: str) -> None:
    """They keep their order, and each starts within its jitter, whatever is drawn."""
    strategy = TimeBasedStrategy(jitter_seconds=50, seed=3, overlap=overlap)
    [(_, runs)] = bench.days(10_000, strategy, [(bench.job(), {"schedule": every(seconds=10)})])
    assert runs.runs >= 994
    assert (runs.missed, runs.skipped) == (0, 0)
    assert all(10 * n <= at <= 10 * n + 50 for n, at in enumerate(bench.times(), 1))
    assert bench.times() == sorted(bench.times())


def test_a_time_that_jitter_puts_behind_the_end_of_a_run_does_not_meet_it(bench: Bench) -> None:
    """Each run takes nearly all of its interval: met is only what would have started during a run."""
    strategy = TimeBasedStrategy(jitter_seconds=40, seed=1)
    [(_, runs)] = bench.days(6000, strategy, [(bench.job(lasts=55), {"schedule": every(seconds=60)})])
    assert runs.skipped > 0
    assert runs.runs + runs.skipped >= 98
    assert runs.runs > 65  # half of them, if times were compared without their jitter


@pytest.mark.parametrize("overlap", ["cancel_running", "allow"])
def test_the_next_run_comes_with_its_jitter_also_into_a_run(bench: Bench, overlap: str) -> None:
    strategy = TimeBasedStrategy(jitter_seconds=5, seed=2, overlap=overlap)
    [(_, runs)] = bench.days(500, strategy, [(bench.job(lasts=25), {"schedule": every(seconds=10)})])
    assert len(bench.times()) == 49
    assert all(10 * n <= at <= 10 * n + 5 for n, at in enumerate(bench.times(), 1))
    assert (runs.missed, runs.skipped) == (0, 0)


def test_jitter_puts_no_run_behind_the_end(bench: Bench) -> None:
    strategy = TimeBasedStrategy(jitter_seconds=3000, seed=5, end="2026-01-01T01:00")
    tasks = [(bench.job(), {"schedule": every(minutes=20)}) for _ in range(50)]
    bench.days(20_000, strategy, tasks)
    assert len(bench.times()) == 150
    assert 3500 < max(bench.times()) <= 3600


def test_jitter_is_no_lateness(bench: Bench) -> None:
    strategy = TimeBasedStrategy(jitter_seconds=50, seed=1, misfire_grace_seconds=0)
    [(_, runs)] = bench.days(10_000, strategy, [(bench.job(), {"schedule": every(seconds=100)})])
    assert (runs.runs, runs.missed) == (99, 0)


def test_jitter_of_reboot(bench: Bench) -> None:
    tasks = [(bench.job(), {"schedule": {"cron": "@reboot", "jitter_seconds": 100}}) for _ in range(50)]
    bench.days(1000, TimeBasedStrategy(seed=1), tasks)
    assert len(set(bench.times())) == 50
    assert 90 < max(bench.times()) <= 100
