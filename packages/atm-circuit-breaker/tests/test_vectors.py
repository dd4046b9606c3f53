"""The numbers of gobreaker, resilience4j, Polly and failsafe-go."""

from __future__ import annotations

import json
import pathlib
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from atm_circuit_breaker import CircuitBreakerStrategy, State
from atm_circuit_breaker._breaker import Breaker, Rules, Verdict
from atm_circuit_breaker._windows import CountWindow, TimeWindow

from atm_core import SettingError

_FILE = pathlib.Path(__file__).parent / "vectors" / "circuitbreaker.json"
VECTORS: List[Dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))["vectors"]
CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class Driven:
    """A breaker with a clock. Calls are letters: S succeeds, E or F fails, everything else does not count."""

    def __init__(self, **rules: Any) -> None:
        settings: Dict[str, Any] = {
            "window": lambda: CountWindow(100),
            "minimum_calls": 10**9,
            "failure_rate": 1.0,
            "slow_rate": 1.0,
            "consecutive_failures": None,
            "open_seconds": 60.0,
            "open_multiplier": 1.0,
            "max_open_seconds": 3600.0,
            "max_probes": 1,
            "probe_seconds": 3600.0,
        }
        self.now = 0.0
        self.slow_seconds = float("inf")
        self.changes: List[Tuple[State, State]] = []
        self.rules = Rules(**{**settings, **rules})
        self.breaker = Breaker(None, self.rules, lambda key, before, after: self.changes.append((before, after)))

    @property
    def state(self) -> State:
        return self.breaker.state_at(self.now)

    def permitted(self) -> bool:
        return self.breaker.ready_at(self.now) <= self.now

    def start(self) -> Tuple[object, int]:
        assert self.permitted()
        attempt = object()
        return attempt, self.breaker.start(attempt, self.now)

    def end(self, started: Tuple[object, int], letter: str, seconds: float = 0.0) -> State:
        verdict = {"S": Verdict.SUCCESS, "E": Verdict.FAILURE, "F": Verdict.FAILURE}.get(letter, Verdict.NOTHING)
        self.breaker.end(*started, verdict, self.now, slow=seconds > self.slow_seconds)
        return self.state

    def call(self, letter: str, seconds: float = 0.0) -> State:
        return self.end(self.start(), letter, seconds)

    def calls(self, letters: str) -> List[State]:
        return [self.call(letter) for letter in letters.replace(" ", "")]

    def counts(self) -> Dict[str, int]:
        seen = self.breaker.snapshot(self.now)
        return {"calls": seen.calls, "fail": seen.failures, "consec_fail": seen.consecutive_failures}


def half_open(**rules: Any) -> Driven:
    """With its first probe still to come."""
    driven = Driven(**rules)
    driven.breaker.open(0.0)
    driven.now = driven.rules.open_seconds
    assert driven.state is HALF_OPEN
    return driven


def resilience4j(begin: Callable[..., Driven] = Driven) -> Driven:
    """The configuration of CircuitBreakerStateMachineTest."""
    driven = begin(
        window=lambda: TimeWindow(20.0),
        minimum_calls=5,
        failure_rate=0.5,
        slow_rate=0.5,
        open_seconds=5.0,
        max_probes=4,
        probe_seconds=1.0,
    )
    driven.slow_seconds = 4.0
    return driven


def gobreaker(vector: Dict[str, Any]) -> None:
    """Its requests include the excluded ones; here those do not count at all."""
    breaker = Driven(
        window=lambda: TimeWindow(30.0), minimum_calls=3, failure_rate=0.6, open_seconds=90.0, max_probes=3
    )
    steps = vector["inputs"]["steps"]

    def seen(counts: Dict[str, int]) -> None:
        excluded = counts["excl"]
        assert breaker.counts() == {
            "calls": counts["req"] - excluded,
            "fail": counts["fail"],
            "consec_fail": counts.get("consec_fail", 0),
        }

    breaker.calls("SFX" * 5)
    seen(steps[0][1]["counts"])
    for at, (pause, letters) in enumerate([(3, "S"), (2, "SX"), (2, "XS"), (2, "F")], 1):
        breaker.now += pause
        breaker.calls(letters)
        seen(steps[at][1]["counts"])
    for counts in steps[5][1]["counts_after_each"]:
        breaker.now += 3
        breaker.calls("SF")
        seen(counts)
    breaker.now += 3
    breaker.calls("F")
    seen(steps[6][1]["counts"])
    for counts in steps[7][1]["counts_after_each"]:
        assert breaker.call("F") is CLOSED
        seen(counts)
    assert breaker.call("F") is OPEN
    breaker.now += 90.0 + 1e-9
    assert breaker.state is HALF_OPEN
    assert breaker.calls("SS") == [HALF_OPEN, HALF_OPEN]
    third = breaker.start()
    assert not breaker.permitted()
    assert breaker.end(third, "S") is CLOSED


