"""The goal: at a service that changes, 90% of the best fixed limit's throughput at 1.5 times its median latency."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from typing import Any

import pytest
from atm_adaptive import AdaptiveStrategy

from atm_core import ConcurrentLimitStrategy

PATH = pathlib.Path(__file__).parents[1] / "benchmarks" / "scenarios.py"
SPEC: Any = importlib.util.spec_from_file_location("atm_adaptive_scenarios", PATH)
scenarios: Any = importlib.util.module_from_spec(SPEC)
sys.modules["atm_adaptive_scenarios"] = scenarios
SPEC.loader.exec_module(scenarios)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_goal(scenario: Any) -> None:
    """The best fixed limit is the largest capacity: less would serve less, more only wait longer."""
    best = scenarios.simulate(scenario, ConcurrentLimitStrategy(max(phase.capacity for phase in scenario.phases)))
    for algorithm in scenarios.ALGORITHMS:
        one = scenarios.simulate(scenario, AdaptiveStrategy(algorithm))
        assert one.served >= 0.9 * best.served, algorithm
        assert one.median <= 1.5 * best.median, algorithm
        settled_after, _ = scenarios.settled(scenario, one.limits)
        assert settled_after is not None, algorithm


@pytest.mark.slow
def test_the_bare_algorithm_does_not_reach_it() -> None:
    """So the probes are what does."""
    scenario = scenarios.SCENARIOS[0]
    best = scenarios.simulate(scenario, ConcurrentLimitStrategy(30))
    for algorithm in scenarios.ALGORITHMS:
        one = scenarios.simulate(scenario, AdaptiveStrategy(algorithm, probe=False))
        assert one.served < 0.9 * best.served or one.median > 1.5 * best.median


def test_the_same_each_time() -> None:
    scenario = scenarios.Scenario("short", [scenarios.Phase(0, 10), scenarios.Phase(5, 20)], 10)
    first, second = [scenarios.simulate(scenario, AdaptiveStrategy()) for _ in range(2)]
    assert first == second
