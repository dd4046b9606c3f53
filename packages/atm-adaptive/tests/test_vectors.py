"""The reference vectors: to the digit."""

from __future__ import annotations

import json
import math
import pathlib
import re
from typing import Any, Dict, List

import pytest
from atm_adaptive import AIMDLimit, Gradient2Limit, LimitAlgorithm, VegasLimit
from atm_adaptive.algorithms import ExpAvg

VECTORS: List[Dict[str, Any]] = json.loads(
    (pathlib.Path(__file__).parent / "vectors" / "adaptive.json").read_text(encoding="utf-8")
)["vectors"]
NANOSECONDS = 1_000_000  # in a millisecond: the unit in which Netflix computes


def name_of(vector: Dict[str, Any]) -> str:
    return str(vector["inputs"].get("name") or re.sub(r".*::", "", vector["source"]))


def ours(params: Dict[str, Any], alg: str) -> LimitAlgorithm:
    if alg == "gradient2":
        return Gradient2Limit(
            params["initial_limit"],
            params["min_limit"],
            params["max_limit"],
            smoothing=params["smoothing"],
            queue_size=params["queue_size"],
            long_window=params["long_window"],
            rtt_tolerance=params["rtt_tolerance"],
        )
    if alg == "aimd":
        return AIMDLimit(
            params["initial_limit"],
            params["min_limit"],
            params["max_limit"],
            backoff_ratio=params.get("backoff_ratio", params.get("backoff", 0.9)),
            timeout=params.get("timeout_ms", 5000) * NANOSECONDS,
        )
    assert alg == "vegas"
    known = {"3*log10": None, "6*log10": None, "x/2": lambda limit: limit / 2}
    options = {name: known.get(params[name], params[name]) for name in ("alpha", "beta", "decrease") if name in params}
    return VegasLimit(
        params["initial_limit"],
        1,
        params["max_limit"],
        smoothing=params.get("smoothing", 1.0),
        probe_multiplier=None if "probe" in params else 30,
        **{name: value for name, value in options.items() if value is not None},
    )


def netflix(vector: Dict[str, Any]) -> bool:
    return "Netflix" in vector["source"] and vector["inputs"].get("alg") != "exp_avg"


@pytest.mark.parametrize("vector", [one for one in VECTORS if netflix(one)], ids=name_of)
def test_netflix(vector: Dict[str, Any]) -> None:
    """Each limit after each sample, and Gradient2's long average in whole microseconds."""
    inputs, expected = vector["inputs"], vector["expected"]
    algorithm = ours(inputs["params"], inputs.get("alg") or inputs["params"]["alg"])
    limits, long_rtts = [], []
    samples = inputs.get("samples_rtt_ms_inflight") or inputs["samples_rtt_ms_inflight_drop"]
    for rtt, in_flight, *dropped in samples:
        limits.append(algorithm.update(rtt * NANOSECONDS, in_flight, *dropped))
        if isinstance(algorithm, Gradient2Limit):
            long_rtts.append(int(algorithm.long_rtt) // 1000)
    assert limits == (expected["limits"] if isinstance(expected, dict) else expected)
    assert algorithm.limit == limits[-1]
    if isinstance(algorithm, Gradient2Limit):
        assert long_rtts == expected["long_rtt_us"]


@pytest.mark.parametrize("vector", [one for one in VECTORS if one["inputs"].get("alg") == "exp_avg"], ids=name_of)
def test_the_average(vector: Dict[str, Any]) -> None:
    """First a mean, then exponential."""
    inputs = vector["inputs"]
    average = ExpAvg(inputs["window"], inputs["warmup"])
    got = [average.add(sample) for sample in inputs["samples"]]
    for one, expected, tolerance in zip(got, vector["expected"], vector["tolerance"]):
        assert math.isclose(one, expected, abs_tol=tolerance)


def failsafe(name: str) -> Dict[str, Any]:
    return next(one for one in VECTORS if one["source"].endswith(name))


@pytest.mark.parametrize("name", ["record/decrease", "record/hold"])
def test_failsafe_where_it_is_a_vegas_too(name: str) -> None:
    """failsafe-go keeps Vegas's queue: with its baseline of 1 s as the least latency, the limits are the same."""
    vector = failsafe(name)
    algorithm = VegasLimit(20, 1, 200, probe_multiplier=None)
    algorithm.update(1000, 10)
    samples = vector["inputs"]["samples_rtt_ms_inflight"]
    assert [algorithm.update(rtt, in_flight) for rtt, in_flight in samples] == vector["expected"]


@pytest.mark.parametrize(
    ("name", "vegas"),
    [
        # It grows by 1 with 5 of 20 in flight; the issue wants growth only when the limit is really used.
        ("record/increase", [20, 20]),
        # It steps by log10, Netflix's Vegas by beta while there is no queue; and it shrinks when in-flight falls.
        ("MaxLimitStabilizationWindow", [26, 26]),
        ("MaxLimitStabilizationWindow/none", [26, 26]),
    ],
)
def test_failsafe_where_it_contradicts_the_issue(name: str, vegas: List[int]) -> None:
    """failsafe-go's own algorithm (Vegas with correlations) is not Netflix's, which the issue asks for."""
    vector = failsafe(name)
    algorithm = VegasLimit(20, 1, 200, probe_multiplier=None)
    algorithm.update(1000, 10)
    got = [algorithm.update(rtt, in_flight) for rtt, in_flight in vector["inputs"]["samples_rtt_ms_inflight"]]
    assert got == vegas != vector["expected"]


def test_every_vector_is_used() -> None:
    """What has no test here is failsafe-go's filter of medians and its cap, which are parts of its own algorithm."""
    rest = [
        one["source"].partition("::")[2]
        for one in VECTORS
        if not netflix(one) and one["inputs"].get("alg") != "exp_avg" and "TestAdaptiveLimiter_" in one["source"]
    ]
    assert rest == [
        "TestAdaptiveLimiter_record/increase",
        "TestAdaptiveLimiter_record/decrease",
        "TestAdaptiveLimiter_record/hold",
        "TestAdaptiveLimiter_record/smooth",
        "TestAdaptiveLimiter_MaxLimitStabilizationWindow",
        "TestAdaptiveLimiter_MaxLimitStabilizationWindow/none",
        "TestAdaptiveLimiter_computeMaxLimit",
    ]
    assert sum(netflix(one) for one in VECTORS) + len(rest) + 1 == len(VECTORS)