def negative_times(vector: Dict[str, Any]) -> None:
    """gobreaker puts its defaults in the place of negative times. Here they are mistakes, and told."""
    with pytest.raises(SettingError, match="open_seconds"):
        CircuitBreakerStrategy(open_seconds=vector["inputs"]["timeout_s"])
    with pytest.raises(SettingError, match="window_size"):
        CircuitBreakerStrategy(window="time", window_size=vector["inputs"]["interval_s"])


def opens_at_the_threshold(vector: Dict[str, Any]) -> None:
    driven, expected = resilience4j(), vector["expected"]
    states, rates, buffered = [], [], []
    for letter in vector["inputs"]["calls"]:
        states.append(driven.call(letter).value.upper())
        seen = driven.breaker.snapshot(driven.now)
        rates.append(-1 if seen.failure_rate is None else seen.failure_rate * 100)
        buffered.append(seen.calls)
    assert (states, rates, buffered) == (
        expected["state_after"],
        expected["failure_rate_after"],
        expected["buffered"],
    )
    assert driven.permitted() is expected["next_try_acquire"]


def opens_at_the_threshold_later(vector: Dict[str, Any]) -> None:
    driven = resilience4j()
    for letter in "SSSE":
        driven.call(letter)
        driven.now += 1
    assert driven.call("E") is CLOSED
    driven.now += 1
    assert driven.call("E") is OPEN


def half_open_after_the_wait(vector: Dict[str, Any]) -> None:
    driven = resilience4j()
    driven.breaker.open(0.0)
    found = []
    for driven.now in (0.0, 3.0, 6.0):
        found.append((driven.permitted(), driven.state.value.upper()))
    assert found == list(zip(vector["expected"]["acquire"], vector["expected"]["state"]))


def waits_grow(vector: Dict[str, Any]) -> None:
    driven = Driven(open_seconds=5.0, open_multiplier=1.5)
    driven.breaker.open(0.0)
    acquired: List[Optional[bool]] = []
    for driven.now in (0.0, 3.0, 6.0):
        acquired.append(driven.permitted())
    driven.start()
    driven.breaker.open(6.0)
    acquired.append(None)
    for driven.now in (12.0, 17.0):
        acquired.append(driven.permitted())
    assert acquired == vector["expected"]["acquire"]


def permits(vector: Dict[str, Any]) -> None:
    driven = resilience4j(half_open)
    for _ in range(2):
        found = []
        for _ in range(6):
            found.append(driven.permitted())
            if found[-1]:
                driven.start()
        assert found == vector["expected"]["acquire"]
        driven.breaker.open(driven.now)
        driven.now += 5.0


def slow_probes(vector: Dict[str, Any]) -> None:
    driven = resilience4j(half_open)
    for letter, seconds in vector["inputs"]["half_open_calls"]:
        driven.call(letter, seconds)
    seen = driven.breaker.snapshot(driven.now)
    assert (driven.state, seen.slow_call_rate, seen.failure_rate) == (OPEN, 0.75, 0.0)


def ignored_probes(vector: Dict[str, Any]) -> None:
    driven = resilience4j(half_open)
    found = [driven.call("I" if word == "IGNORED" else word) for word in vector["inputs"]["half_open_calls"]]
    assert [state.value.upper() for state in found] == vector["expected"]["state_after"]


def idle_half_open(vector: Dict[str, Any]) -> None:
    """resilience4j falls back to open whenever half-open lasts too long. Here only a probe that hangs does that:
    otherwise a healthy service with little traffic would never be seen as healthy again."""
    idle = resilience4j(half_open)
    idle.call("I")
    idle.now += 2
    assert idle.state is HALF_OPEN
    hangs = resilience4j(half_open)
    started = hangs.start()
    hangs.now += 2
    assert hangs.state.value.upper() == vector["expected"]["state"]
    assert not hangs.permitted()
    hangs.end(started, "S")
    assert hangs.state is OPEN


