"""One breaker, told what happens and when: its rules, and a model that does the same by hand."""

from __future__ import annotations

import math
import random
from typing import Any, Dict, List, Optional, Tuple

import pytest
from atm_circuit_breaker import State
from atm_circuit_breaker._breaker import Breaker, Rules, Verdict
from atm_circuit_breaker._refusal import refusal
from atm_circuit_breaker._windows import CountWindow, TimeWindow
from hypothesis import given, settings
from hypothesis import strategies as st

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
VERDICTS = {"S": Verdict.SUCCESS, "F": Verdict.FAILURE, "-": Verdict.NOTHING}


def rules(**changed: Any) -> Rules:
    settings: Dict[str, Any] = {
        "window": lambda: CountWindow(4),
        "minimum_calls": 2,
        "failure_rate": 0.5,
        "slow_rate": 1.0,
        "consecutive_failures": None,
        "open_seconds": 10.0,
        "open_multiplier": 2.0,
        "max_open_seconds": 30.0,
        "max_probes": 2,
        "probe_seconds": 5.0,
    }
    return Rules(**{**settings, **changed})


def breaker(**changed: Any) -> Breaker:
    return Breaker("key", rules(**changed), lambda *change: None)


def call(one: Breaker, letter: str, now: float, slow: bool = False) -> State:
    attempt = object()
    one.end(attempt, one.start(attempt, now), VERDICTS[letter], now, slow=slow)
    return one.state_at(now)


def opened(at: float = 0.0, **changed: Any) -> Breaker:
    one = breaker(**changed)
    call(one, "F", at)
    assert call(one, "F", at) is OPEN
    return one


def test_it_opens_at_the_threshold_and_not_before_the_minimum() -> None:
    one = breaker(minimum_calls=4)
    assert [call(one, letter, 0.0) for letter in "FFFS"] == [CLOSED, CLOSED, CLOSED, OPEN]
    one = breaker(window=lambda: CountWindow(100), minimum_calls=100, failure_rate=0.07)
    assert {call(one, letter, 0.0) for letter in "F" * 6 + "S" * 93} == {CLOSED}
    assert call(one, "F", 0.0) is OPEN  # 7 of 100, which are less than 0.07 * 100 in floats


def test_it_opens_at_so_many_in_a_row_however_few_the_calls() -> None:
    one = breaker(minimum_calls=1000, consecutive_failures=3)
    assert [call(one, letter, 0.0) for letter in "FFSFF-F"] == [CLOSED] * 6 + [OPEN]


def test_slow_calls_open_it_too() -> None:
    one = breaker(slow_rate=0.5)
    call(one, "S", 0.0)
    assert call(one, "S", 0.0, slow=True) is OPEN


def test_ready_at_is_exactly_the_end_of_the_opening() -> None:
    one = opened(1.0)
    assert one.ready_at(1.0) == one.ready_at(10.999) == 11.0
    assert one.ready_at(11.0) == 11.0
    assert (one.state_at(10.999), one.state_at(11.0)) == (OPEN, HALF_OPEN)


def test_openings_in_a_row_last_longer_up_to_the_maximum() -> None:
    one, now, lasted = breaker(), 0.0, []
    for _ in range(2000):
        while one.state_at(now) is not OPEN:
            call(one, "F", now)
        lasted.append(one.ready_at(now) - now)
        now = one.ready_at(now)
    assert lasted[:4] == [10.0, 20.0, 30.0, 30.0]
    assert set(lasted[4:]) == {30.0}  # without an overflow at the 1024th
    for letter in "SS":
        call(one, letter, now)
    assert (one.state_at(now), one.openings) == (CLOSED, 0)


def test_the_maximum_does_not_shorten_the_first_opening() -> None:
    assert opened(open_seconds=100.0).ready_at(0.0) == 100.0


def test_half_open_decides_after_exactly_the_permitted_calls() -> None:
    for letters, end in (("SS", CLOSED), ("SF", OPEN), ("FS", OPEN), ("FF", OPEN)):
        one = opened()
        assert call(one, letters[0], 10.0) is HALF_OPEN
        assert call(one, letters[1], 10.0) is end


