"""Windows, growth, probes and cuts: the limit of one key, told its samples by hand."""

from __future__ import annotations

from typing import List, Optional, Tuple

import pytest
from atm_adaptive import AIMDLimit
from atm_adaptive._control import Control


class Load:
    """Keeps ``demand`` in flight, if the limit allows; each round, all that runs ends after the same time."""

    def __init__(self, *, probe: bool, initial: int = 20, least: int = 1, most: int = 200) -> None:
        algorithm = AIMDLimit(initial, least, most)
        self.control = Control(algorithm, window_seconds=1.0, min_samples=10, tolerance=1.5, probe=probe)
        self.now = 0.0
        self._n = 0
        self._running: List[int] = []

    def start(self, demand: int) -> None:
        while len(self._running) < min(demand, self.control.limit):
            self._n += 1
            self._running.append(self._n)
            self.control.started(self._n, self.now)

    def round(self, rtt: float, demand: int = 1000, sample: Optional[float] = None, dropped: bool = False) -> None:
        """All run for ``rtt`` and end, with ``sample`` as their latency."""
        self.start(demand)
        self.now += rtt
        for one in self._running:
            self.control.finished(one, self.now, rtt if sample is None else sample, dropped)
        self._running = []

    def served_by(self, capacity: int, seconds: float, rtt: float = 0.1) -> None:
        """A service that does ``capacity`` at once, for ``seconds``."""
        until = self.now + seconds
        while self.now < until:
            self.round(rtt * max(1.0, self.control.limit / capacity))


def test_a_window_is_so_long_and_has_so_many_samples() -> None:
    load = Load(probe=False)
    for _ in range(9):
        load.round(0.1)
        assert load.control.limit == 20
    load.round(0.1)
    assert (load.control.limit, load.control.why) == (21, "aimd")
    load = Load(probe=False)
    for _ in range(9):  # one at a time: nine samples in two seconds
        load.round(0.25, demand=1, dropped=True)
    assert load.control.limit == 20
    load.round(0.25, demand=1, dropped=True)
    assert load.control.limit == 18


def test_it_grows_only_if_it_was_reached() -> None:
    """Netflix's algorithms grow from half the limit on; here 19 of 20 in flight for an hour are no reason."""
    load = Load(probe=False)
    for _ in range(36000):
        load.round(0.1, demand=19)
    assert (load.control.limit, load.control.why) == (20, "initial")


def test_a_limit_that_is_not_reached_still_shrinks() -> None:
    load = Load(probe=False)
    for _ in range(10):
        load.round(0.1, demand=19, dropped=True)
    assert load.control.limit == 18


def test_a_window_is_no_shorter_than_a_latency() -> None:
    """What the last change did shows after a latency only. (The bare algorithm does not wait.)"""
    for probe, seconds in ((True, 3.0), (False, 1.0)):
        load = Load(probe=probe)
        while load.control.why == "initial":
            load.round(0.1, sample=3.0)
        assert load.now == pytest.approx(seconds)


def test_after_a_probe_the_service_fills_first() -> None:
    """What ends within three latencies after it found a service that was half empty."""
    load = Load(probe=True)
    load.served_by(60, 10)
    while load.control.why != "probe":
        load.served_by(60, 0.1)
    while load.control.why == "probe":
        load.served_by(60, 0.1)
    load.round(0.29, sample=50.0)
    assert load.control._window.count == 0
    load.round(0.05, sample=0.1)
    assert load.control._window.count > 0


def test_one_drop_makes_a_window_a_drop() -> None:
    load = Load(probe=False)
    for n in range(10):
        load.round(0.1, dropped=n == 4)
    assert load.control.limit == 18


def test_what_says_nothing_is_no_sample() -> None:
    """Cancelled and failed attempts neither fill a window nor move it."""
    load = Load(probe=False)
    for _ in range(50):
        load.start(1000)
        load.now += 0.1
        for one in load._running:
            load.control.finished(one, load.now, None, False)
        load._running = []
    assert load.control.limit == 20 and not load.control.learned
    assert load.control.running == 0