def internal_transitions(vector: Dict[str, Any]) -> None:
    """Of resilience4j's five states these three exist here: entering one twice is one change."""
    driven = Driven()
    for _ in range(2):
        driven.breaker.open(0.0)
    for _ in range(2):
        driven.breaker.half_open()
    for _ in range(2):
        driven.breaker.close()
    assert driven.changes == [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)]


def no_such_state(vector: Dict[str, Any]) -> None:
    """resilience4j's metrics-only state does not exist here: a breaker that is not to act is not registered."""
    assert vector["expected"]["state"] not in [state.value.upper() for state in State]


def slow_window(vector: Dict[str, Any]) -> None:
    window, expected = CountWindow(2), vector["expected"]
    total, slow, failed = [], [], []
    for word in vector["inputs"]["record"]:
        window.record(word.endswith("E"), word.startswith("SLOW"), 0.0)
        total.append(window.calls)
        slow.append(window.slow)
        failed.append(window.failures)
    assert (total, slow, failed) == (expected["total"], expected["slow"], expected["failed"])
    assert [100 * f / t for f, t in zip(failed, total)] == expected["failure_rate"]


def slow_rate(vector: Dict[str, Any]) -> None:
    window = CountWindow(vector["inputs"]["window"])
    for word in vector["inputs"]["record"]:
        window.record(word.endswith("E"), word.startswith("SLOW"), 0.0)
    assert 100 * window.slow / window.calls == vector["expected"]["slow_rate"]


def time_window(vector: Dict[str, Any]) -> None:
    window = TimeWindow(vector["inputs"]["window_s"])
    total, failed = [], []
    for word, at in vector["inputs"]["events"]:
        window.record(word == "E", False, at)
        total.append(window.calls)
        failed.append(window.failures)
    assert (total, failed) == (vector["expected"]["total"], vector["expected"]["failed"])


def time_window_clears(vector: Dict[str, Any]) -> None:
    window = TimeWindow(vector["inputs"]["window_s"])
    total = []
    for word, at in [("E", 0), ("S", 0.1), ("SLOW_E", 0.8), ("", 4.8), ("", 5.8), ("S", 5.9), ("S", 10.9)]:
        if word:
            window.record(word.endswith("E"), word.startswith("SLOW"), at)
        window.slide(at)
        total.append(window.calls)
    assert total == vector["expected"]["total"]


def polly_should_break(vector: Dict[str, Any]) -> None:
    inputs = vector["inputs"]
    driven = Driven(minimum_calls=inputs["minimum_throughput"], failure_rate=inputs["failure_ratio"])
    failures = round(inputs["throughput"] * inputs["failure_rate"])
    for n in range(inputs["throughput"]):
        if driven.state is CLOSED:  # the second failure of eleven calls finds it open
            driven.call("F" if n >= inputs["throughput"] - failures else "S")
    assert (driven.state is OPEN) is vector["expected"]["should_break"]


def polly_rolling(vector: Dict[str, Any]) -> None:
    window, now = TimeWindow(vector["inputs"]["sampling_s"]), 0.0
    reads = {}

    def read(n: int) -> None:
        window.slide(now)
        reads[str(n)] = [window.calls, window.failures / window.calls, window.failures]

    for n in range(5):
        window.record(n < 2, False, now)
        window.record(False, False, now)
        now += 2
        read(n)
    now += 2
    read(5)
    assert {n: reads[n] for n in vector["expected"]["reads"]} == vector["expected"]["reads"]


def polly_capacity(vector: Dict[str, Any]) -> None:
    window, now, reads = TimeWindow(vector["inputs"]["sampling_s"]), 0.0, []
    for _ in range(10):
        window.record(False, False, now)
        now += 1
    for _ in range(2):
        window.slide(now)
        reads.append(window.calls)
        now += 1
    assert reads == vector["expected"]


def polly_half_open_attempts(vector: Dict[str, Any]) -> None:
    """What Polly hands to its generator of durations is one less than the number of openings in a row."""
    driven, seen = Driven(), []
    for rounds in (5, 3):
        for _ in range(rounds):
            driven.breaker.open(driven.now)
            seen.append(driven.breaker.openings - 1)
            driven.now += 60
            driven.breaker.catch_up(driven.now)
            assert driven.state is HALF_OPEN
        driven.breaker.close()
    assert seen == vector["expected"]["half_open_attempts_seen"]


