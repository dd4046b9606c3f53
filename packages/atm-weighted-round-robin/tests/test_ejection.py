"""Ejection and return, at times that the tests choose."""

from __future__ import annotations

import math
from typing import Any, Callable, List

import pytest

from atm_core import HookError, Outcome, TaskRejected


def test_ejected_after_so_many_failures_in_a_row(drive: Callable[..., Any]) -> None:
    driven = drive({"a": 1, "b": 1}, max_failures=3)
    driven.fail("a", times=2)
    assert driven.state()["healthy"] and driven.state()["failures"] == 2
    driven.fail("a")
    assert not driven.state()["healthy"]
    assert driven.picks(4) == ["b"] * 4


def test_a_success_in_between_counts_from_the_start(drive: Callable[..., Any]) -> None:
    driven = drive({"a": 1}, max_failures=3)
    for _ in range(5):
        driven.fail("a", times=2)
        driven.pick()
    assert driven.state()["healthy"] and driven.state()["failures"] == 0


def test_back_to_the_digit(drive: Callable[..., Any]) -> None:
    """The last moment of an ejection is its end, at which the task that waits is told to ask again."""
    driven = drive({"a": 1, "b": 1}, max_failures=1, ejection_seconds=10.0)
    driven.fail("a", now=0.3)
    until = 0.3 + 10.0
    assert set(driven.picks(10, now=math.nextafter(until, 0) if hasattr(math, "nextafter") else 10.299)) == {"b"}
    assert set(driven.picks(10, now=until)) == {"a", "b"}


@pytest.mark.parametrize("max_ejection_seconds, lengths", [(300, [30, 60, 90]), (50, [30, 50, 50]), (10, [30, 30, 30])])
def test_ejections_grow(max_ejection_seconds: float, lengths: List[float], drive: Callable[..., Any]) -> None:
    """Base times n, up to the maximum, which is no less than the base."""
    driven = drive({"a": 1}, max_failures=1, max_ejection_seconds=max_ejection_seconds)
    now = 0.0
    for length in lengths:
        driven.fail("a", now=now)
        assert driven.state(now=now)["ejected_seconds"] == length
        now += length


@pytest.mark.parametrize("used, factor", [(0, 4), (29.9, 4), (30, 3), (65, 2), (90, 1), (1e9, 1)])
def test_time_in_use_is_forgiving(used: float, factor: int, drive: Callable[..., Any]) -> None:
    """The factor falls by one for each ejection_seconds after the return, whether or not anything ran."""
    driven = drive({"a": 1}, max_failures=1)
    now = 0.0
    for n in (1, 2, 3):
        driven.fail("a", now=now)
        now += 30.0 * n
    driven.fail("a", now=now + used)
    assert driven.state(now=now + used)["ejections"] == factor
    assert driven.state(now=now + used)["ejected_seconds"] == pytest.approx(30.0 * factor)


def test_the_factor_does_not_grow_past_the_maximum(drive: Callable[..., Any]) -> None:
    """After a day's outage it takes no day to be forgiven (Envoy)."""
    driven = drive({"a": 1}, max_failures=1, ejection_seconds=10, max_ejection_seconds=30)
    now = 0.0
    for _ in range(100):
        driven.fail("a", now=now)
        now += driven.state(now=now)["ejected_seconds"]
    assert driven.state(now=now)["ejections"] == 3
    driven.fail("a", now=now + 20)
    assert driven.state(now=now + 20)["ejections"] == 2


@pytest.mark.parametrize("fraction, ejected", [(0.0, 0), (0.1, 1), (0.5, 2), (0.51, 3), (0.75, 3), (1.0, 4)])
def test_the_cap_is_tested_before_an_ejection(fraction: float, ejected: int, drive: Callable[..., Any]) -> None:
    names = "abcd"
    driven = drive(dict.fromkeys(names, 1), max_failures=1, max_ejected_fraction=fraction)
    for name in names:
        driven.fail(name)
    states = driven.strategy.snapshot(0.0)
    assert [states[name]["healthy"] for name in names] == [False] * ejected + [True] * (4 - ejected)


def test_drained_resources_do_not_count_for_the_cap(drive: Callable[..., Any]) -> None:
    driven = drive({"a": 1, "b": 1, "c": 0, "d": 0}, max_failures=1, max_ejected_fraction=0.5)
    driven.fail("a")
    driven.fail("b")
    assert [driven.state(name)["healthy"] for name in "ab"] == [False, True]


