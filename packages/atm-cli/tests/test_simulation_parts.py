"""The parts of ``atm simulate``: counting, bins, random quantities, charts."""

from __future__ import annotations

import itertools
from array import array
from random import Random
from typing import List, Tuple

import pytest
from atm_cli.simulation.bins import Bin, Bins
from atm_cli.simulation.chart import changing, lines, spark, states_of
from atm_cli.simulation.figures import most_in_any, percentile
from atm_cli.simulation.quantities import arrivals, durations, field, seconds
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.lists(st.floats(0, 20, allow_nan=False), max_size=40), st.floats(0.1, 8))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_most_in_any_window(times: List[float], window: float) -> None:
    """As counted one by one, for windows that end at a start."""
    ordered = array("d", sorted(times))
    brute = max((sum(1 for one in ordered if end - window + 1e-9 < one <= end) for end in ordered), default=0)
    assert most_in_any(ordered, window) == brute


@given(st.lists(st.floats(0, 9), max_size=30), st.floats(0.01, 1))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_percentile(values: List[float], part: float) -> None:
    """The smallest value that at least this part does not exceed."""
    ordered = sorted(values)
    found = percentile(ordered, part)
    if ordered:
        assert sum(one <= found for one in ordered) >= part * len(ordered) - 1e-9
        assert found == ordered[0] or sum(one < found for one in ordered) < part * len(ordered) + 1e-9
    else:
        assert found == 0.0


@given(
    st.lists(
        st.tuples(st.just(0.0) | st.floats(0.001, 3), st.integers(0, 9), st.integers(0, 99), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([0.01, 0.3, 5.0]),
)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_bins_keep_sums_and_means(steps: List[Tuple[float, int, int, bool]], width: float) -> None:
    """However often bins are merged: starts, time-weighted means, maxima and their number's bound."""
    probed: List[float] = []
    bins = Bins(width, lambda waiting: probed.append(waiting) or {}, most=8)  # type: ignore[func-returns-value]
    now = area = busy = 0.0
    starts = most = 0
    for passed, running, waiting, starting in steps:
        now += passed
        bins.advance(now, running, waiting)
        area += waiting * passed
        busy += running * passed
        if passed:
            most = max(most, waiting)
        bins.starts += starting
        starts += starting
    bins.finish()
    assert len(bins.closed) <= 8 and sum(one.starts for one in bins.closed) == starts
    assert sum(probed) == pytest.approx(area)
    assert max(one.most_waiting for one in bins.closed) == most
    whole, last = bins.closed[:-1], bins.closed[-1]
    rest = max(now - len(whole) * bins.width, 0.0)
    if len(probed) < 8:  # nothing was merged, so the last bin's mean is of what it covers
        assert sum(one.waiting for one in whole) * bins.width + last.waiting * rest == pytest.approx(area, abs=1e-6)
        assert sum(one.running for one in whole) * bins.width + last.running * rest == pytest.approx(busy, abs=1e-6)


def test_arrivals_and_durations() -> None:
    """Each form has its rate, its mean or its median."""

    def take(text: str, n: int) -> List[float]:
        return list(itertools.islice(arrivals(text, Random(1)), n))

    assert take("constant:4/s", 4) == [0.0, 0.25, 0.5, 0.75]
    assert take("burst:2/10s", 5) == [0.0, 0.0, 10.0, 10.0, 20.0]
    assert take("at-once", 2) == [0.0, 0.0]
    poisson = take("poisson:3000/min", 20_000)
    assert poisson == sorted(poisson) and poisson[-1] == pytest.approx(400, rel=0.03)
    draws = {text: sorted(durations(text, Random(1))() for _ in range(1)) for text in ("0.2s", "constant:150ms", "1")}
    assert draws == {"0.2s": [0.2], "constant:150ms": [0.15], "1": [1.0]}

    def many(text: str) -> List[float]:
        draw = durations(text, Random(1))
        return sorted(draw() for _ in range(20_000))

    assert many("lognormal:0.2s")[10_000] == pytest.approx(0.2, rel=0.03)
    assert sum(many("exponential:2min")) / 20_000 == pytest.approx(120, rel=0.03)
    uniform = many("uniform:100ms-0.3s")
    assert uniform[0] >= 0.1 and uniform[-1] <= 0.3 and sum(uniform) / 20_000 == pytest.approx(0.2, rel=0.03)
    assert [seconds(text) for text in ("5us", "2h", "1d", " 3 m ", "7", ".5s")] == pytest.approx(
        [5e-6, 7200, 86400, 180, 7, 0.5]
    )


def test_fields() -> None:
    """Values alike, by Zipf's law, or with weights."""
    name, make = field("host=zipf:3", Random(1))
    drawn = [make() for _ in range(11_000)]
    assert name == "host" and drawn.count("host1") == pytest.approx(6000, rel=0.05)
    assert drawn.count("host2") == pytest.approx(3000, rel=0.08) and drawn.count("host3") == pytest.approx(
        2000, rel=0.1
    )
    _, make = field("tenant=big*3, small", Random(1))
    drawn = [make() for _ in range(4000)]
    assert drawn.count("big") == pytest.approx(3000, rel=0.05) and set(drawn) == {"big", "small"}
    _, make = field("n=uniform:2", Random(1))
    assert {make() for _ in range(50)} == {"n1", "n2"}


def test_charts() -> None:
    """Bars show what is above zero, counters are left out, words become states."""
    assert spark([0, 0.1, 50, 100]) == " ▁▄█" and spark([0, 0]) == "  " and spark([]) == ""
    figures = [{"a.limit": 5, "a.calls": 1, "b.mood": "calm"}, {"a.limit": 7, "a.calls": 2, "b.mood": "wild"}]
    bins = [Bin(1, 1.0, 0.0, 0, one) for one in figures]
    assert changing(bins) == {"a.limit": [5.0, 7.0]} and states_of(bins) == {"b.mood": ["calm", "wild"]}
    assert [line.label for line in lines(bins, 1.0)] == ["starts/s", "running", "waiting", "a.limit", "b.mood"]
    assert len(lines(bins * 100, 1.0, columns=10)[0].picture) == 10