def polly_controller(vector: Dict[str, Any]) -> None:
    inputs = vector["inputs"]
    driven = half_open() if inputs["state"] == "HalfOpen" else Driven()
    state = driven.call("S" if "OnActionSuccess" in vector["source"] else "F")
    assert state.value == vector["expected"]["state"].lower()


def failsafe(vector: Dict[str, Any]) -> None:
    """Thresholds of counts: failures in a row, or so many of so many."""
    config, letters = vector["inputs"]["config"], vector["inputs"]["sequence"]
    expected = State(vector["expected"]["end"])
    if "HalfOpen" not in vector["source"]:
        if "ratio" in config:
            driven = Driven(window=lambda: CountWindow(4), minimum_calls=4, failure_rate=3 / 4)
            letters = "SF" * 20
        else:
            driven = Driven(consecutive_failures=3 if "3" in config else 1)
        states = driven.calls(letters.replace("|", ""))
        assert states[-1] is expected
        assert set(states[:-1]) <= {CLOSED}
        return
    probes, rate = {
        "failure_threshold=3": (3, 1.0),
        "failure 2/3": (3, 2 / 3),
        "success 2/3": (3, 2 / 3),
        "defaults": (1, 1.0),
        "failure=3": (2, 1.0),
        "failure=2, success=3": (3, 2 / 3),
        "success=3": (3, 1 / 3),
        "failure 3/5, success=2": (2, 1 / 2),
    }[config]
    # failsafe decides as soon as a threshold is met, with "failure=3" at the first success; here exactly the permitted
    # calls decide, so each is given as many as its sequence has.
    states = half_open(max_probes=probes, failure_rate=rate).calls(letters)
    assert states == [HALF_OPEN] * (probes - 1) + [expected]


CHECKS: Dict[str, Callable[[Dict[str, Any]], None]] = {
    "TestRollingWindowCircuitBreaker": gobreaker,
    "newNegativeDurationCB": negative_times,
    "::shouldOpenAfterFailureRateThresholdExceeded": opens_at_the_threshold,
    "::shouldOpenAfterFailureRateThresholdExceeded2": opens_at_the_threshold_later,
    "::shouldTransitionToHalfOpenAfterWaitDuration": half_open_after_the_wait,
    "::shouldTransitionToHalfOpenAfterWaitInterval": waits_grow,
    "::shouldOnlyPermitFourCallsInHalfOpenState": permits,
    "::shouldTransitionBackToOpenStateWhenSlowCallRateIsAboveThreshold": slow_probes,
    "::shouldReleasePermissionWhenExceptionIgnored": ignored_probes,
    "::shouldIgnoreExceptionsAndThenTransitionToClosed": ignored_probes,
    "::shouldRecordMetricsInMetricsOnlyState": no_such_state,
    "::circuitBreakerTransitionsToOpenAfterWaitDurationInHalfOpenState": idle_half_open,
    "::circuitBreakerDoesNotPublishStateTransitionEventsForInternalTransitions": internal_transitions,
    "::testSlidingWindowMetricsWithSlowCalls": slow_window,
    "::testSlowCallsPercentage": slow_rate,
    "::testSlidingTimeWindowMetrics": time_window,
    "::shouldClearSlidingTimeWindowMetrics": time_window_clears,
    "::OnActionFailure_WhenClosed": polly_should_break,
    "::GetHealthInfo_EnsureWindowRespected": polly_rolling,
    "::GetHealthInfo_EnsureWindowCapacityRespected": polly_capacity,
    "::BreakDurationGenerator_EnsureHalfOpenAttempts": polly_half_open_attempts,
    "::OnActionFailureAsync_EnsureCorrectBehavior": polly_controller,
    "::OnActionSuccess_EnsureCorrectBehavior": polly_controller,
}


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{n}-{one['source'][-30:]}" for n, one in enumerate(VECTORS)])
def test_vector(vector: Dict[str, Any]) -> None:
    """Every vector has a check, and passes it."""
    if vector["source"].startswith("failsafe-go/"):
        failsafe(vector)
        return
    (check,) = (check for name, check in CHECKS.items() if vector["source"].endswith(name.lstrip(":")))
    check(vector)