def test_failures_of_before_the_ejection_do_not_prolong_it(drive: Callable[..., Any]) -> None:
    """What was under way when it was ejected fails, too: that is no news."""
    driven = drive({"a": 1, "b": 1}, max_failures=1, max_ejected_fraction=1.0)
    tasks = [driven.start() for _ in range(8)]
    for now, task in enumerate(tasks):
        driven.end(task, OSError() if task.metadata["resource"] == "a" else None, now=float(now))
    assert driven.state(now=8.0)["ejections"] == 1
    assert driven.state(now=8.0)["ejected_seconds"] == 22.0
    assert driven.ready_at(30.0) == 30.0 and driven.state(now=30.0)["healthy"]


def test_after_the_return_it_takes_as_many_failures_again(drive: Callable[..., Any]) -> None:
    """Envoy's, so that one mishap is not an ejection."""
    driven = drive({"a": 1, "b": 1}, max_failures=2, ejection_seconds=10.0)
    driven.fail("a", times=2)
    driven.fail("a", now=10.0)
    assert driven.state(now=10.0)["healthy"] and driven.state(now=10.0)["failures"] == 1


def test_failures_of_a_drained_one_eject_nothing(drive: Callable[..., Any]) -> None:
    """What runs on it may end there, however."""
    driven = drive({"a": 1}, max_failures=1)
    task = driven.start()
    driven.strategy.set_weight("a", 0)
    driven.end(task, OSError())
    assert driven.state()["healthy"]


def test_a_success_ends_what_a_task_has_tried(drive: Callable[..., Any]) -> None:
    """A task that recurs begins afresh after each success, and keeps nothing until then."""
    driven = drive({"a": 1, "b": 1})
    task = driven.start()
    driven.end(task, OSError(), final=False)
    assert driven.strategy.stats()["retried"] == 1
    driven.end(driven.start(task=task), final=False)
    assert driven.strategy.stats()["retried"] == 0


def test_a_task_that_recurs_piles_nothing_up(drive: Callable[..., Any]) -> None:
    """However often it has failed in between."""
    driven = drive({"a": 1, "b": 1})
    task = driven.start()
    for _ in range(10):
        driven.end(task, OSError(), final=False)
        driven.end(driven.start(task=task), final=False)
        driven.start(task=task)
    assert driven.strategy.stats()["retried"] == 0
    assert task.remove_done_callback(driven.strategy._forget_tried) == 0


def test_what_does_not_count(drive: Callable[..., Any]) -> None:
    """Cancellations, rejections and errors of the framework neither count as failures nor clear them."""
    driven = drive({"a": 1}, max_failures=2)
    driven.fail("a")
    driven.cancel(driven.start())
    for error in (TaskRejected("no"), HookError("broken")):
        driven.pick(error=error)
    assert driven.state()["failures"] == 1 and driven.state()["healthy"]


@pytest.mark.parametrize("failure", [(OSError,), "OSError", ["builtins:OSError"], lambda e: isinstance(e, OSError)])
def test_only_a_failure_is_one(failure: Any, drive: Callable[..., Any]) -> None:
    """Another exception shows that the resource works: as good as a success."""
    driven = drive({"a": 1}, max_failures=2, failure=failure)
    driven.pick(error=ConnectionResetError())
    assert driven.state()["failures"] == 1
    driven.pick(error=KeyError())
    assert driven.state()["failures"] == 0


def test_without_max_failures_nothing_is_ejected(drive: Callable[..., Any]) -> None:
    driven = drive({"a": 5, "b": 1}, max_failures=None)
    driven.fail("a", times=50)
    assert driven.state()["healthy"] and driven.state()["effective_weight"] == 5


def test_snapshot_changes_nothing_and_knows_the_time(drive: Callable[..., Any]) -> None:
    driven = drive({"a": 1, "b": 1}, max_failures=1)
    driven.fail("a")
    assert driven.state(now=10.0)["ejected_seconds"] == 20.0
    assert driven.state(now=30.0)["healthy"]
    assert not driven.state(now=29.0)["healthy"]
    assert driven.picks(4, now=29.0) == ["b"] * 4


def test_an_outcome_that_a_predicate_cannot_judge_still_gives_the_slot_back(drive: Callable[..., Any]) -> None:
    """A mistake in the user's function is told (the manager logs it); no slot is lost."""

    def judge(error: BaseException) -> bool:
        raise RuntimeError("a mistake")

    driven = drive({"a": 1}, max_concurrent_per_resource=1, failure=judge)
    task = driven.start()
    with pytest.raises(RuntimeError, match="a mistake"):
        driven.strategy.atm_finished(task, Outcome(None, OSError()), 0.0)
    assert driven.ready_at(0.0) == 0.0
