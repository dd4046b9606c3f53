"""What may be set, and what is said if it may not."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from atm_weighted_round_robin import WeightedRoundRobinStrategy

from atm_core import SettingError, SettingTypeError, TaskManager


def test_all_mistakes_are_told_at_once_with_parameter_and_value() -> None:
    with pytest.raises(SettingError) as caught:
        WeightedRoundRobinStrategy(
            {"a": -1, "b": float("nan")},
            algorithm="smoth",
            max_failures=0,
            max_ejected_fraction=2,
            slow_start_seconds=-1,
        )
    named = [problem.parameter for problem in caught.value.problems]
    assert named[:3] == ["resources['a']", "resources['b']", "algorithm"]
    assert named[3:] == ["max_failures", "max_ejected_fraction", "slow_start_seconds"]
    assert "did you mean 'smooth'?" in str(caught.value) and "got -1" in str(caught.value)


def test_a_config_can_say_everything() -> None:
    """Callables and exception types as names."""
    config = {
        "servers": {
            "strategies": [
                {
                    "name": "weighted_round_robin",
                    "resources": {"a": 5, "b": 1},
                    "algorithm": "edf",
                    "max_concurrent_per_resource": 3,
                    "max_failures": 2,
                    "ejection_seconds": 1,
                    "max_ejection_seconds": 10,
                    "max_ejected_fraction": 0.25,
                    "failure": ["ConnectionError", "asyncio:TimeoutError"],
                    "health_check": "os.path:exists",
                    "health_check_interval_seconds": 2,
                    "slow_start_seconds": 3,
                    "when_all_down": "wait",
                    "key": "tenant",
                }
            ]
        }
    }
    manager = TaskManager.from_config(config)
    (strategy,) = manager.strategies.values()
    assert isinstance(strategy, WeightedRoundRobinStrategy)
    assert list(strategy.snapshot(0.0)) == ["a", "b"]


def test_resources_may_be_anything_hashable(drive: Callable[..., Any]) -> None:
    driven = drive({("10.0.0.1", 80): 2, ("10.0.0.2", 80): 1})
    assert driven.picks(3) == [("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.1", 80)]
    assert list(driven.strategy.stats()["resources"]) == ["('10.0.0.1', 80)", "('10.0.0.2', 80)"]


@pytest.mark.parametrize(
    "call",
    [
        lambda one: one.add("a", 1),
        lambda one: one.add("b", -1),
        lambda one: one.remove("b"),
        lambda one: one.set_weight("b", 1),
        lambda one: one.set_weight("a", float("inf")),
        lambda one: one.set_weight("a", True),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(call: Callable[[Any], Any], drive: Callable[..., Any]) -> None:
    strategy = drive({"a": 1}).strategy
    before = strategy.snapshot(0.0)
    with pytest.raises(SettingError):
        call(strategy)
    assert strategy.snapshot(0.0) == before


def test_what_cannot_be_a_name(drive: Callable[..., Any]) -> None:
    """Named with its value, like every other mistake."""
    strategy = drive({"a": 1}).strategy
    changes = (strategy.add, strategy.remove, lambda name: strategy.set_weight(name, 1))
    for change in changes:
        with pytest.raises(SettingTypeError, match=r"resource must be hashable, got \['a'\]"):
            change(["a"])
    assert list(strategy.snapshot(0.0)) == ["a"]
