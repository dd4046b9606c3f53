"""What happens when no resource is in health."""

from __future__ import annotations

import math
from typing import Any, Callable

import pytest

from atm_core import TaskRejected


def test_no_time_is_named_for_one_that_fails_its_check(drive: Callable[..., Any]) -> None:
    """The end of its ejection will change nothing: only a check that passes does."""
    driven = drive({"a": 1}, max_failures=1, when_all_down="wait")
    driven.fail("a")
    assert driven.ready_at(1.0) == 30.0
    fleet = driven.strategy._fleet
    fleet.checked(fleet.resources["a"], False, 1.0)
    assert driven.ready_at(1.0) == math.inf


def test_use_all(drive: Callable[..., Any]) -> None:
    """None in health: as if all were, but for those without a weight; and the first one back is the only one again."""
    driven = drive({"a": 2, "b": 1, "c": 0}, max_failures=1, max_ejected_fraction=1.0)
    driven.fail("a", now=0.0)
    driven.fail("b", now=1.0)
    assert driven.ready_at(1.0) == 1.0
    assert set(driven.picks(6, now=1.0)) == {"a", "b"}
    assert set(driven.picks(6, now=30.0)) == {"a"}
    assert set(driven.picks(6, now=31.0)) == {"a", "b"}


def test_use_all_with_slots(drive: Callable[..., Any]) -> None:
    """The one that comes back is full: the others are not used any more, although they have room."""
    driven = drive({"a": 1, "b": 1}, max_failures=1, max_ejected_fraction=1.0, max_concurrent_per_resource=1)
    driven.fail("a", now=0.0)
    driven.fail("b", now=1.0)
    task = driven.start(2.0)
    while task.metadata["resource"] != "a":
        driven.end(task, now=2.0)
        task = driven.start(2.0)
    assert driven.ready_at(29.0) == 29.0, "b has room"
    assert driven.ready_at(30.0) == 31.0, "a is back and full, so b is out until its time"
    driven.end(task, now=30.5)
    assert driven.ready_at(30.5) == 30.5


def test_wait(drive: Callable[..., Any]) -> None:
    """Until the first ejection ends."""
    driven = drive({"a": 1, "b": 1}, max_failures=1, max_ejected_fraction=1.0, when_all_down="wait")
    driven.fail("b", now=0.0)
    driven.fail("a", now=4.0)
    assert driven.ready_at(5.0) == 30.0
    assert driven.pick(now=30.0) == "b"


def test_reject(drive: Callable[..., Any]) -> None:
    """And it says when another try makes sense."""
    driven = drive({"a": 1}, max_failures=1, max_ejected_fraction=1.0, when_all_down="reject")
    driven.fail("a", now=0.0)
    with pytest.raises(TaskRejected, match="no resource is in health") as caught:
        driven.ready_at(10.0)
    assert caught.value.retry_after == 20.0
    driven.strategy.set_weight("a", 0)
    with pytest.raises(TaskRejected, match="no resource has a weight") as caught:
        driven.ready_at(10.0)
    assert caught.value.retry_after is None


def test_reject_is_not_for_resources_that_are_only_full(drive: Callable[..., Any]) -> None:
    driven = drive({"a": 1}, max_concurrent_per_resource=1, when_all_down="reject")
    driven.start()
    assert driven.ready_at(0.0) == math.inf


@pytest.mark.parametrize("when_all_down", ["use_all", "wait"])
def test_nothing_has_a_weight(when_all_down: str, drive: Callable[..., Any]) -> None:
    """Drained is drained, also when nothing else is left."""
    driven = drive({"a": 0}, when_all_down=when_all_down)
    assert driven.ready_at(0.0) == math.inf
    driven.strategy.set_weight("a", 1)
    assert driven.pick() == "a"
