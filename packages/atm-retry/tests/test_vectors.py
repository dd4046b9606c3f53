"""The numbers of tenacity, resilience4j, Polly, failsafe, stamina, Finagle, tower, urllib3, AWS and gRPC."""

from __future__ import annotations

import calendar
import json
import math
import pathlib
import time
from typing import Any, Callable, Dict, List, Optional

import pytest
from atm_retry import RetryBudget, RetryStrategy, RetryThrottle, parse_retry_after
from atm_retry._delays import Delays

from atm_core import SettingError, TaskManager
from atm_core.testing import run

_FILE = pathlib.Path(__file__).parent / "vectors" / "retry.json"
VECTORS: List[Dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))["vectors"]
UNCAPPED = 1e12


def delays(
    backoff: Any = "exponential",
    initial: float = 1,
    most: float = UNCAPPED,
    multiplier: float = 2,
    jitter: Any = "none",
    r: float = 0.5,
) -> Delays:
    return Delays(backoff, initial, most, multiplier, jitter, lambda: r)


def after(attempt: int, **settings: Any) -> float:
    return delays(**settings).after(attempt, None)[0]


def tenacity_exponential(inputs: Dict[str, Any], expected: Any) -> None:
    initial, least = inputs.get("multiplier", 1), inputs.get("min", 0)
    plain = delays(initial=initial)
    backoff = (lambda n: max(least, plain.base(n))) if least else "exponential"
    most = inputs.get("max", UNCAPPED)
    assert [after(n, backoff=backoff, initial=initial, most=most) for n in inputs["attempts"]] == expected


def tenacity_from_exception(inputs: Dict[str, Any], expected: Any) -> None:
    seconds: Dict[type, float] = {ValueError: inputs["map"]["ValueError"]}
    errors = [ValueError("first"), KeyError("second"), None]

    async def main() -> List[float]:
        retry = RetryStrategy(delay_from=lambda error: seconds.get(type(error), inputs["map"]["other"]))
        started: List[float] = []

        async def work() -> None:
            started.append(manager._scheduler.clock())
            error = errors[len(started) - 1]
            if error is not None:
                raise error

        async with TaskManager(retry) as manager:
            await manager.submit(work)
        return [later - earlier for earlier, later in zip(started, started[1:])]

    # The third is that tenacity's wait must not be asked after a success; here there is nothing to ask.
    assert run(main()) == expected[:2]


def resilience4j_exponential(inputs: Dict[str, Any], expected: Any) -> None:
    settings = {"initial": inputs["initial"], "multiplier": inputs["multiplier"], "most": inputs["max"]}
    assert [after(n, **settings) for n in inputs["attempts"]] == expected
    rising = [after(n, **settings) for n in range(2, 12)]
    assert rising == sorted(set(rising))


def resilience4j_random(inputs: Dict[str, Any], expected: Any) -> None:
    exact = float(inputs["initial"])
    for n in range(1, 50):
        for r in (0.0, 0.3, 0.5, 0.999999):
            delay = after(n, initial=100, multiplier=inputs["multiplier"], jitter=inputs["factor"], r=r)
            assert math.floor(exact * 0.5) - 1 <= delay <= math.floor(exact * 1.5) + 1
        exact *= inputs["multiplier"]  # the source floors at each step, which the tolerance does not cover for long
        assert inputs["multiplier"] == 1.5


def factor_out_of_bounds(inputs: Dict[str, Any], expected: Any) -> None:
    for factor in inputs["factor"]:
        with pytest.raises(SettingError, match="jitter"):
            RetryStrategy(jitter=factor)


def polly_plain(inputs: Dict[str, Any], expected: Any) -> None:
    backoff = inputs["backoff"].lower()
    assert [after(n + 1, backoff=backoff, initial=inputs["base_s"]) for n in inputs["attempts0"]] == expected
    assert [after(n + 1, backoff=backoff, initial=0) for n in inputs["attempts0"]] == [0, 0, 0]


def polly_jitter(inputs: Dict[str, Any], expected: Any) -> None:
    backoff, n = inputs["backoff"].lower(), inputs.get("attempt0", 0) + 1
    found = [after(n, backoff=backoff, jitter=0.25, r=r) for r in inputs["randomizer"]]
    assert found == pytest.approx(expected)


