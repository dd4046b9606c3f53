"""The latency without load: how it is believed, and how a probe finds it."""

from __future__ import annotations

import math

import pytest
from atm_adaptive._samples import Latencies
from atm_adaptive._unloaded import Probe, Unloaded


def around(mean: float, count: int = 40) -> Latencies:
    """Latencies that scatter by a tenth."""
    latencies = Latencies()
    for n in range(count):
        latencies.add(mean * (0.9 + 0.2 * n / (count - 1)))
    return latencies


def test_what_agrees_makes_it_surer() -> None:
    unloaded = Unloaded(around(1.0))
    errors, waits = [unloaded.error], [unloaded.wait]
    for mean in (1.01, 0.99, 1.0, 1.0):
        unloaded.measured(around(mean))
        errors.append(unloaded.error)
        waits.append(unloaded.wait)
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 2
    assert waits == [5, 10, 20, 40, 40]
    assert unloaded.mean == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("mean", [0.5, 2.0])
def test_what_does_not_agree_replaces_it(mean: float) -> None:
    unloaded = Unloaded(around(1.0))
    unloaded.measured(around(1.0))
    unloaded.measured(around(mean))
    assert (unloaded.mean, unloaded.wait) == (around(mean).typical()[0], 5)


@pytest.mark.parametrize(("seen", "believed"), [(0.5, 0.5), (0.97, 1.0), (2.0, 1.0)])
def test_under_load_only_what_is_clearly_shorter_counts(seen: float, believed: float) -> None:
    unloaded = Unloaded(around(1.0))
    latencies = around(seen)
    unloaded.seen(latencies, *latencies.typical())
    assert unloaded.mean == pytest.approx(believed)


def test_a_probe_watches_the_first_that_start_in_it() -> None:
    """Twice the limit or twice min_samples of them; who started before, or later, is none of them."""
    probe = Probe(20, 1.0, 1, 5)
    assert probe.limit == 10
    assert not probe.finished("before", 0.0, 9.0, False)
    for n in range(25):
        probe.started(n, 0.0)
    for n in range(20, 25):
        assert not probe.finished(n, 0.1, 0.1, False)
    assert [probe.finished(n, 1.0, 1.0, False) for n in range(20)].count(True) > 0
    assert probe.latencies.typical() == (1.0, 0.0)


def test_what_still_runs_must_be_known_to_be_among_the_longest() -> None:
    """Three quarters have ended after 1 s; the others have run for as long only when the clock says so."""
    probe = Probe(8, 9.0, 1, 2)
    for n in range(8):
        probe.started(n, 0.0 if n < 6 else 5.0)
    for n in range(5):
        assert not probe.finished(n, 1.0, 1.0, False)
    assert not probe.finished(5, 5.5, 1.0, False)  # two of them have run for half a second
    assert probe.finished("another", 6.1, None, False)
    assert probe.latencies.count == 8
    assert probe.latencies.typical()[0] == 1.0
    assert max(probe.latencies._kept) == math.inf


def test_who_says_nothing_is_replaced() -> None:
    probe = Probe(4, 1.0, 1, 1)
    for n in range(4):
        probe.started(n, 0.0)
    assert not probe.finished(0, 1.0, None, False)  # cancelled
    assert not any(probe.finished(n, 1.0, 1.0, False) for n in range(1, 4))
    probe.started("instead", 1.0)
    assert probe.finished("instead", 2.0, 1.0, False)


@pytest.mark.parametrize(
    ("mean", "least", "expected"), [(0.5, 1, True), (0.64, 1, True), (0.66, 1, False), (1.0, 1, False), (0.5, 5, False)]
)
def test_it_goes_lower_while_that_helps(mean: float, least: int, expected: bool) -> None:
    """Half the limit and half the latency: all of it is queue. At the lowest limit there is nothing more to try."""
    assert Probe(10, 1.0, least, 1).still_queued(mean) is expected


def test_too_many_timeouts_spoil_it() -> None:
    probe = Probe(8, 1.0, 1, 1)
    for dropped in (True, False, False, False):
        probe.latencies.add(1.0, dropped)
    assert not probe.failed
    probe.latencies.add(1.0, True)
    assert probe.failed
