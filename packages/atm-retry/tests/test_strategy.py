"""Retries in a manager: what is run again, when, and what the end looks like."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import sys
import weakref
from typing import Any, Awaitable, Callable, List, Optional, Tuple, Type

import pytest
from atm_retry import NotRepeatableError, RetryHistory, RetryStrategy, retry_after_of

from atm_core import HookError, Outcome, Task, TaskManager, TaskRejected, WorkError, hookimpl
from atm_core.testing import run


class Script:
    """Work that follows a script: an exception is raised, anything else returned; the last one for ever."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = outcomes
        self.starts: List[float] = []

    async def __call__(self) -> Any:
        self.starts.append(asyncio.get_running_loop().time())
        outcome = self.outcomes[min(len(self.starts), len(self.outcomes)) - 1]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def played(script: Script, strategy: RetryStrategy, *others: Any) -> Task[Any]:
    """The settled task of this script."""

    async def main() -> Task[Any]:
        async with TaskManager([strategy, *others]) as manager:
            task: Task[Any] = manager.submit(script)
            await task.wait()
        assert strategy.stats()["retrying"] == 0
        return task

    return run(main())


def history(task: Task[Any]) -> RetryHistory:
    found = task.exception().retry_history  # type: ignore[union-attr]
    assert isinstance(found, RetryHistory)
    return found


def steady(**settings: Any) -> RetryStrategy:
    return RetryStrategy(**{"jitter": "none", "initial_delay_seconds": 1, **settings})


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"max_attempts": 4}, [0, 1, 3, 7]),
        ({"max_attempts": 4, "multiplier": 3}, [0, 1, 4, 13]),
        ({"max_attempts": 4, "backoff": "linear"}, [0, 1, 3, 6]),
        ({"max_attempts": 4, "backoff": "constant"}, [0, 1, 2, 3]),
        ({"max_attempts": 5, "max_delay_seconds": 2}, [0, 1, 3, 5, 7]),
        ({"max_attempts": 3, "backoff": lambda n: n / 4}, [0, 0.25, 0.75]),
        ({"max_attempts": 3, "backoff": lambda n: 10 ** (400 * (n - 1)), "max_delay_seconds": 4}, [0, 1, 5]),
        ({"max_attempts": 3, "initial_delay_seconds": 0}, [0, 0, 0]),
        ({"max_attempts": 1}, [0]),
    ],
)
def test_when_it_is_run_again(settings: Any, starts: List[float]) -> None:
    """Exactly when the backoff says so, and never more often than max_attempts."""
    script = Script(OSError())
    task = played(script, steady(**settings))
    assert script.starts == starts
    assert task.attempts == len(starts)


def test_it_ends_with_the_first_success() -> None:
    script = Script(OSError(1), OSError(2), "value")
    assert played(script, steady(max_attempts=5)).result() == "value"
    assert len(script.starts) == 3


def test_without_a_limit_it_goes_on() -> None:
    script = Script(*[OSError()] * 500, "value")
    task = played(script, steady(max_attempts=None, initial_delay_seconds=0))
    assert task.result() == "value"
    assert task.attempts == 501


def test_no_attempt_begins_after_max_elapsed() -> None:
    """Counted from the beginning of the first attempt, not from when the task was added."""

    async def slow() -> None:
        await asyncio.sleep(2)
        raise OSError

    async def main() -> List[int]:
        found = []
        for most in (2.9, 3.0, 6.9, 7.0):
            async with TaskManager(steady(max_attempts=None, max_elapsed_seconds=most)) as manager:
                manager.pause()
                task = manager.submit(slow)
                await asyncio.sleep(3)
                manager.resume()
                await task.wait()
                assert f"max_elapsed_seconds={most:g}" in history(task).reason
                found.append(task.attempts)
        return found

    # It would begin at 0, 3, 7 (2 s of work, delays of 1, 2, 4), 13.
    assert run(main()) == [1, 2, 2, 3]


