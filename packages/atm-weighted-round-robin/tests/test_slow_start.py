"""What a weight counts: after a return, and after failures."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable

import pytest


def test_slow_start_is_envoys(drive: Callable[..., Any]) -> None:
    """weight * max(10%, max(seconds, 1) / window) after a return."""
    driven = drive({"a": 8, "b": 1}, max_failures=1, ejection_seconds=10, slow_start_seconds=20)
    assert driven.state(now=0.0)["effective_weight"] == 8, "not at the beginning"
    driven.fail("a", now=0.0)
    driven.pick(now=10.0)
    for seconds, share in [(0, 0.1), (1, 0.1), (2, 0.1), (5, 0.25), (10, 0.5), (19, 0.95), (20, 1.0), (99, 1.0)]:
        assert driven.state(now=10.0 + seconds)["effective_weight"] == pytest.approx(8 * share)


@pytest.mark.parametrize("algorithm", ["smooth", "edf"])
def test_shares_in_slow_start(algorithm: str, drive: Callable[..., Any]) -> None:
    """Half-way it gets half of its weight's share."""
    driven = drive({"a": 1, "b": 1}, algorithm=algorithm, max_failures=1, ejection_seconds=10, slow_start_seconds=20)
    driven.fail("a", now=0.0)
    driven.pick(now=10.0)
    driven.picks(200, now=20.0)  # edf plans a turn ahead: those of the beginning are over
    counts = Counter(driven.picks(300, now=20.0))
    assert counts["a"] == pytest.approx(100, abs=1)


def test_slow_start_of_new_ones(drive: Callable[..., Any]) -> None:
    """Also one that was added, or had no weight; its time begins when the strategy is next told the time."""
    driven = drive({"a": 1, "b": 0}, slow_start_seconds=10)
    driven.pick(now=100.0)
    driven.strategy.add("c", 1)
    driven.strategy.set_weight("b", 1)
    driven.pick(now=200.0)
    for name, weight in [("a", 1.0), ("b", 0.5), ("c", 0.5)]:
        assert driven.state(name, now=205.0)["effective_weight"] == weight
    assert Counter(driven.picks(40, now=205.0)) == {"a": 20, "b": 10, "c": 10}


def test_failures_cost_weight_and_turns_bring_it_back(drive: Callable[..., Any]) -> None:
    """nginx's effective weight."""
    driven = drive({"a": 9, "b": 1}, max_failures=3, max_ejected_fraction=0.0)
    driven.fail("a")
    assert driven.state()["effective_weight"] in (6, 7)
    driven.fail("a", times=2)
    low = driven.state()["effective_weight"]
    driven.pick()
    assert driven.state()["effective_weight"] == low + 1
    driven.picks(9)
    assert driven.state()["effective_weight"] == 9


def test_resources_that_come_and_go_while_nothing_runs_leave_nothing_behind(drive: Callable[..., Any]) -> None:
    """Their slow start waits for the next time that is told, which may be long in coming."""
    driven = drive({"a": 1}, slow_start_seconds=10)
    for n in range(100):
        driven.strategy.add(n, 1)
        driven.strategy.remove(n)
        driven.strategy.set_weight("a", 0)
        driven.strategy.set_weight("a", 1)
    assert len(driven.strategy._fleet._newcomers) == 1
