"""What any window may hold: for each algorithm the promise holds in random runs, and its worst case can be reached."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any, Dict, List, Sequence, Tuple

import pytest
from atm_sliding_window import SlidingWindowStrategy
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import Task

SETTINGS: List[Tuple[Dict[str, Any], int]] = [  # and what a window of any place may hold
    ({"max_requests": 4, "window_seconds": 1.0}, 4),
    ({"max_requests": 3, "window_seconds": 0.1}, 3),
    ({"max_requests": 3, "window_seconds": 0.1, "algorithm": "gcra", "burst": 1}, 3),
    ({"max_requests": 7, "window_seconds": 0.3, "algorithm": "gcra", "burst": 4}, 10),
    ({"max_requests": 4, "window_seconds": 1.0, "algorithm": "gcra"}, 7),
    ({"max_requests": 4, "window_seconds": 1.0, "algorithm": "counter"}, 8),
    ({"max_requests": 7, "window_seconds": 0.3, "algorithm": "counter"}, 14),
]


async def nothing() -> None:
    pass


def most_in_any_window(starts: Sequence[Tuple[float, float]], window_seconds: float) -> Fraction:
    """The largest sum of costs in any half-open window, in exact arithmetic."""
    largest, first, inside = Fraction(0), 0, Fraction(0)
    for at, cost in starts:
        inside += Fraction(cost)
        while Fraction(at) - Fraction(starts[first][0]) >= Fraction(window_seconds):
            inside -= Fraction(starts[first][1])
            first += 1
        largest = max(largest, inside)
    return largest


class Driver:
    """Drives the hooks as the scheduler does, but decides when a first step runs and which tasks never get to it."""

    def __init__(self, strategy: SlidingWindowStrategy, now: float) -> None:
        self.strategy = strategy
        self.now = now
        self.begun: List[Tuple[float, float]] = []
        self.unbegun: List[Task[Any]] = []

    def ask(self, cost: float = 1, key: Any = None) -> float:
        """Start a task if it may; when it may otherwise."""
        task: Task[Any] = Task(nothing, {"cost": cost, "key": key})
        at = self.strategy.atm_ready_at(task, self.now)
        assert at == self.strategy.atm_ready_at(task, self.now), "asking changed the answer"
        if at <= self.now:
            self.strategy.atm_started(task)
            self.unbegun.append(task)
        return at

    def begin(self) -> None:
        """The first step of what was started first."""
        if self.unbegun:
            task = self.unbegun.pop(0)
            self.strategy.atm_began(task, self.now)
            self.begun.append((self.now, task.metadata["cost"]))
            self.strategy.atm_finished(task)

    def cancel(self) -> None:
        """What was started last never gets to its first step."""
        if self.unbegun:
            self.strategy.atm_finished(self.unbegun.pop())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0.0, 0.2)),
        st.tuples(st.just("until"), st.integers(1, 3)),
        st.tuples(st.just("ask"), st.integers(1, 3)),
        st.tuples(st.just("begin"), st.integers(1, 8)),
        st.tuples(st.just("cancel"), st.just(1)),
    ),
    max_size=120,
)


@pytest.mark.parametrize(("options", "most"), SETTINGS, ids=str)
@pytest.mark.parametrize("costs", [False, True], ids=["", "costs"])
@settings(max_examples=60, derandomize=True, deadline=None)
@given(steps=STEPS, origin=st.floats(0.0, 1e7))
def test_no_window_holds_more(
    steps: List[Tuple[str, Any]], origin: float, options: Dict[str, Any], most: int, costs: bool
) -> None:
    """Whatever is asked, begins late or is cancelled before it begins: in exact arithmetic no window holds more."""
    strategy = SlidingWindowStrategy(cost="cost" if costs else None, **options)
    driver = Driver(strategy, origin)
    burst = options.get("burst", options["max_requests"])
    for step, value in steps:
        cost = min(value, burst) if costs and step in ("ask", "until") else 1
        if step == "pass":
            driver.now += value
        elif step == "until":
            driver.now = max(driver.now, driver.ask(cost))
            driver.ask(cost)
        elif step == "ask":
            driver.ask(cost)
        elif step == "begin":
            for _ in range(value):
                driver.begin()
        else:
            driver.cancel()
    while driver.unbegun:
        driver.begin()
    assert most_in_any_window(driver.begun, options["window_seconds"]) <= most
    assert not strategy._reserved
    assert not strategy._unbegun


@pytest.mark.parametrize(("options", "most"), SETTINGS, ids=str)
def test_the_worst_case_is_no_exaggeration(options: Dict[str, Any], most: int) -> None:
    """Tasks that come just before the turn of a window, and then as soon as they may: a window is as full as said."""
    window = options["window_seconds"]
    driver = Driver(SlidingWindowStrategy(**options), 10 * window - 1e-6 * window)
    for _ in range(4 * options["max_requests"]):
        driver.now = max(driver.now, driver.ask())
        if not driver.unbegun:
            driver.ask()
        driver.begin()
    assert most_in_any_window(driver.begun, window) == most


@pytest.mark.parametrize(("options", "most"), SETTINGS, ids=str)
def test_in_the_long_run_each_gives_the_whole_rate(options: Dict[str, Any], most: int) -> None:
    """With tasks always at hand, ``max_requests`` start per window, and each at exactly the time that was named."""
    driver = Driver(SlidingWindowStrategy(**options), 0.0)
    n = 100 * options["max_requests"]
    for _ in range(n):
        at = driver.ask()
        if not driver.unbegun:
            driver.now = at
            assert driver.ask() <= at
        driver.begin()
    assert math.isclose(driver.now, (n - most) * options["window_seconds"] / options["max_requests"], rel_tol=0.02)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(gaps=st.lists(st.floats(0.0, 0.7), min_size=20, max_size=60), n=st.integers(1, 6), origin=st.floats(0.0, 1e6))
def test_the_log_makes_nobody_wait_longer_than_needed(gaps: List[float], n: int, origin: float) -> None:
    """The named time is the first one at which a window has room: one float earlier, it would not have had."""
    driver = Driver(SlidingWindowStrategy(n, 1.0), origin)
    for gap in gaps:
        driver.now += gap
        at = driver.ask()
        if at > driver.now:
            at_most_two_floats = math.ldexp(1.0, math.frexp(at)[1] - 52)
            assert Fraction(at) - Fraction(driver.begun[-n][0]) >= 1
            assert Fraction(at - at_most_two_floats) - Fraction(driver.begun[-n][0]) < 1
            driver.now = at
            driver.ask()
        driver.begin()


def test_a_start_exactly_one_window_later_is_outside() -> None:
    """The window is half open."""
    driver = Driver(SlidingWindowStrategy(1, 2.0), 1.0)
    driver.ask()
    driver.begin()
    assert driver.ask() == 3.0
    driver.now = 3.0
    assert driver.ask() == 3.0


@pytest.mark.parametrize("now", [0.0, 0.1, 12346.7, 1.7e9])
@pytest.mark.parametrize(("n", "window", "burst"), [(3, 1.0, 3), (2, 0.1, 2), (7, 0.3, 4), (30, 60.0, 50), (1, 0.7, 9)])
def test_a_whole_burst_starts_at_once(n: int, window: float, burst: int, now: float) -> None:
    """Whatever the interval is as a float: so many at the same instant, and ``remaining`` counts down one by one."""
    driver = Driver(SlidingWindowStrategy(n, window, algorithm="gcra", burst=burst), now)
    for left in reversed(range(burst)):
        assert driver.ask() <= now
        driver.begin()
        assert driver.strategy.remaining(None, now) == left
    assert driver.ask() == pytest.approx(now + window / n)


def test_a_window_with_fractions_of_cost_holds_less_than_a_burst_more() -> None:
    """By the smallest cost: here by 0.5, which is 0.5 more than with whole costs."""
    driver = Driver(SlidingWindowStrategy(4, 1.0, algorithm="gcra", burst=2, cost="cost"), 0.0)
    for _ in range(40):
        driver.now = max(driver.now, driver.ask(0.5))
        if not driver.unbegun:
            driver.ask(0.5)
        driver.begin()
    assert most_in_any_window(driver.begun, 1.0) == 5.5


@pytest.mark.parametrize("n", [sys.maxsize, 10**400], ids=["maxsize", "beyond floats"])
@pytest.mark.parametrize("algorithm", ["log", "counter", "gcra"])
def test_a_limit_that_is_none(algorithm: str, n: int) -> None:
    """As many as anyone can count: nothing waits, and nothing overflows."""
    driver = Driver(SlidingWindowStrategy(n, 1.0, algorithm=algorithm), 0.5)
    for _ in range(3):
        assert driver.ask() <= 0.5
        driver.begin()
    assert driver.strategy.remaining(None, 0.5) == n - 3


def test_starts_that_have_not_begun_count() -> None:
    """Decided in one turn, begun a later one: their places are taken at once, their time is that of the first step."""
    driver = Driver(SlidingWindowStrategy(2, 1.0), 0.0)
    assert [driver.ask() for _ in range(3)] == [0.0, 0.0, 1.0]
    driver.now = 0.5
    driver.begin()
    driver.begin()
    assert driver.ask() == 1.5


def test_a_counter_foresees_what_has_not_begun() -> None:
    """Three are about to begin: in the next window, all of them have to leave for a cost of 3."""
    driver = Driver(SlidingWindowStrategy(3, 1.0, algorithm="counter", cost="cost"), 0.5)
    assert driver.ask(3) <= 0.5
    assert driver.ask(3) == pytest.approx(1 + 2 / 3)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(gaps=st.lists(st.floats(0.0, 0.4), min_size=60, max_size=120))
def test_a_log_with_costs_of_one_is_the_plain_log(gaps: List[float]) -> None:
    """The same answers and the same rest at every step, also after what has left was swept out."""
    plain, weighted = (
        Driver(SlidingWindowStrategy(6, 1.0), 0.0),
        Driver(SlidingWindowStrategy(6, 1.0, cost="cost"), 0.0),
    )
    for gap in gaps:
        plain.now = weighted.now = plain.now + gap
        assert max(plain.ask(), plain.now) == max(weighted.ask(), weighted.now)
        plain.begin()
        weighted.begin()
        assert plain.strategy.remaining(None, plain.now) == weighted.strategy.remaining(None, plain.now)


@pytest.mark.parametrize("algorithm", ["log", "counter", "gcra"])
def test_costs_of_next_to_nothing_are_given_back(algorithm: str) -> None:
    """Also where the rest of a sum is no more than rounding: each has its first step, or none, and is counted."""
    driver = Driver(SlidingWindowStrategy(1, 1.0, algorithm=algorithm, cost="cost"), 0.0)
    for _ in range(3):
        assert driver.ask(1e-10) == 0.0
    driver.begin()
    driver.cancel()
    driver.begin()
    assert driver.strategy.remaining(None, 0.0) < 1
    assert not driver.strategy._reserved


@pytest.mark.parametrize("algorithm", ["log", "counter", "gcra"])
def test_whole_costs_as_floats_are_whole(algorithm: str) -> None:
    """As JSON may have them: the same times as with integers, to the digit."""
    whole, floats = [Driver(SlidingWindowStrategy(7, 0.1, algorithm=algorithm, cost="cost"), 12346.7) for _ in range(2)]
    for n in range(200):
        asked = [driver.ask(kind(1 + n % 3)) for driver, kind in ((whole, int), (floats, float))]
        assert asked[0] == asked[1]
        whole.now = floats.now = max(whole.now, asked[0])
        whole.begin()
        floats.begin()


def test_a_counter_lets_fractions_of_cost_add_up() -> None:
    """0.2 + 0.4 is a little more than 0.6, and 0.4 fits all the same: nobody waits a window for a rounded sum."""
    driver = Driver(SlidingWindowStrategy(1, 1.0, algorithm="counter", cost="cost"), 0.0)
    for _ in range(2):
        for cost in (0.2, 0.4, 0.4):
            assert driver.ask(cost) == driver.now
            driver.begin()
        assert driver.ask(0.1) > driver.now
        driver.now += 2.0


def test_fractions_of_cost_add_up() -> None:
    """Ten tenths fit into one, and leave nothing behind."""
    strategy = SlidingWindowStrategy(1, 1.0, cost="cost")
    driver = Driver(strategy, 0.0)
    for cost in (0.1, 0.7, 0.2):
        assert driver.ask(cost) == 0.0
    assert driver.ask(0.1) > 0.0
    for _ in range(3):
        driver.begin()
    assert not strategy._reserved, "0.1 + 0.7 + 0.2 - 0.1 - 0.7 - 0.2 is not 0"
    driver.now = 1.0
    for _ in range(10):
        assert driver.ask(0.1) == 1.0
    for _ in range(10):
        driver.begin()
    assert driver.ask(0.1) == 2.0
    driver.now = 2.0
    assert driver.ask(1) == 2.0
