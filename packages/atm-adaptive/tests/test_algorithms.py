"""Whatever comes, the algorithms stay within their bounds, recover, and do not drift."""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

import pytest
from atm_adaptive import AIMDLimit, Gradient2Limit, LimitAlgorithm, VegasLimit
from atm_adaptive.algorithms import log10
from hypothesis import given, settings
from hypothesis import strategies as st

MAKERS: List[Callable[..., LimitAlgorithm]] = [
    lambda first, least, most: Gradient2Limit(first, least, most),
    lambda first, least, most: VegasLimit(first, least, most, smoothing=0.2),
    lambda first, least, most: VegasLimit(first, least, most, probe_multiplier=None),
    lambda first, least, most: AIMDLimit(first, least, most, backoff_ratio=0.5),
]
SAMPLES = st.lists(
    st.tuples(st.floats(1e-4, 100.0), st.integers(0, 300), st.booleans()), max_size=60
)


@pytest.mark.parametrize("make", MAKERS)
@settings(derandomize=True, max_examples=60, deadline=None)
@given(samples=SAMPLES, bounds=st.tuples(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50)))
def test_it_stays_within_its_bounds(
    make: Callable[..., LimitAlgorithm], samples: List[Tuple[float, int, bool]], bounds: Tuple[int, int, int]
) -> None:
    least, more, most = bounds
    algorithm = make(least + more, least, least + more + most)
    for rtt, in_flight, dropped in samples:
        limit = algorithm.update(rtt, in_flight, dropped)
        assert least <= limit <= least + more + most
        assert limit == algorithm.limit == int(algorithm.estimate)


@pytest.mark.parametrize("make", MAKERS)
@settings(derandomize=True, max_examples=40, deadline=None)
@given(samples=st.lists(st.tuples(st.floats(1e-4, 10.0), st.integers(0, 9)), max_size=60))
def test_it_does_not_grow_unused(make: Callable[..., LimitAlgorithm], samples: List[Tuple[float, int]]) -> None:
    """With less than half the limit in flight."""
    algorithm = make(20, 1, 200)
    for rtt, in_flight in samples:
        before = algorithm.limit
        assert algorithm.update(rtt, min(in_flight, (before - 1) // 2)) <= before


@pytest.mark.parametrize("make", MAKERS)
def test_it_recovers_from_the_floor(make: Callable[..., LimitAlgorithm]) -> None:
    algorithm = make(20, 1, 200)
    algorithm.update(0.1, 20)
    for _ in range(200):
        algorithm.update(50.0, 20, True)
    algorithm.hold(1)
    assert algorithm.limit == 1
    for _ in range(200):
        algorithm.update(0.1, algorithm.limit)
    assert algorithm.limit > 20


@pytest.mark.parametrize("make", MAKERS)
def test_hold_takes_back_but_never_below_the_floor(make: Callable[..., LimitAlgorithm]) -> None:
    algorithm = make(20, 5, 200)
    algorithm.hold(30)
    assert algorithm.limit == 20
    algorithm.hold(12.5)
    assert (algorithm.estimate, algorithm.limit) == (12.5, 12)
    algorithm.hold(1)
    assert algorithm.limit == 5


def test_vegas_probes_by_itself() -> None:
    """After jitter times multiplier times limit samples, the latency of the moment counts as that without load."""
    algorithm = VegasLimit(10, 1, 10, probe_multiplier=2, jitter=lambda: 0.5)
    for _ in range(14):
        algorithm.update(1.0, 0)
    assert algorithm.rtt_noload == 1.0
    algorithm.update(7.0, 0)  # the fifteenth: 0.75 * 2 * 10
    assert algorithm.rtt_noload == 7.0


@pytest.mark.parametrize(
    ("rtt", "limit"),
    [
        (1.05, 16),  # a queue of 1, the threshold: by beta, which is 6
        (1.2, 11),  # of 2: by one
        (1.42, 10),  # of 3, alpha: enough
        (2.5, 10),  # of 6, beta: still
        (2.6, 9),  # of 7: too much
    ],
)
def test_the_queue_decides_vegas(rtt: float, limit: int) -> None:
    vegas = VegasLimit(10, 1, 200)
    vegas.update(1.0, 10)
    assert vegas.update(rtt, 10) == limit


def test_a_latency_above_the_timeout_is_a_drop_to_aimd() -> None:
    aimd = AIMDLimit(20, 1, 200, timeout=5.0)
    assert [aimd.update(rtt, 20) for rtt in (5.0, 5.1)] == [21, 18]


def test_rebase() -> None:
    """Told the latency without load, vegas and gradient compare with that."""
    vegas = VegasLimit(20, 1, 200)
    vegas.update(1.0, 20)
    vegas.rebase(2.0)
    assert vegas.update(2.0, 20) == 26
    gradient = Gradient2Limit(100, 1, 200, smoothing=1.0)
    for _ in range(20):
        gradient.update(1.0, 0)
    gradient.rebase(0.1)
    assert gradient.update(1.0, 100) == 54


@pytest.mark.parametrize(("limit", "expected"), [(0, 1), (9, 1), (10, 1), (99, 1), (100, 2), (999, 2), (1000, 3)])
def test_log10(limit: int, expected: int) -> None:
    assert log10(limit) == expected


@pytest.mark.parametrize("amount", [4, lambda limit: limit // 5])
def test_the_queue_of_gradient_is_a_number_or_a_function(amount: Any) -> None:
    assert Gradient2Limit(20, 1, 200, smoothing=1.0, queue_size=amount).update(1.0, 20) == 24