@pytest.mark.parametrize(
    ("settings", "error", "attempts"),
    [
        ({}, ValueError(), 3),
        ({"retry_on": OSError}, ConnectionError(), 3),
        ({"retry_on": OSError}, ValueError(), 1),
        ({"retry_on": ["OSError", "json:JSONDecodeError"]}, ValueError(), 1),
        ({"retry_on": lambda error: "busy" in str(error)}, ValueError("busy"), 3),
        ({"retry_on": lambda error: "busy" in str(error)}, ValueError("gone"), 1),
        ({"abort_on": (KeyError,)}, KeyError(), 1),
        ({"abort_on": (KeyError,)}, IndexError(), 3),
        ({"retry_on": "OSError", "abort_on": "builtins:FileNotFoundError"}, FileNotFoundError(), 1),
        ({"abort_on": lambda error: error.errno == 2}, OSError(2, "gone"), 1),
        ({"retry_on": (BaseException,)}, concurrent.futures.CancelledError(), 1),
        ({"retry_on": (BaseException,)}, WorkError("no"), 1),
    ],
)
def test_what_is_retried(settings: Any, error: BaseException, attempts: int) -> None:
    script = Script(error)
    played(script, RetryStrategy(**settings)).cancelled()
    assert len(script.starts) == attempts


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_stops_the_program_is_not_retried(kind: Type[BaseException]) -> None:
    script = Script(kind())
    with pytest.raises(kind):
        played(script, RetryStrategy(retry_on=(BaseException,)))
    assert len(script.starts) == 1
    assert RetryStrategy(retry_on=(BaseException,)).atm_again(Task(script), Outcome(None, kind()), 0.0) is None


@pytest.mark.parametrize("last", [Outcome(1), Outcome(None, OSError())])
def test_a_task_that_recurs_piles_nothing_up(last: Outcome) -> None:
    """However often it fails, and then succeeds or is given up: after each time it is forgotten whole."""
    retry, task = RetryStrategy(2), Task(Script(1))
    for _ in range(5):
        assert retry.atm_again(task, Outcome(None, OSError()), 0.0) is not None
        assert retry.atm_again(task, last, 0.0) is None
    assert retry.stats()["retrying"] == 0
    assert task.remove_done_callback(retry._forget) == 0


def test_a_cancelled_outcome_is_no_result_to_look_at() -> None:
    """As a strategy that ran the work elsewhere may give it, without an exception."""
    retry = RetryStrategy(retry_on_result=lambda value: value is None)
    assert retry.atm_again(Task(Script(1)), Outcome(cancelled=True), 0.0) is None


def test_a_cancellation_is_never_retried() -> None:
    """Neither of the handle, nor one that the work raises itself, nor between two attempts."""

    async def main() -> List[Any]:
        retry = steady(retry_on=(BaseException,))
        script = Script(OSError())
        async with TaskManager(retry) as manager:
            inside = manager.submit(Script(asyncio.CancelledError()))
            running, asleep = manager.submit(asyncio.sleep, 10), manager.submit(script)
            await asyncio.sleep(0.5)
            assert retry.stats()["retrying"] == 1
            running.cancel()
            asleep.cancel()
            assert retry.stats()["retrying"] == 0
        return [inside.cancelled(), running.cancelled(), asleep.cancelled(), len(script.starts)]

    assert run(main()) == [True, True, True, 1]


def test_results_can_be_retried() -> None:
    """The last one stands as it is."""
    script = Script(None, OSError(), None, "ready")
    assert played(script, steady(max_attempts=4, retry_on_result=lambda value: value is None)).result() == "ready"
    assert script.starts == [0, 1, 3, 7]
    script = Script(None)
    assert played(script, steady(retry_on_result=lambda value: value is None)).result() is None
    assert len(script.starts) == 3


class Busy(Exception):
    def __init__(self, retry_after: Optional[float]) -> None:
        self.retry_after = retry_after


@pytest.mark.parametrize(
    ("asked", "starts"),
    [
        ([5.0, 0.0], [0, 5, 5]),  # exactly what the server asks for, without jitter or cap
        ([60.0, None], [0, 60, 62]),  # the backoff goes by the number of the attempt
        ([60.1], [0]),
        ([-1.0], [0]),  # gRPC's push-back: do not retry
    ],
)
def test_the_server_says_when(asked: List[Optional[float]], starts: List[float]) -> None:
    script = Script(*map(Busy, asked), "value")
    played(script, steady(delay_from=retry_after_of, max_delay_seconds=3)).cancelled()
    assert script.starts == starts


