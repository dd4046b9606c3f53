"""Settings: what is wrong is named, with its value, all at once."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest
from atm_sliding_window import SlidingWindowStrategy

from atm_core import SettingError, TaskManager


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_requests": 0}, "max_requests must be greater than 0, got 0"),
        ({"max_requests": True}, "max_requests must be a whole number greater than 0, got True"),
        ({"max_requests": 2.5}, "max_requests must be a whole number greater than 0, got 2.5"),
        ({"window_seconds": 0}, "window_seconds must be .*greater than 0, got 0"),
        ({"window_seconds": float("inf")}, "window_seconds must be a finite number .*, got inf"),
        ({"window_seconds": float("nan")}, "window_seconds must be a finite number .*, got nan"),
        ({"algorithm": "glog"}, "algorithm must be one of 'log', 'counter', 'gcra' .did you mean 'log'.*, got 'glog'"),
        ({"algorithm": "gcra", "burst": 0}, "burst must be greater than 0, got 0"),
        ({"burst": 3}, "burst is for algorithm 'gcra' only: leave it out, got 3"),
        ({"key": 5}, "key must be a metadata field's name or a function of the task, got 5"),
        ({"cost": 5}, "cost must be a metadata field's name or a function of the task, got 5"),
    ],
)
def test_mistakes(wrong: Dict[str, Any], message: str) -> None:
    """Each names the parameter and the value."""
    with pytest.raises(SettingError, match=message):
        SlidingWindowStrategy(**{"max_requests": 5, "window_seconds": 1.0, **wrong})


def test_all_mistakes_at_once() -> None:
    """One error for all of a call."""
    with pytest.raises(SettingError) as caught:
        SlidingWindowStrategy(-1, -1.0, algorithm="gcra", burst=-1)
    names: List[str] = [problem.parameter for problem in caught.value.problems]
    assert names == ["max_requests", "window_seconds", "burst"]


def test_a_burst_of_none_is_a_whole_window() -> None:
    """For gcra; the others have none."""
    assert SlidingWindowStrategy(5, 1.0, algorithm="gcra").burst == 5
    assert SlidingWindowStrategy(5, 1.0).burst is None


def test_a_manager_takes_it_from_a_list() -> None:
    """It is registered under its entry point's name."""
    assert "sliding_window" in TaskManager([SlidingWindowStrategy(5, 1.0)]).stats()["strategies"]
