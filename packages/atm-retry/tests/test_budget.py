"""The budgets: never more retries than they promise, in any window."""

from __future__ import annotations

import threading
from typing import List, Tuple

import pytest
from atm_retry import RetryBudget, RetryStrategy, RetryThrottle
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import SettingError, TaskManager
from atm_core.testing import run


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(
    steps=st.lists(st.tuples(st.floats(0, 1.0), st.booleans()), max_size=200),
    ratio=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0, 2.0]),
    reserve=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)
def test_never_more_retries_than_promised(steps: List[Tuple[float, bool]], ratio: float, reserve: float) -> None:
    """Whenever a retry is granted: those of the last nine tenths of a window, this one included, are paid for by the
    deposits of a whole window and the reserve. So whatever happened before, no burst is larger."""
    budget = RetryBudget(ratio, reserve, ttl_seconds=2)
    now, deposits, withdrawals = 100.0, [], []
    for pause, deposit in steps:
        now += pause
        if deposit:
            budget.deposit(now)
            deposits.append(now)
        if budget.withdraw(now):
            withdrawals.append(now)
            recent = sum(at > now - 1.8 for at in withdrawals)
            paid = sum(at > now - 2.0 for at in deposits) * ratio + reserve * 2
            assert recent <= paid + 1e-6


def test_tenths_add_up() -> None:
    """Ten deposits of a tenth pay for one retry, not for 0.9999 of one."""
    budget = RetryBudget(ratio=0.1, min_per_second=0)
    for _ in range(10):
        assert not budget.withdraw(0.0)
        budget.deposit(0.0)
    assert budget.withdraw(0.0)
    assert not budget.withdraw(0.0)
    budget = RetryBudget(ratio=0.29, min_per_second=0)  # a hundred times 0.29 is less than 29 in floats
    for _ in range(100):
        budget.deposit(0.0)
    assert budget.balance(0.0) == 29
    assert [budget.withdraw(0.0) for _ in range(30)] == [True] * 29 + [False]


def test_the_reserve_comes_back() -> None:
    """A client that sends little has its retries again after the window."""
    budget = RetryBudget(ratio=0, min_per_second=1, ttl_seconds=10)
    assert [budget.withdraw(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert not budget.withdraw(9.99)
    assert budget.balance(10.0) == 10


def test_a_clock_that_was_set_back_forgets() -> None:
    """Another event loop's clock may begin anew: what was is over then."""
    budget = RetryBudget(ratio=1, min_per_second=0)
    budget.deposit(1e6)
    assert budget.balance(1e6) == 1
    assert budget.balance(0.0) == 0
    budget.deposit(0.0)
    assert budget.balance(0.0) == 1


def test_a_clock_that_was_read_a_moment_earlier_forgets_nothing() -> None:
    """Two threads that read the clock in one order and come to the budget in the other."""
    budget = RetryBudget(ratio=1, min_per_second=0)
    budget.deposit(4.01)
    budget.deposit(3.99)
    assert budget.balance(3.99) == budget.balance(4.01) == 2


def test_threads_share_a_budget() -> None:
    """No retry is paid for twice."""
    budget = RetryBudget(ratio=1, min_per_second=0)
    for _ in range(1000):
        budget.deposit(0.0)
    granted: List[bool] = []

    def take() -> None:
        granted.extend([budget.withdraw(0.0) for _ in range(500)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 1000


def test_managers_share_a_budget() -> None:
    """Half a retry a task: of 20 tasks that fail in two managers, ten attempts are made again."""

    async def main() -> int:
        budget = RetryBudget(ratio=0.5, min_per_second=0)
        attempts = 0

        async def work() -> None:
            nonlocal attempts
            attempts += 1
            raise OSError

        one, two = (TaskManager(RetryStrategy(2, budget=budget)) for _ in range(2))
        async with one, two:
            tasks = [manager.submit(work) for manager in (one, two) for _ in range(10)]
        reasons = [task.exception().retry_history.reason for task in tasks]  # type: ignore[union-attr]
        assert reasons.count("the retry budget is used up") == 10
        return attempts

    assert run(main()) == 30


def test_only_first_attempts_deposit() -> None:
    """One task, one deposit, one retry; otherwise each retry would pay for the next."""

    async def main() -> int:
        async def work() -> None:
            raise OSError

        async with TaskManager(RetryStrategy(10, budget={"ratio": 1, "min_per_second": 0})) as manager:
            task = manager.submit(work)
        task.exception()
        return task.attempts

    assert run(main()) == 2


def test_a_throttle_stops_retries_until_things_work_again() -> None:
    """Ten tokens: five failures in a row leave half of them, and no task is retried until successes outweigh those."""

    async def main() -> List[int]:
        throttle = RetryThrottle(max_tokens=10, token_ratio=1.0)
        works = False

        async def work() -> None:
            if not works:
                raise OSError

        attempts = []
        async with TaskManager(RetryStrategy(10, budget=throttle)) as manager:
            for works in (False, False, True, True, False):
                task = manager.submit(work)
                await task.wait()
                attempts.append(task.attempts)
                if not works:
                    task.exception()
            tokens = throttle.tokens
            return [*attempts, int(tokens)] if tokens == int(tokens) else []

    assert run(main()) == [5, 1, 1, 1, 1, 5]


def test_a_success_never_fills_it_above_the_top() -> None:
    throttle = RetryThrottle(max_tokens=1, token_ratio=0.5)
    assert throttle.withdraw(0.0)
    throttle.ended(True, False, 0.0)
    assert throttle.tokens == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"ratio": -0.1},
        {"ratio": 1001},
        {"min_per_second": -1},
        {"ttl_seconds": 0.5},
        {"ttl_seconds": 61},
        {"ratio": "0.2"},
        {"retio": 0.2},
        {"max_tokens": 0},
        {"max_tokens": 1001},
        {"max_tokens": 10, "token_ratio": 0},
    ],
)
def test_a_wrong_budget_is_named(settings: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(SettingError, match=f"budget must hold parameters of .*{list(settings)[-1]}"):
        RetryStrategy(budget=settings)


def test_budgets_show_their_settings() -> None:
    assert repr(RetryBudget()) == "RetryBudget(ratio=0.2, min_per_second=10, ttl_seconds=10)"
    assert repr(RetryThrottle()) == "RetryThrottle(max_tokens=10, token_ratio=0.1)"