def test_a_run_of_failures_among_the_probes_opens_it_at_the_decision() -> None:
    one = opened(consecutive_failures=2, max_probes=5, failure_rate=0.5, minimum_calls=2)
    assert [call(one, letter, 10.0) for letter in "FFSSS"] == [HALF_OPEN] * 4 + [OPEN]


def test_cancelled_and_ignored_probes_return_their_permit() -> None:
    one = opened()
    first, second = object(), object()
    generation = one.start(first, 10.0)
    one.start(second, 10.0)
    assert one.ready_at(10.0) > 10.0
    one.end(first, generation, Verdict.NOTHING, 11.0)
    assert one.ready_at(11.0) == 11.0


def test_an_attempt_of_an_earlier_state_does_not_count() -> None:
    """Neither as a probe, nor in the window of the next time it is closed."""
    one = breaker()
    late = [object() for _ in range(6)]
    generations = [one.start(attempt, 0.0) for attempt in late]
    for letter in "FF":
        call(one, letter, 0.0)
    one.end(late[0], generations[0], Verdict.SUCCESS, 1.0)  # while open
    assert one.state_at(1.0) is OPEN
    assert one.snapshot(1.0).calls == 2
    call(one, "S", 10.0)
    one.end(late[1], generations[1], Verdict.FAILURE, 10.0)  # while half-open
    assert one.state_at(10.0) is HALF_OPEN
    assert call(one, "S", 10.0) is CLOSED
    for attempt, generation in zip(late[2:], generations[2:]):  # while closed again
        one.end(attempt, generation, Verdict.FAILURE, 11.0)
    assert (one.state_at(11.0), one.snapshot(11.0).calls, one.running) == (CLOSED, 0, 0)


def test_a_probe_that_hangs_opens_it_again() -> None:
    """From its own time-out on, and for longer, as it is one more opening in a row."""
    one = opened()
    generation = one.start("hangs", 10.0)
    call(one, "S", 12.0)
    assert one.ready_at(12.0) == 35.0  # all probes are used: the time-out at 15, then 20 seconds
    assert (one.state_at(14.9), one.state_at(15.0), one.state_at(35.0)) == (HALF_OPEN, OPEN, HALF_OPEN)
    assert one.ready_at(36.0) == 36.0
    assert call(one, "S", 36.0) is HALF_OPEN
    one.end("hangs", generation, Verdict.FAILURE, 36.0)
    assert call(one, "S", 36.0) is CLOSED


def test_without_probes_half_open_lasts() -> None:
    one = opened()
    call(one, "S", 10.0)
    assert one.state_at(1e9) is HALF_OPEN
    assert call(one, "S", 1e9) is CLOSED


def test_opening_it_again_puts_off_the_end_and_is_no_change() -> None:
    changes: List[Any] = []
    one = Breaker("key", rules(), lambda *change: changes.append(change))
    for now in (0.0, 5.0):
        one.open(now)
    assert one.ready_at(5.0) == 15.0
    assert changes == [("key", CLOSED, OPEN)]
    assert one.openings == 1


def test_closing_forgets_what_was() -> None:
    one = opened()
    attempt = object()
    generation = one.start(attempt, 10.0)
    one.end(attempt, generation, Verdict.FAILURE, 10.0, failure=OSError("probe"))
    assert repr(one.last_failure) == "OSError('probe')"
    one.close()
    assert (one.last_failure, one.openings, one.snapshot(10.0).calls) == (None, 0, 0)


