"""Settings: what is wrong is named, with its value, all at once."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from atm_priority_queue import PriorityQueueStrategy

from atm_core import SettingError, SettingTypeError, TaskManager


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"levels": []}, "levels must be a list of names, the most urgent first, got"),
        ({"levels": "high"}, "levels must be a list of names, the most urgent first, got 'high'"),
        ({"levels": [1, 2]}, "levels must be a list of names"),
        ({"levels": ["a", "b", "a"], "default": "a"}, "levels must name each level once, got"),
        ({"levels": ["a", "b"]}, "default must be one of 'a', 'b', or a number from -1e12 to 1e12, got 'normal'"),
        ({"default": "nromal"}, "default must be one of .* .did you mean 'normal'.., got 'nromal'"),
        ({"default": None}, "default must be one of .*, got None"),
        ({"field": ""}, "field must be the name of a metadata field, got ''"),
        ({"field": 3}, "field must be the name of a metadata field, got 3"),
        ({"aging_seconds": 0}, "aging_seconds must be .*greater than 0, got 0"),
        ({"aging_seconds": True}, "aging_seconds must be a number greater than 0, got True"),
        ({"aging_seconds": float("nan")}, "aging_seconds must be a finite number .*, got nan"),
        ({"inherit": 1}, "inherit must be True or False, got 1"),
        ({"max_pending": 0}, "max_pending must be greater than 0, got 0"),
        ({"max_pending": 1.5}, "max_pending must be a whole number greater than 0, got 1.5"),
        ({"overflow": "drop"}, "overflow must be one of 'reject', 'drop_oldest', 'drop_lowest'.*, got 'drop'"),
    ],
)
def test_mistakes(wrong: Dict[str, Any], message: str) -> None:
    """Each names the parameter and the value."""
    with pytest.raises(SettingError, match=message):
        PriorityQueueStrategy(**wrong)


def test_all_mistakes_at_once() -> None:
    """One error for all of a call."""
    with pytest.raises(SettingTypeError) as caught:
        PriorityQueueStrategy(levels=5, aging_seconds=-1, max_pending=-1)  # type: ignore[arg-type]
    assert [problem.parameter for problem in caught.value.problems] == ["levels", "aging_seconds", "max_pending"]


def test_a_manager_takes_it_from_a_list() -> None:
    """It is registered under its entry point's name."""
    assert TaskManager([PriorityQueueStrategy()]).stats()["strategies"] == {"priority_queue": {"awaited": 0}}
