"""Backoff and jitter: the curves, the caps, and that clients do not meet."""

from __future__ import annotations

import math
import random
from typing import Any, List

import pytest
from atm_retry import RetryStrategy
from atm_retry._delays import Delays
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import HookError, SettingError, TaskManager
from atm_core.testing import run

RANDOM_JITTERS: List[Any] = ["full", "equal", "decorrelated", "smooth", 0.25, 1.0]


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(
    jitter=st.sampled_from([*RANDOM_JITTERS, "none", 0.0]),
    initial=st.floats(0, 1e6),
    most=st.floats(1e-3, 1e6),
    multiplier=st.floats(1, 100),
    seed=st.integers(0, 1000),
)
def test_a_delay_is_never_negative_and_never_above_the_cap(
    jitter: Any, initial: float, most: float, multiplier: float, seed: int
) -> None:
    """Whatever the settings, for every attempt up to the ten thousandth."""
    drawn = Delays("exponential", initial, most, multiplier, jitter, random.Random(seed).random)
    memory = None
    for attempt in [*range(1, 50), 1024, 1025, 10_000]:
        delay, memory = drawn.after(attempt, memory)
        assert 0 <= delay <= most


@pytest.mark.parametrize("jitter", RANDOM_JITTERS)
def test_clients_at_the_cap_do_not_meet(jitter: Any) -> None:
    """Of a hundred clients that have reached the cap, no two wait equally long."""
    delays = Delays("exponential", 0.1, 30.0, 2.0, jitter, random.Random(1).random)
    found = {delays.after(20, 30.0)[0] for _ in range(100)}
    assert len(found) == 100


def test_decorrelated_remembers_the_previous_delay_of_each_task() -> None:
    """Two tasks in turns: neither sees the other's delays."""
    delays = Delays("exponential", 1.0, 1e9, 2.0, "decorrelated", lambda: 1.0)
    first, second = (delays.after(1, None)[1] for _ in range(2))
    assert delays.after(2, first) == (9.0, 9.0)
    assert delays.after(2, second) == (9.0, 9.0)


def test_no_delay_stays_none_at_any_attempt() -> None:
    """Not even where the power has left the floats: nothing times infinity is no number."""
    assert Delays("exponential", 0.0, 30.0, 2.0, "none", lambda: 0.0).after(10_000, None)[0] == 0.0


def test_an_initial_delay_above_the_cap_is_capped() -> None:
    for jitter in ("none", "full", "equal", "decorrelated", "smooth", 0.5):
        assert Delays("constant", 10.0, 1.0, 2.0, jitter, lambda: 0.999).after(1, None)[0] <= 1.0


def test_the_smooth_curve_is_drawn_inside_the_cap_when_it_has_left_the_floats() -> None:
    delays = Delays("exponential", 1.0, 10.0, 2.0, "smooth", lambda: 0.5)
    delay, memory = delays.after(2000, None)
    assert (delay, memory) == (7.5, math.inf)
    assert delays.after(2001, memory)[0] == 7.5


def test_a_function_gives_the_delay() -> None:
    """With cap and jitter on top; its argument counts from 1."""
    asked: List[int] = []

    def backoff(attempt: int) -> float:
        asked.append(attempt)
        return attempt * 10

    delays = Delays(backoff, 0.1, 25.0, 2.0, "equal", lambda: 0.0)
    assert [delays.after(n, None)[0] for n in (1, 2, 3)] == [5.0, 10.0, 12.5]
    assert asked == [1, 2, 3]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), (None, TypeError), (True, TypeError)],
)
def test_a_function_that_answers_no_delay_is_named(answer: Any, kind: type) -> None:
    """The task fails with an error that names plugin and hook, caused by one that shows the answer."""

    async def main() -> HookError:
        async def work() -> None:
            raise OSError

        async with TaskManager(RetryStrategy(backoff=lambda n: answer)) as manager:
            task = manager.submit(work)
        error = task.exception()
        assert isinstance(error, HookError)
        return error

    error = run(main())
    assert (error.plugin, error.hook) == ("retry", "atm_again")
    assert isinstance(error.__cause__, kind)
    assert repr(answer) in str(error)


@pytest.mark.parametrize("jitter", ["decorrelated", "smooth"])
def test_jitter_that_grows_needs_the_exponential_backoff(jitter: str) -> None:
    for backoff in ("linear", "constant", lambda n: 1.0):
        with pytest.raises(SettingError, match="backoff must be 'exponential'"):
            RetryStrategy(backoff=backoff, jitter=jitter)


def test_a_seed_repeats_the_delays() -> None:
    def drawn(seed: Any) -> List[float]:
        delays = RetryStrategy(seed=seed)._delays
        return [delays.after(n, None)[0] for n in range(1, 6)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert drawn(None) != drawn(None)