def test_a_probe_finds_the_latency_without_load() -> None:
    """20 in flight at a service for 8: half is still too much, a quarter is not, and the limit is cut to what fits."""
    load = Load(probe=True)
    seen: List[Tuple[int, str]] = []
    for _ in range(40):
        load.served_by(8, 0.1)
        if not seen or seen[-1] != (load.control.limit, load.control.why):
            seen.append((load.control.limit, load.control.why))
    assert seen[:5] == [(20, "initial"), (10, "probe"), (5, "probe"), (20, "aimd"), (9, "latency")]
    assert load.control.unloaded is not None
    assert load.control.unloaded.mean == pytest.approx(0.1)


def test_where_nothing_queues_it_goes_faster_but_not_too_far() -> None:
    """1, 2, 4, 8 steps a window, to 15% past what is served at once and a step of the algorithm."""
    load = Load(probe=True)
    most = 0
    for _ in range(300):
        load.served_by(60, 0.1)
        most = max(most, load.control.limit)
        if load.control.limit >= 55:
            break
    assert load.now < 12
    for _ in range(600):
        load.served_by(60, 0.1)
        most = max(most, load.control.limit)
    assert 60 <= most <= 60 * 1.15 + 2


def test_lasting_load_does_not_raise_it() -> None:
    """An hour under full load; the bare algorithm goes to its maximum in three minutes."""
    load, bare = Load(probe=True), Load(probe=False)
    load.served_by(40, 3600)
    bare.served_by(40, 600)
    assert 40 <= load.control.limit <= 48
    assert bare.control.limit == 200


def test_slower_work_is_no_queue() -> None:
    """Twice the service time at the same capacity: the probe shows that fewer at once would not be faster."""
    load = Load(probe=True)
    load.served_by(40, 60)
    load.served_by(40, 60, rtt=0.2)
    assert load.control.unloaded is not None
    assert load.control.unloaded.mean == pytest.approx(0.2)
    assert 40 <= load.control.limit <= 48


def test_quicker_work_is_noticed_without_a_probe() -> None:
    load = Load(probe=True, initial=20, most=20)  # at its maximum, so that nothing calls for a probe
    load.served_by(60, 10, rtt=0.2)
    load.served_by(60, 3, rtt=0.1)
    assert load.control.unloaded is not None
    assert load.control.unloaded.mean == pytest.approx(0.1)


def test_at_the_floor_there_is_nothing_to_probe() -> None:
    """What is measured there counts as without load, so that the limit can rise again."""
    load = Load(probe=True, initial=4, least=4)
    load.served_by(2, 5)
    assert load.control.unloaded is not None
    assert load.control.unloaded.mean == pytest.approx(0.2)
    load.served_by(60, 30)
    assert load.control.limit > 20


def test_a_probe_that_timeouts_spoil_says_nothing() -> None:
    load = Load(probe=True)
    load.round(1.0)  # the first window: a probe begins
    assert load.control.why == "probe"
    while load.control.why == "probe":
        assert load.control.limit == 10
        load.round(5.0, sample=0.1, dropped=True)  # quick refusals, which are not the quickness of an empty service
    assert load.control.unloaded is None
    assert load.control.limit == 20


def test_a_probe_does_not_wait_for_stragglers() -> None:
    load = Load(probe=True)
    for _ in range(10):
        load.round(0.1)
    assert load.control.why == "probe"
    load.start(1000)
    straggler = load._running.pop(0)
    for _ in range(4):
        load.round(0.1)
    assert load.control.why != "probe"
    assert load.control.unloaded is not None
    assert load.control.unloaded.mean == pytest.approx(0.1)
    load.control.finished(straggler, load.now, 100.0, True)
    assert load.control.unloaded.mean == pytest.approx(0.1)


def test_a_new_clock_ends_a_probe_and_keeps_what_was_learned() -> None:
    load = Load(probe=True)
    load.served_by(60, 10)
    limit, unloaded = load.control._algorithm.limit, load.control.unloaded
    while load.control.why != "probe":
        load.served_by(60, 0.1)
    load.control.restart()
    assert load.control._probe is None
    assert load.control.limit == load.control._algorithm.limit >= limit
    assert load.control.unloaded is unloaded
    load.now = 5.0
    load.served_by(60, 60)
    assert 60 <= load.control.limit <= 60 * 1.15 + 2