def test_a_wait_too_long_is_told() -> None:
    task = played(Script(Busy(61.0)), RetryStrategy(delay_from="atm_retry:retry_after_of"))
    assert history(task).reason == "asked to retry after 61 s, max_retry_after_seconds=60"


@pytest.mark.parametrize("answer", ["5", True, float("nan")])
def test_delay_from_that_answers_no_seconds_is_named(answer: Any) -> None:
    error = played(Script(OSError()), RetryStrategy(delay_from=lambda error: answer)).exception()
    assert isinstance(error, HookError)
    assert "delay_from answered" in str(error)
    assert isinstance(error.__context__, OSError)


class Refuses:
    """A gate that refuses the first starts."""

    def __init__(self, *retry_after: Optional[float]) -> None:
        self.left = list(retry_after)
        self.until = -1.0

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> float:
        if self.left:
            raise TaskRejected("not now", retry_after=self.left.pop(0))
        return now


@pytest.mark.parametrize(
    ("refusals", "starts"),
    [
        ([2.0], [2]),
        ([2.0, 3.0], [5]),
        ([2.0, 2.0, 2.0], []),  # a refusal is an attempt
        ([None], []),
        ([60.5], []),
    ],
)
def test_refusals_are_retried_only_when_they_say_when(refusals: List[Optional[float]], starts: List[float]) -> None:
    script = Script("value")
    task = played(script, RetryStrategy(3), Refuses(*refusals))
    assert script.starts == starts
    if not starts:
        assert isinstance(task.exception(), TaskRejected)


@pytest.mark.parametrize(("abort_on", "starts"), [((TaskRejected,), []), (lambda error: error.errno == 2, [2.0])])
def test_refusals_can_be_aborted_by_class(abort_on: Any, starts: List[float]) -> None:
    """A function of the work's own exceptions is not asked about them."""
    script = Script("value")
    task = played(script, RetryStrategy(3, abort_on=abort_on), Refuses(2.0))
    assert script.starts == starts
    if not starts:
        assert history(task).reason == "it is not one to retry"


def test_a_refusal_takes_nothing_from_the_budget() -> None:
    """It never reached the server, so a retry adds no load."""
    script = Script(OSError(), "value")
    task = played(script, RetryStrategy(5, budget={"ratio": 1, "min_per_second": 0}), Refuses(1.0, 1.0))
    assert task.result() == "value"
    assert task.attempts == 2


def test_a_refusal_pays_nothing_into_the_budget() -> None:
    script = Script(OSError())
    task = played(script, RetryStrategy(10, budget={"ratio": 1, "min_per_second": 0}), Refuses(1.0, 1.0))
    assert task.attempts == 2
    assert history(task).attempts == 4


def test_a_coroutine_is_refused_with_the_way_out() -> None:
    """When it is added, and closed, since nobody will await it."""

    async def fetch(url: str) -> None:
        return None

    async def main() -> None:
        async with TaskManager(RetryStrategy()) as manager:
            way_out = r"submit\(.*fetch, \.\.\.\) instead of add_task\(.*fetch"
            with pytest.raises(NotRepeatableError, match=way_out) as found:
                manager.add_task(fetch("http://x"))
            assert isinstance(found.value, TaskRejected)
            assert isinstance(found.value, WorkError)
        async with TaskManager(RetryStrategy(1)) as manager:
            await manager.add_task(fetch("http://x"))  # it is not to be retried

    run(main())


def test_a_coroutine_that_was_there_first_is_not_run_again() -> None:
    """The strategy was registered while it waited: it fails as it would have failed."""

    async def fail() -> None:
        raise OSError

    async def main() -> None:
        async with TaskManager() as manager:
            task = manager.add_task(fail())
            manager.register(RetryStrategy())
            await task.wait()
        assert history(task).reason == "its work can run only once"

    run(main())