class _Answer(Exception):
    """As HTTP clients write them: its constructor takes other arguments than it passes on."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status


class _Wordy(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(f"failed: {text}")


class _Odd(Exception):
    def __new__(cls, *, needed: int) -> _Odd:
        return super().__new__(cls)

    def __init__(self, *, needed: int) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        (_Answer(503, "busy"), "_Answer('503 busy')"),
        (_Wordy("down"), "_Wordy('failed: down')"),
        (FileNotFoundError(2, "gone", "x"), "FileNotFoundError(2, 'gone')"),
        (_Odd(needed=1), "None"),  # cannot be copied
    ],
)
def test_the_last_failure_is_a_copy_without_traceback(failure: Exception, shown: str) -> None:
    one, attempt = breaker(), object()
    try:
        raise failure
    except Exception as error:
        one.end(attempt, one.start(attempt, 0.0), Verdict.FAILURE, 0.0, failure=error)
    kept = one.last_failure
    assert (repr(kept), one.snapshot(0.0).failures) == (shown, 1)
    assert getattr(kept, "__traceback__", None) is None
    assert getattr(kept, "__dict__", {}) == (failure.__dict__ if kept is not None else {})


def test_the_time_told_is_never_a_rounding_error_too_short() -> None:
    """``now + (until - now)`` may be less than ``until``."""
    drawn, found = random.Random(1), 0
    for _ in range(5000):
        one = breaker(open_seconds=drawn.uniform(0.1, 100))
        later = drawn.uniform(0, 100)
        one.open(later)
        later += drawn.uniform(0, 0.1)
        until = one.ready_at(later)
        found += later + (until - later) < until
        told = refusal(one, later).retry_after
        assert told is not None and until <= later + told <= until * (1 + 1e-15)
    assert found


def test_the_snapshot_says_what_it_judges_by() -> None:
    one = breaker()
    assert one.snapshot(0.0) == (CLOSED, 0, 0, 0, 0, None, None, 0)
    call(one, "F", 0.0)
    assert one.snapshot(0.0) == (CLOSED, 1, 1, 0, 1, None, None, 0)
    call(one, "S", 0.0, slow=True)
    assert one.snapshot(0.0) == (OPEN, 2, 1, 1, 0, 0.5, 0.5, 1)
    assert one.snapshot(10.0) == (HALF_OPEN, 0, 0, 0, 0, None, None, 1)
    call(one, "S", 10.0)
    assert one.snapshot(10.0) == (HALF_OPEN, 1, 0, 0, 0, None, None, 1)


# Windows.


class SlowCount:
    """A window of calls, by the book."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.all: List[Tuple[bool, bool]] = []

    def totals(self) -> Tuple[int, int, int]:
        kept = self.all[-self.size :]
        return len(kept), sum(failed for failed, _ in kept), sum(slow for _, slow in kept)


