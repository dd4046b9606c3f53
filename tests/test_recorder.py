"""The recorder keeps what happened, and each of its assertions tells right from wrong."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any, List, Tuple

import pytest

import atm_core.testing
from atm_core import (
    ConcurrentLimitStrategy,
    DelayedStrategy,
    FixedWindowStrategy,
    Task,
    TaskManager,
    TaskRejected,
    hookimpl,
)
from atm_core.testing import Recorder, Row, run


def recorded(*rows: Tuple[Any, str, float]) -> Recorder:
    """A recorder with these rows, written shortly."""
    recorder = Recorder()
    recorder.rows = [Row(task, f"atm_{hook}", at) for task, hook, at in rows]
    return recorder


def task(name: str, **metadata: Any) -> Any:
    return Task(lambda: asyncio.sleep(0), {"name": name, **metadata})


A, B, C = task("a", host="x"), task("b", host="y"), task("c", host="x")


def began(*times: float) -> Recorder:
    return recorded(*[(task(f"t{n}"), "began", at) for n, at in enumerate(times)])


# What it records.


def test_each_step_of_a_task_is_a_row() -> None:
    recorder = Recorder()

    async def main() -> List[Any]:
        async with TaskManager([ConcurrentLimitStrategy(1), recorder]) as manager:
            return [manager.submit(asyncio.sleep, 1.0) for _ in range(2)]

    one, two = run(main())
    assert recorder.rows == [
        (one, "atm_admitted", 0.0),
        (two, "atm_admitted", 0.0),
        (one, "atm_started", 0.0),
        (one, "atm_began", 0.0),
        (one, "atm_finished", 1.0),
        (one, "atm_settled", 1.0),
        (two, "atm_started", 1.0),
        (two, "atm_began", 1.0),
        (two, "atm_finished", 2.0),
        (two, "atm_settled", 2.0),
    ]
    assert recorder.times() == [0.0, 1.0]
    assert recorder.times("atm_settled") == [1.0, 2.0]
    assert recorder.times("atm_settled", two) == [2.0]
    assert str(recorder).splitlines()[-1] == f"    2.000000  atm_settled    {two!r}"
    recorder.clear()
    assert recorder.rows == []


def test_an_attempt_cancelled_before_its_first_step_has_no_begin() -> None:
    recorder = Recorder()

    async def main() -> None:
        manager = TaskManager([recorder])
        task = manager.submit(asyncio.sleep, 1.0)
        await manager.idle()
        task.cancel()
        await manager.join()
        await manager.aclose()

    run(main())
    assert [row.hook for row in recorder.rows] == ["atm_admitted", "atm_settled"]
    recorder.all_settled_once()
    recorder.everything_given_back()


def test_a_refused_task_is_not_in_the_record_wherever_the_recorder_stands() -> None:
    class Refuses:
        @hookimpl
        def atm_admitted(self, task: Any) -> None:
            raise TaskRejected("no")

    for stack in ([Recorder(), Refuses()], [Refuses(), Recorder()]):
        recorder = next(one for one in stack if isinstance(one, Recorder))
        with pytest.raises(TaskRejected):
            TaskManager(stack).submit(asyncio.sleep, 0)
        assert recorder.rows == []


def test_its_assertions_hold_for_the_strategies_that_promise_them() -> None:
    recorder = Recorder()

    async def main() -> None:
        stack = [
            ConcurrentLimitStrategy(2, key="host"),
            FixedWindowStrategy(3, 1.0),
            DelayedStrategy(0.125, measure_from="start"),
        ]
        async with TaskManager([*stack, recorder]) as manager:
            for n in range(20):
                manager.add_task(lambda: asyncio.sleep(2.0), {"host": n % 3})

    run(main())
    recorder.max_running(2, key="host")
    recorder.never_more_than(5, 1.0)
    recorder.min_gap(0.125)
    recorder.all_settled_once()
    recorder.everything_given_back()
    with pytest.raises(AssertionError):
        recorder.max_running(1, key="host")
    with pytest.raises(AssertionError):
        recorder.never_more_than(2, 1.0)
    with pytest.raises(AssertionError):
        recorder.min_gap(0.126)


# Each assertion, right and wrong.


def test_never_more_than_looks_at_every_window() -> None:
    began(0.0, 0.5, 1.0, 1.5).never_more_than(2, 1.0)
    began().never_more_than(1, 1.0)
    with pytest.raises(
        AssertionError,
        match=r"3 attempts began from 0.9 s to 1.1 s, in less than 1 s, where at most 2 may: .*t1.*t2.*t3",
    ):
        began(0.0, 0.9, 1.0, 1.1, 2.0).never_more_than(2, 1.0)


def test_a_window_ends_exactly_after_its_length_also_where_floats_round() -> None:
    began(0.1, 0.1 + 0.7).never_more_than(1, 0.7)  # (0.1 + 0.7) - 0.1 is less than 0.7
    with pytest.raises(AssertionError):
        began(0.1, 0.8 - 1e-12).never_more_than(1, 0.7)


def test_never_more_than_by_key() -> None:
    recorder = recorded((A, "began", 0.0), (B, "began", 0.1), (C, "began", 0.2))
    recorder.never_more_than(2, 1.0, key="host")
    recorder.never_more_than(1, 1.0, key=lambda task: task.metadata["name"])
    with pytest.raises(AssertionError, match=r"2 attempts began for 'x' from 0 s to 0.2 s"):
        recorder.never_more_than(1, 1.0, key="host")


def test_max_running_counts_from_start_to_finish() -> None:
    recorder = recorded((A, "started", 0.0), (B, "started", 0.0), (A, "finished", 1.0), (C, "started", 1.0))
    recorder.max_running(2)
    with pytest.raises(AssertionError, match=r"2 tasks ran at once at 0 s, where at most 1 may: <Task a .*<Task b"):
        recorder.max_running(1)
    recorder.max_running(1, key="host")
    with pytest.raises(AssertionError, match=r"2 tasks ran at once for 'x' at 0.5 s"):
        recorded((A, "started", 0.0), (C, "started", 0.5)).max_running(1, key="host")


def test_min_gap_from_the_start() -> None:
    began(0.0, 0.5, 1.0).min_gap(0.5)
    began(0.1, 0.1 + 0.7).min_gap(0.7)
    with pytest.raises(
        AssertionError, match=r"t2 .* began at 0.9 s, less than 0.5 s after the start of .*t1 .* at 0.5 s"
    ):
        began(0.0, 0.5, 0.9).min_gap(0.5)


def test_min_gap_from_the_completion() -> None:
    right = recorded((A, "began", 0.0), (A, "finished", 1.0), (B, "began", 1.5))
    right.min_gap(0.5, measure_from="completion")
    right.min_gap(9.0, measure_from="completion", key="host")
    with pytest.raises(
        AssertionError, match=r"<Task b .* began at 1.5 s, less than 0.6 s after the completion of <Task a"
    ):
        right.min_gap(0.6, measure_from="completion")
    with pytest.raises(AssertionError, match=r"<Task b .* began at 0.5 s while <Task a .* ran"):
        recorded((A, "began", 0.0), (B, "began", 0.5)).min_gap(0.1, measure_from="completion")
    with pytest.raises(ValueError, match=r"measure_from must be 'start' or 'completion', got 'end'"):
        right.min_gap(0.5, measure_from="end")


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_what_would_always_hold_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="window_seconds must be greater than 0, got "):
        Recorder().never_more_than(1, seconds)
    with pytest.raises(ValueError, match="seconds must be 0 or greater, got "):
        Recorder().min_gap(seconds)


def test_what_never_began_makes_no_gap() -> None:
    recorded((A, "finished", 0.0), (B, "began", 0.1)).min_gap(1.0, measure_from="completion")


def test_order_by_task_and_by_name() -> None:
    recorder = recorded((A, "began", 0.0), (B, "began", 0.0), (C, "began", 1.0), (A, "began", 2.0))
    recorder.order(A, B, C)
    recorder.order("a", "c")
    recorder.order(A, "b", C)
    with pytest.raises(AssertionError, match=r"they began in the order 'b', 'c', not 'c', 'b'"):
        recorder.order("c", "b")
    with pytest.raises(AssertionError, match=r"these never began: 'd'"):
        recorder.order("a", "d")


def test_all_settled_once() -> None:
    recorded((A, "admitted", 0.0), (A, "settled", 1.0)).all_settled_once()
    with pytest.raises(AssertionError, match=r"1 of 2 tasks were never settled: <Task b"):
        recorded((A, "admitted", 0.0), (B, "admitted", 0.0), (A, "settled", 1.0)).all_settled_once()
    with pytest.raises(AssertionError, match=r"<Task a .* was settled at 1 s, and then came atm_settled at 2 s"):
        recorded((A, "admitted", 0.0), (A, "settled", 1.0), (A, "settled", 2.0)).all_settled_once()
    with pytest.raises(AssertionError, match=r"<Task a .* was settled at 1 s, and then came atm_started at 2 s"):
        recorded((A, "admitted", 0.0), (A, "settled", 1.0), (A, "started", 2.0)).all_settled_once()


@pytest.mark.parametrize(
    "hooks, message",
    [
        (["started", "began", "finished"], None),
        (["started", "finished", "started", "began", "finished"], None),
        (["started", "began"], "1 tasks were started and never finished: <Task a"),
        (["started", "started"], "a second atm_started without atm_finished for <Task a"),
        (["started", "finished", "finished"], "atm_finished without atm_started"),
        (["began"], "atm_began without atm_started"),
        (["started", "began", "began"], "a second atm_began in one attempt"),
    ],
)
def test_everything_given_back(hooks: List[str], message: Any) -> None:
    recorder = recorded(*[(A, hook, 0.0) for hook in hooks])
    if message is None:
        recorder.everything_given_back()
    else:
        with pytest.raises(AssertionError, match=message):
            recorder.everything_given_back()


def test_a_message_names_a_few_tasks_and_counts_the_rest() -> None:
    with pytest.raises(AssertionError, match=r"<Task t7 pending> and 12 more$"):
        began(*[0.0] * 20).never_more_than(19, 1.0)


# The package.


def test_what_the_package_exports_is_there() -> None:
    for name in atm_core.testing.__all__:
        assert getattr(atm_core.testing, name).__name__ == name
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'"):
        getattr(atm_core.testing, "nothing")  # noqa: B009


def test_it_needs_neither_pytest_nor_hypothesis_but_for_the_kit() -> None:
    program = """
import sys
sys.modules.update(dict.fromkeys(["pytest", "_pytest", "hypothesis"]))  # cannot be imported any more
import atm_core.testing as testing
testing.run, testing.VirtualTimeLoop, testing.Recorder, testing.DeadlockError
if sys.version_info < (3, 14):
    testing.VirtualTimePolicy
try:
    testing.StrategyConformance
except ImportError as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ran.stdout.strip() == "StrategyConformance needs hypothesis: pip install async-task-manager[testing]"
    assert ran.returncode == 0