def test_the_end_tells_what_was_before() -> None:
    """The exception is the work's own, with the earlier attempts, their number, the time and the reason."""
    first, second, third = ConnectionError("one"), TimeoutError("two"), OSError("three")
    task = played(Script(first, second, third), steady())
    assert task.exception() is third
    found = history(task)
    assert (found.attempts, found.elapsed_seconds, found.reason) == (3, 3.0, "max_attempts=3")
    assert [one.exception for one in found.earlier] == [first, second]
    assert not hasattr(first, "retry_history")
    if sys.version_info >= (3, 11):
        assert third.__notes__ == [
            "gave up after 3 attempts (max_attempts=3); before: ConnectionError('one'), TimeoutError('two')"
        ]


def test_one_attempt_has_no_note() -> None:
    error = played(Script(KeyError("x")), RetryStrategy(abort_on=KeyError)).exception()
    assert not getattr(error, "__notes__", None)
    assert error.retry_history[:2] == (1, ())  # type: ignore[union-attr]


def test_the_same_exception_every_time_does_not_hold_itself() -> None:
    """Nor does it collect a note for each task that ends with it."""
    same = OSError("same")
    for _ in range(3):
        task = played(Script(same), steady())
        assert history(task).earlier == ()
        assert len(getattr(same, "__notes__", [""])) == 1


def test_an_exception_that_takes_no_attributes_stays_as_it_is() -> None:
    class Frozen(Exception):
        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("__"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    assert isinstance(played(Script(Frozen()), steady()).exception(), Frozen)


def test_the_history_is_bounded() -> None:
    script = Script(*[OSError(n) for n in range(100)])
    found = history(played(script, steady(max_attempts=100, initial_delay_seconds=0)))
    assert [one.exception.args for one in found.earlier] == [(n,) for n in range(89, 99)]  # type: ignore[union-attr]


def test_nothing_is_kept_of_a_settled_task() -> None:
    """Success, failure, cancellation while it sleeps: handle and exceptions can be collected."""

    async def main() -> List[Any]:
        retry = steady()
        async with TaskManager(retry) as manager:
            tasks = [manager.submit(Script(*ends)) for ends in ((OSError(), 1), (OSError(),), (OSError(),))]
            await asyncio.sleep(0.5)
            tasks[2].cancel()
            for task in tasks:
                await task.wait()
            tasks[1].exception()
            handles = [weakref.ref(task) for task in tasks]
            del task, tasks
            gc.collect()
            return [handle() for handle in handles]

    assert run(main()) == [None, None, None]


class Recurring:
    """A schedule: every task runs again a minute after it has ended, whatever came of it."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.seen: List[Outcome] = []

    @hookimpl
    def atm_again(self, task: Task[Any], outcome: Outcome, now: float) -> Optional[float]:
        self.seen.append(outcome)
        self.left -= 1
        return now + 60 if self.left >= 0 else None


def test_a_schedule_sees_only_the_final_word_and_each_run_has_its_own_attempts() -> None:
    """Wherever it stands in the list."""
    for behind in (False, True):
        script = Script(OSError(), OSError(), OSError(), OSError(), 2, OSError(), 3)
        schedule = Recurring(2)
        retry = steady(max_attempts=3)

        async def main(strategies: List[Any], script: Callable[[], Awaitable[Any]]) -> Any:
            async with TaskManager(strategies) as manager:
                return await manager.submit(script)

        order = [retry, schedule] if behind else [schedule, retry]
        assert run(main(order, script)) == 3
        # Three attempts fail; the next run succeeds at its second, and so does the last.
        assert script.starts == [0, 1, 3, 63, 64, 124, 125]
        assert [one.succeeded for one in schedule.seen] == [False, True, True]


def test_stats_are_true() -> None:
    async def main() -> Tuple[Any, Any]:
        retry = steady()
        async with TaskManager(retry) as manager:
            good, bad = manager.submit(Script(OSError(), 1)), manager.submit(Script(OSError()))
            await asyncio.sleep(0.5)
            amid = retry.stats()
            await good.wait()
            await bad.wait()
            bad.exception()
        return amid, retry.stats()

    assert run(main()) == (
        {"retries": 2, "gave_up": 0, "retrying": 2},
        {"retries": 3, "gave_up": 1, "retrying": 0},
    )
