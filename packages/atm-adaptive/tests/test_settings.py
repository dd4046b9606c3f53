"""Settings: which are refused, and when CPU and memory are watched."""

from __future__ import annotations

import inspect
from typing import Any, Dict

import atm_adaptive._marks
import pytest
from atm_adaptive import AdaptiveStrategy

from atm_core import SettingError, SettingTypeError, TaskManager


class SomePsutil:
    pass


@pytest.fixture(params=[True, False], ids=["with psutil", "without"])
def psutil(request: Any, monkeypatch: Any) -> bool:
    found = SomePsutil() if request.param else None
    monkeypatch.setattr(atm_adaptive._marks, "psutil_or_none", lambda: found)
    return bool(request.param)


def watched(strategy: AdaptiveStrategy) -> Dict[str, Any]:
    return {name: tuple(band) for name, band in strategy._bands.items()}


def test_the_defaults_are_those_of_the_issue() -> None:
    expected = {
        "algorithm": "gradient",
        "initial_limit": 20,
        "min_limit": 1,
        "max_limit": 200,
        "latency_tolerance": 1.5,
        "smoothing": 0.2,
        "latency_timeout_seconds": 5,
        "backoff_ratio": 0.9,
        "window_seconds": 1.0,
        "min_samples": 10,
        "cpu_high": 0.85,
        "cpu_low": 0.70,
        "memory_high": 0.90,
        "memory_low": 0.80,
        "loop_lag_high_seconds": 0.1,
        "sample_interval_seconds": 1.0,
        "key": None,
    }
    parameters = inspect.signature(AdaptiveStrategy).parameters
    assert {name: parameters[name].default for name in expected} == expected
    assert repr(parameters["cpu_high"].default) == "0.85"


def test_left_alone_they_hold_if_psutil_is_there(psutil: bool) -> None:
    system = {"cpu": (0.7, 0.85), "memory": (0.8, 0.9)} if psutil else {}
    assert watched(AdaptiveStrategy()) == {**system, "loop_lag": (0.05, 0.1)}


@pytest.mark.parametrize("parameter", ["cpu_high", "cpu_low", "memory_high", "memory_low"])
def test_a_mark_that_is_given_needs_psutil(psutil: bool, parameter: str) -> None:
    """Also one that equals the default: it was asked for."""
    value = inspect.signature(AdaptiveStrategy).parameters[parameter].default
    settings: Dict[str, Any] = {parameter: float(value)}
    if psutil:
        assert watched(AdaptiveStrategy(**settings)) == watched(AdaptiveStrategy())
        return
    with pytest.raises(SettingError, match=rf"{parameter} needs psutil.*atm-adaptive\[system\]") as caught:
        AdaptiveStrategy(**settings)
    assert caught.value.parameter == parameter


def test_none_watches_nothing(psutil: bool) -> None:
    assert watched(AdaptiveStrategy(cpu_high=None, memory_high=None, loop_lag_high_seconds=None)) == {}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("algorithm", "bbr"),
        ("initial_limit", 0),
        ("initial_limit", 201),
        ("min_limit", 0),
        ("min_limit", 21),
        ("max_limit", 19),
        ("max_limit", True),
        ("latency_tolerance", 1.0),
        ("smoothing", 0),
        ("smoothing", 1.1),
        ("latency_timeout_seconds", 0),
        ("backoff_ratio", 0.4),
        ("backoff_ratio", 1.0),
        ("window_seconds", float("inf")),
        ("min_samples", 0),
        ("cpu_high", 1.5),
        ("cpu_low", 0.9),
        ("cpu_high", "much"),
        ("memory_low", -0.1),
        ("loop_lag_high_seconds", 0),
        ("sample_interval_seconds", -1),
        ("key", 5),
        ("drop", 5),
        ("probe", 1),
    ],
)
def test_refused(parameter: str, value: Any, psutil: bool) -> None:
    with pytest.raises(SettingError) as caught:
        AdaptiveStrategy(**{parameter: value})
    about = "initial_limit" if parameter in ("min_limit", "max_limit") and type(value) is int and value else parameter
    assert any(problem.parameter == about for problem in caught.value.problems)


def test_all_mistakes_at_once() -> None:
    with pytest.raises(SettingTypeError) as caught:
        AdaptiveStrategy(initial_limit="many", min_samples=0, window_seconds=float("nan"))  # type: ignore[arg-type]
    parameters = [problem.parameter for problem in caught.value.problems]
    assert parameters == ["initial_limit", "window_seconds", "min_samples"]


def test_from_a_config() -> None:
    """Everything can be said in TOML or JSON: exceptions and functions by their names."""
    options = {"algorithm": "vegas", "key": "host", "drop": ["TimeoutError", "builtins:ConnectionError"]}
    manager = TaskManager.from_config({"api": {"strategies": [{"name": "adaptive", **options}]}})
    (strategy,) = manager.strategies.values()
    assert isinstance(strategy, AdaptiveStrategy)
    assert strategy.algorithm == "vegas"
    errors = (TimeoutError(), ConnectionError(), OSError(), ValueError())
    assert [strategy._drop(error) for error in errors] == [True, True, False, False]
