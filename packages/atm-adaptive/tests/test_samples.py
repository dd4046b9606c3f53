"""What is typical of latencies."""

from __future__ import annotations

import math
import random
import statistics
from typing import List

import pytest
from atm_adaptive._samples import Latencies
from hypothesis import given, settings
from hypothesis import strategies as st


def of(*rtts: float) -> Latencies:
    latencies = Latencies()
    for rtt in rtts:
        latencies.add(rtt)
    return latencies


def test_the_midmean_is_the_mean_of_the_middle_half() -> None:
    mean, _ = of(100, 3, 1, 2, 0, 4, 5, 6).typical()
    assert mean == statistics.mean([2, 3, 4, 5])


def test_the_longest_quarter_need_not_end() -> None:
    assert of(1, 2, 3, 4, 5, 6, math.inf, math.inf).typical() == of(1, 2, 3, 4, 5, 6, 7, 100).typical()


@pytest.mark.parametrize(("ended", "running", "expected"), [([1, 2, 3], 1, 3), ([1, 2, 3], 2, None), ([5], 0, 5)])
def test_the_upper_quartile_is_known_when_a_quarter_is_left(ended: List[float], running: int, expected: float) -> None:
    assert of(*ended).upper_quartile(running) == expected


def test_the_error_is_that_of_the_midmean() -> None:
    """Of many samples of 100 exponential numbers, the midmeans scatter as much as each says it does."""
    rng = random.Random(1)
    results = [of(*[rng.expovariate(1) for _ in range(100)]).typical() for _ in range(300)]
    scatter = statistics.pstdev(mean for mean, _ in results)
    assert 0.85 < statistics.mean(error for _, error in results) / scatter < 1.15


def test_all_alike_have_no_error() -> None:
    assert of(*[0.25] * 50).typical() == (0.25, 0.0)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50))
def test_it_lies_among_the_middle(rtts: List[float]) -> None:
    mean, error = of(*rtts).typical()
    ordered = sorted(rtts)
    cut = len(rtts) // 4
    assert ordered[cut] * (1 - 1e-9) <= mean <= ordered[-1 - cut] * (1 + 1e-9)
    assert error >= 0


def test_memory_is_bounded_and_what_is_kept_is_spread_evenly() -> None:
    latencies = of(*range(100_000))
    assert latencies.count == 100_000
    assert len(latencies._kept) < 1024
    assert latencies.typical()[0] == pytest.approx(50_000, rel=0.01)


def test_merging_keeps_some_of_both_and_bounds_them() -> None:
    latencies = of(*[1.0] * 1000)
    latencies.merge(of(*[3.0] * 1000))
    assert 1000 < latencies.count < 1024
    assert latencies.typical()[0] == pytest.approx(2.0, rel=0.01)