@settings(derandomize=True, database=None, deadline=None, max_examples=80)
@given(size=st.integers(1, 7), calls=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_a_window_of_calls_holds_the_last_ones(size: int, calls: List[Tuple[bool, bool]]) -> None:
    window, model = CountWindow(size), SlowCount(size)
    for failed, slow in calls:
        window.record(failed, slow, 0.0)
        model.all.append((failed, slow))
        assert (window.calls, window.failures, window.slow) == model.totals()


@settings(derandomize=True, database=None, deadline=None, max_examples=80)
@given(
    size=st.sampled_from([0.5, 1.0, 7.0, 20.0, 300.0, 3000.0]),
    steps=st.lists(st.tuples(st.floats(0, 0.7), st.booleans()), max_size=60),
)
def test_a_window_of_seconds_holds_the_last_ones(size: float, steps: List[Tuple[float, bool]]) -> None:
    """All calls of the window less a slice, and none from before it; never more than 300 slices."""
    window, now = TimeWindow(size), 1000.0
    all_calls: List[Tuple[float, bool]] = []
    for part, failed in steps:
        now += part * size
        window.record(failed, False, now)
        all_calls.append((now, failed))
        certain = sum(at > now - size + window._seconds for at, _ in all_calls)
        possible = sum(at > now - size - 1e-6 for at, _ in all_calls)
        assert certain <= window.calls <= possible
        assert window.failures <= window.calls
        assert len(window._slices) <= 300
    window.slide(now + size)
    assert (window.calls, window.failures, window.slow) == (0, 0, 0)


def test_a_clock_that_was_set_back_empties_the_window() -> None:
    window = TimeWindow(10.0)
    window.record(True, True, 1e6)
    window.record(False, False, 0.0)
    assert (window.calls, window.failures, window.slow) == (1, 0, 0)


# A model of the whole: every event is kept, and every question answered from them.


class Model:
    """The definitions, written down without regard to cost."""

    def __init__(self, given: Rules) -> None:
        self.rules = given
        self.state = CLOSED
        self.until = -math.inf
        self.generation = 0
        self.openings = 0
        self.calls: List[str] = []
        self.probes: Dict[int, float] = {}

    def advance(self, now: float) -> None:
        if self.state is HALF_OPEN and self.probes:
            deadline = min(self.probes.values()) + self.rules.probe_seconds
            if now >= deadline:
                self.open(deadline)
        if self.state is OPEN and now >= self.until:
            self.enter(HALF_OPEN)

    def enter(self, state: State) -> None:
        self.state = state
        self.generation += 1
        self.calls, self.probes = [], {}

    def open(self, now: float) -> None:
        self.openings += 1
        self.enter(OPEN)
        self.until = now + min(10.0 * 2.0 ** (self.openings - 1), 30.0)

    def may_start(self, now: float) -> bool:
        self.advance(now)
        if self.state is HALF_OPEN:
            return len(self.probes) + len(self.calls) < self.rules.max_probes
        return self.state is CLOSED

    def start(self, attempt: int, now: float) -> int:
        self.advance(now)
        if self.state is HALF_OPEN:
            self.probes[attempt] = now
        return self.generation

    def end(self, attempt: int, generation: int, letter: str, now: float) -> None:
        self.advance(now)
        if generation != self.generation:
            return
        self.probes.pop(attempt, None)
        if letter == "-":
            return
        self.calls.append(letter)
        if self.state is CLOSED:
            kept = self.calls[-4:]
            if len(kept) >= 2 and kept.count("F") / len(kept) >= 0.5:
                self.open(now)
        elif len(self.calls) == self.rules.max_probes:
            if self.calls.count("F") / len(self.calls) >= 0.5:
                self.open(now)
            else:
                self.enter(CLOSED)
                self.openings = 0


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 2.0, 5.0, 10.0, 31.0]), st.sampled_from("bbbSSFF-"), st.integers(0, 5)),
        max_size=60,
    )
)
def test_it_does_what_the_definitions_say(steps: List[Tuple[float, str, int]]) -> None:
    """Begins, ends in any order, and pauses at random: state, permits and counts agree with a model at every step."""
    one, model, now = breaker(), Model(rules()), 0.0
    running: List[Tuple[int, int, int]] = []
    for n, (pause, what, which) in enumerate(steps):
        now += pause
        allowed = one.ready_at(now) <= now
        assert allowed == model.may_start(now)
        assert one.state_at(now) is model.state
        if what == "b" and allowed:
            running.append((n, one.start(n, now), model.start(n, now)))
        elif what != "b" and running:
            attempt, ours, theirs = running.pop(which % len(running))
            one.end(attempt, ours, VERDICTS[what], now)
            model.end(attempt, theirs, what, now)
        assert one.state_at(now) is model.state
        assert one.running == len(running)


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(steps=st.lists(st.tuples(st.floats(0, 20), st.sampled_from("bSF-")), max_size=40))
def test_ready_at_keeps_its_word(steps: List[Tuple[float, str]]) -> None:
    """If nothing happens until the time it names, a start is possible then, and not a moment before."""
    one, now = breaker(), 0.0
    running: List[Tuple[int, int]] = []
    for n, (pause, what) in enumerate(steps):
        now += pause
        at: Optional[float] = one.ready_at(now)
        assert at is not None and now <= at < math.inf
        assert one.ready_at(at) == at
        if at > now:
            assert one.ready_at(at - (at - now) * 1e-6) > at - (at - now) * 1e-6
        if what == "b" and at == now:
            running.append((n, one.start(n, now)))
        elif what != "b" and running:
            attempt, generation = running.pop(0)
            one.end(attempt, generation, VERDICTS[what], now)


@pytest.mark.parametrize("letter", ["S", "F"])
def test_what_may_be_forgotten(letter: str) -> None:
    """A clean one when it was unused for open_seconds, one with failures after an hour, both at once in a crowd;
    what is open or in use never."""
    one = breaker()
    attempt = object()
    generation = one.start(attempt, 0.0)
    assert not one.forgettable(1e9, crowded=True)
    one.end(attempt, generation, VERDICTS[letter], 0.0)
    assert one.forgettable(0.0, crowded=True)
    assert one.forgettable(10.0, crowded=False) is (letter == "S")
    assert one.forgettable(3600.0, crowded=False)
    one.open(0.0)
    assert not one.forgettable(9.9, crowded=True)
    assert one.forgettable(10.0, crowded=True)