def polly_capped(inputs: Dict[str, Any], expected: Any) -> None:
    settings = {"backoff": inputs["backoff"].lower(), "initial": inputs["base_s"], "most": inputs["max_s"]}
    n = inputs["attempt0"] + 1
    assert after(n, jitter="none", **settings) == expected
    if inputs["jitter"]:
        # Polly cuts after the draw, so every client at the cap waits exactly the cap. Here the draw is inside it.
        drawn = [after(n, jitter=0.25, r=r, **settings) for r in (0.0, 0.5, 0.999)]
        assert drawn == sorted(set(drawn))
        assert all(0.75 <= delay < expected for delay in drawn)


def polly_overflow(inputs: Dict[str, Any], expected: Any) -> None:
    day = 86400.0
    assert after(inputs["attempt0"] + 1, initial=day, most=2 * day) == 2 * day


def polly_jitter_range(inputs: Dict[str, Any], expected: Any) -> None:
    for value in (0.0, 1e-9, 1.0, 123.0):
        for r in (0.0, 0.5, math.nextafter(1, 0) if hasattr(math, "nextafter") else 1 - 1e-16):
            assert value * 0.75 <= after(1, initial=value, jitter=0.25, r=r) <= value * 1.25


def polly_decorrelated(inputs: Dict[str, Any], expected: Any) -> None:
    smooth = delays(jitter="smooth", r=inputs["randomizer"], initial=inputs["base_s"])
    memory: Optional[float] = None
    found = []
    for n in inputs["attempts0"]:
        delay, memory = smooth.after(n + 1, memory)
        found.append(delay)
    assert found == pytest.approx(expected, abs=1e-6)


def failsafe_delays(inputs: Dict[str, Any], expected: Any) -> None:
    settings = {"initial": inputs["delay_s"], "most": inputs["max_s"], "multiplier": inputs["factor"]}
    assert [after(n, **settings) for n in range(1, inputs["n"] + 1)] == expected


def failsafe_factor(inputs: Dict[str, Any], expected: Any) -> None:
    # failsafe's random number counts from the other end.
    found = [after(1, initial=delay, jitter=inputs["factor"], r=1 - r) for delay, r in inputs["cases"]]
    assert [int(one) for one in found] == expected


def failsafe_absolute(inputs: Dict[str, Any], expected: Any) -> None:
    found = [after(1, initial=delay, jitter=jitter / delay, r=1 - r) for delay, jitter, r in inputs["cases"]]
    assert found == pytest.approx(expected)


def no_overflow(inputs: Dict[str, Any], expected: Any) -> None:
    for attempt in (1025, 10_000, 10**9):
        assert after(attempt, initial=0.1, most=inputs["wait_max"]) == expected
        for jitter in ("full", "equal", "decorrelated", "smooth", 0.5):
            assert 0 <= after(attempt, initial=0.1, most=inputs["wait_max"], jitter=jitter) <= expected


def finagle(inputs: Dict[str, Any], expected: Any) -> None:
    if "ttl_s" in inputs and isinstance(inputs["ttl_s"], list):
        for ttl in inputs["ttl_s"]:
            with pytest.raises(SettingError, match="ttl_seconds"):
                RetryBudget(ttl_seconds=ttl)
        return
    if inputs.get("min_retries_per_sec", 0) < 0:
        with pytest.raises(SettingError, match="min_per_second"):
            RetryBudget(min_per_second=inputs["min_retries_per_sec"])
        return
    budget = RetryBudget(inputs["percent_can_retry"], inputs["min_retries_per_sec"], inputs.get("ttl_s", 10))
    if "deposits" in inputs:
        for _ in range(inputs["deposits"]):
            budget.deposit(5.0)
        assert budget.balance(5.0) == expected["balance"]
    elif "requests" in inputs:
        assert budget.balance(5.0) == expected.get("initial_balance", 0)
        retries = 0
        for _ in range(inputs["requests"]):
            budget.deposit(5.0)
            if budget.withdraw(5.0):
                retries += 1
            else:
                assert budget.balance(5.0) == 0
        assert abs(retries - expected["retries"]) <= expected["tolerance"]
    else:  # the empty budget
        budget.deposit(5.0)
        assert budget.balance(5.0) == 0
        assert not budget.withdraw(5.0)


def tower(inputs: Dict[str, Any], expected: Any) -> None:
    budget = RetryBudget(inputs["percent"], inputs["min_per_sec"], inputs["ttl_s"])
    found = []
    for step in inputs["ops"]:
        what, at = step.split("@")
        if what == "deposit":
            budget.deposit(float(at))
        else:
            found.append(budget.withdraw(float(at)))
    assert found == expected


