"""Keys: each value has a window of its own, and nothing is kept of those that are idle."""

from __future__ import annotations

from typing import Any

import pytest
from atm_sliding_window import SlidingWindowStrategy

from atm_core import Task

ALGORITHMS = ("log", "counter", "gcra")


async def nothing() -> None:
    pass


def start(strategy: SlidingWindowStrategy, key: Any, now: float) -> bool:
    task: Task[None] = Task(nothing, {"host": key})
    if strategy.atm_ready_at(task, now) > now:
        return False
    strategy.atm_started(task)
    strategy.atm_began(task, now)
    strategy.atm_finished(task)
    return True


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_key_has_its_own_window(algorithm: str) -> None:
    """One full window blocks nobody else; tasks without the field share one."""
    strategy = SlidingWindowStrategy(2, 1.0, algorithm=algorithm, key="host")
    for key in ("a", "b", None):
        assert [start(strategy, key, 0.0) for _ in range(3)] == [True, True, False]
    assert strategy.stats()["keys"] == 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_idle_keys_are_dropped(algorithm: str) -> None:
    """Ten thousand keys, one after the other: only those of the last windows are kept, and nothing of the others."""
    strategy = SlidingWindowStrategy(1, 1.0, algorithm=algorithm, key="host")
    for n in range(10_000):
        assert start(strategy, f"host-{n}", n * 0.01)
    assert strategy.stats()["keys"] <= 202
    assert not strategy._reserved
    assert not strategy._unbegun


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_keys_that_were_many_at_once_go(algorithm: str) -> None:
    """A burst of keys is dropped by the starts that come after its window: two for each."""
    strategy = SlidingWindowStrategy(1, 1.0, algorithm=algorithm, key="host")
    for n in range(1000):
        assert start(strategy, n, 0.0)
    for n in range(600):
        assert start(strategy, -n, 5.0 + n * 0.001)
    assert strategy.stats()["keys"] <= 600


def test_a_busy_key_keeps_only_its_window() -> None:
    """The log of a key that is never idle does not grow beyond what the window may hold."""
    strategy = SlidingWindowStrategy(100, 1.0)
    for n in range(5000):
        assert start(strategy, None, n * 0.02)
    starts = strategy._window._recent.get(None)  # type: ignore[union-attr]
    assert len(starts.over_at) <= 2 * 50 + 20  # type: ignore[union-attr]


def test_a_refused_question_makes_no_key() -> None:
    """Asking for a key leaves no trace."""
    for algorithm in ALGORITHMS:
        strategy = SlidingWindowStrategy(1, 1.0, algorithm=algorithm, key="host")
        strategy.atm_ready_at(Task(nothing, {"host": "a"}), 0.0)
        assert strategy.remaining("b", 0.0) == 1
        assert strategy.stats()["keys"] == 0