def urllib3_header(inputs: Dict[str, Any], expected: Any) -> None:
    now = calendar.timegm(time.strptime(inputs["now"], "%Y-%m-%dT%H:%M:%SZ"))
    # urllib3's null: it does not sleep.
    assert parse_retry_after(inputs["header"], now) == (expected or 0)


def urllib3_seconds(inputs: Dict[str, Any], expected: Any) -> None:
    assert [parse_retry_after(one) for one in inputs["headers"]] == expected


def aws(inputs: Dict[str, Any], expected: Any) -> None:
    for r in (0.0, 0.25, 0.999):
        assert after(4, initial=0.5, most=3, jitter="full", r=r) == pytest.approx(r * 3)
        assert after(2, initial=0.5, most=3, jitter="full", r=r) == pytest.approx(r * 1)
        assert after(2, initial=0.5, most=3, jitter="equal", r=r) == pytest.approx(0.5 + r * 0.5)
        decorrelated = delays(initial=0.5, most=100, jitter="decorrelated", r=r)
        delay, memory = decorrelated.after(1, None)
        assert delay == pytest.approx(0.5 + r * (1.5 - 0.5))
        delay, _ = decorrelated.after(2, memory)
        assert delay == pytest.approx(0.5 + r * (3 * memory - 0.5))  # type: ignore[operator]
    # min(cap, U(base, 3 * prev)) makes two thirds of the clients meet at a cap of prev; here the draw is inside it.
    capped = delays(initial=0.5, most=3, jitter="decorrelated", r=0.5)
    assert capped.after(9, 3.0)[0] == pytest.approx(1.75)


CHECKS: Dict[str, Callable[[Dict[str, Any], Any], None]] = {
    "test_exponential": tenacity_exponential,
    "test_wait_exception": tenacity_from_exception,
    "generatesCappedExponentialIntervals": resilience4j_exponential,
    "generatesExponentialRandomIntervals": resilience4j_random,
    "shouldRejectOutOfBoundsRandomizationFactor": factor_out_of_bounds,
    "Constant_Ok": polly_plain,
    "Linear_Ok": polly_plain,
    "Jitter_Ok": polly_jitter,
    "MaxDelay_Ok": polly_capped,
    "OverflowWithMaxDelay": polly_overflow,
    "ApplyJitter_Meets": polly_jitter_range,
    "derived (as above)": polly_decorrelated,
    "TestGetFixedOrRandomDelay": failsafe_delays,
    "test_backoff_no_overflow": no_overflow,
    "RetryBudgetTest": finagle,
    "tps_leaky": tower,
    "test_respect_retry_after_header_sleep": urllib3_header,
    "test_parse_retry_after": urllib3_seconds,
    "backoff_simulator": aws,
}


def check_of(vector: Dict[str, Any]) -> Callable[[Dict[str, Any], Any], None]:
    if "(RandomDelay tests)" in vector["source"]:
        return failsafe_factor if "factor" in vector["inputs"] else failsafe_absolute
    (found,) = {check for words, check in CHECKS.items() if words in vector["source"]}
    return found


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{n}-{one['source'][-30:]}" for n, one in enumerate(VECTORS)])
def test_vector(vector: Dict[str, Any]) -> None:
    """Every vector has a check, and passes it."""
    check_of(vector)(vector["inputs"], vector["expected"])


def test_grpc_throttle() -> None:
    """grpc/grpc: test/core/client_channel/retry_throttle_test.cc, Basic: may a retry be made after each failure?"""
    throttle = RetryThrottle(max_tokens=4, token_ratio=1.6)
    found = []
    for step in ["F", "S", "F", "F", "F", "F", "F", "S", "S", "F", "F", "S", "F", "S", "F"]:
        throttle.ended(first=True, failed=step == "F", now=0.0)
        if step == "F":
            found.append(throttle.withdraw(0.0))
    assert found == [True, True, False, False, False, False, True, False, False, True]


def test_tower_slots_and_reserve() -> None:
    """tower: tps_budget.rs, tps_slots and tps_reserve: a deposit lives through nine tenths of the window at least."""
    budget = RetryBudget(ratio=0.5, min_per_second=0, ttl_seconds=1)
    budget.deposit(0.0)
    budget.deposit(0.0)
    assert budget.withdraw(0.901)
    budget.deposit(2.902)
    budget.deposit(3.203)
    budget.deposit(4.004)
    assert budget.withdraw(4.004)
    reserve = RetryBudget(ratio=1, min_per_second=5, ttl_seconds=1)
    assert [reserve.withdraw(0.0) for _ in range(6)] == [True] * 5 + [False]
