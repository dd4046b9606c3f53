"""The limit of one key: windows of samples, the algorithm, and now and then a look at the latency without load."""

from __future__ import annotations

from typing import Any, Optional

from atm_adaptive._samples import Latencies
from atm_adaptive._unloaded import Probe, Unloaded
from atm_adaptive.algorithms import LimitAlgorithm

__all__ = ["Control"]

_RISE = 0.3  # of the tolerated rise in latency: so far the limit may grow
_MAX_STEPS = 8  # of the algorithm in one window
_ROUNDING = 1e-9  # seconds


class Control:
    """Tells how much may be in flight, from the latency of what was.

    A window's typical latency, its peak in flight, and whether it saw a drop make one sample for the algorithm, as
    in Netflix's ``WindowedLimit``. The limit rises only if it was reached in the window, so it cannot drift away
    from what is in flight.

    With ``probe`` the algorithm is told what it cannot know. All three take past latencies for normal, and under
    lasting load these are those of a queue, so the limit creeps up. A probe runs a few tasks at half the limit; if
    the latency falls as much as the limit did, at half of that; until it does not, and so is the latency without
    load (the idea of the probes in Envoy's adaptive concurrency filter and in BBR). Then, of a window in which the
    limit was reached:

    - next to no queue: the algorithm takes up to 8 steps instead of one, no further than up to ``rise``;
    - a latency beyond ``rise``, three tenths of the way to the tolerance: the limit does not rise;
    - a latency beyond the tolerance: a probe, and if it is still beyond ``rise`` after that, a cut in proportion.

    O(1) in time (O(n log n) a window of n, at most 1024) and memory.

    Args:
        algorithm: Turns samples into a limit.
        window_seconds, min_samples: A window lasts so long, and until it has so many samples.
        tolerance: How many times the latency without load is accepted.
        probe: As above; False: the algorithm alone.
    """

    __slots__ = (
        "_after_probe",
        "_algorithm",
        "_min_samples",
        "_opened_at",
        "_peak",
        "_probe",
        "_probed_at",
        "_probes",
        "_rise",
        "_steps",
        "_tolerance",
        "_window",
        "_window_seconds",
        "idle_since",
        "learned",
        "limit",
        "running",
        "unloaded",
        "why",
    )

    def __init__(
        self, algorithm: LimitAlgorithm, *, window_seconds: float, min_samples: int, tolerance: float, probe: bool
    ) -> None:
        self._algorithm = algorithm
        self._window_seconds = window_seconds
        self._min_samples = min_samples
        self._tolerance = tolerance
        self._rise = 1 + _RISE * (tolerance - 1)
        self._probes = probe
        #: How much may be in flight now.
        self.limit = algorithm.limit
        #: Which signal set it last: ``"initial"``, the algorithm's name, ``"latency"`` (a cut), or ``"probe"``.
        self.why = "initial"
        #: How much is in flight.
        self.running = 0
        #: What is known of the latency without load.
        self.unloaded: Optional[Unloaded] = None
        #: Whether anything is lost when this is thrown away.
        self.learned = False
        self.idle_since = 0.0
        self._peak = 0
        self._window = Latencies()
        self._opened_at: Optional[float] = None  # the window: from the next start on
        self._steps = 1
        self._probe: Optional[Probe] = None
        self._after_probe = False
        self._probed_at = 0.0

    def started(self, task: Any, now: float) -> None:
        """One more is in flight."""
        self.running += 1
        if self.running > self._peak:
            self._peak = self.running
        if self._opened_at is None:
            self._opened_at = now
        if self._probe is not None:
            self._probe.started(task, now)

    def finished(self, task: Any, now: float, rtt: Optional[float], dropped: bool) -> None:
        """One less.

        Args:
            task: The same as at its start.
            now: The time in seconds.
            rtt: Its latency in seconds; None if it says nothing.
            dropped: It timed out.
        """
        self.running -= 1
        if self._probe is not None:
            if self._probe.finished(task, now, rtt, dropped):
                self._probed(self._probe, now)
        elif rtt is not None and self._opened_at is not None and now >= self._opened_at:
            self._window.add(rtt, dropped)
            lasted = now - self._opened_at + _ROUNDING
            if lasted >= self._window_seconds and self._window.count >= self._min_samples:
                self._closed(now, lasted)

    def restart(self) -> None:
        """The clock is another one: begin anew, but for what was learned."""
        self._probe, self._after_probe, self._probed_at = None, False, 0.0
        self.limit = self._algorithm.limit
        self._open(None)

    def _closed(self, now: float, lasted: float) -> None:
        """A window is full: it sets the limit."""
        window, algorithm, before = self._window, self._algorithm, self._algorithm.estimate
        mean, error = window.typical()
        if self._probes and lasted < mean:
            return  # what the last change did has yet to show
        if self.unloaded is not None:
            self.unloaded.seen(window, mean, error)
        reached = self._peak >= self.limit
        self._step(mean, self._peak, window.dropped > 0)
        self.learned = True
        self._open(now)
        if not reached:
            algorithm.hold(before)
            self._steps = 1
        elif self._probes:
            self._judge(window, mean, error, before, now)
        if self._probe is None:
            self._set(algorithm.limit, algorithm.name)

    def _step(self, mean: float, in_flight: int, dropped: bool) -> None:
        """Give the algorithm a sample, and tell it again what the latency is without load."""
        if self.unloaded is not None:
            normal = self.unloaded.mean + 2 * self.unloaded.error  # the benefit of the doubt
            self._algorithm.rebase(normal)
            mean = max(mean, normal)
        self._algorithm.update(mean, in_flight, dropped)

    def _judge(self, window: Latencies, mean: float, error: float, before: float, now: float) -> None:
        """The limit was reached: go faster, hold, cut or probe, by the latency without load."""
        algorithm, unloaded, steps = self._algorithm, self.unloaded, self._steps
        after_probe, self._after_probe, self._steps = self._after_probe, False, 1
        if unloaded is None:
            algorithm.hold(before)
            self._begin_probe(window, mean, now)
            return
        ratio, doubt = max(1.0, mean / unloaded.mean), error / unloaded.mean
        if after_probe and ratio - doubt > self._rise:
            algorithm.hold(before * self._rise / ratio)
            self._set(algorithm.limit, "latency")
            self._open(now + 2 * mean)
            return
        if ratio + doubt / 2 > self._rise:
            algorithm.hold(before)
        rising = algorithm.estimate > before
        due = now - self._probed_at >= unloaded.wait * max(self._window_seconds, mean)
        stuck = not rising and not window.dropped and self.limit < algorithm.max_limit
        if ratio - 2 * doubt > self._tolerance or (due and stuck):
            algorithm.hold(before)
            self._begin_probe(window, mean, now)
        elif rising and not window.dropped:
            most = max(algorithm.estimate, before * self._rise / ratio)
            for _ in range(1, steps):
                self._step(mean, self.limit, False)
            algorithm.hold(most)
            self._steps = min(steps * 2, _MAX_STEPS)

    def _begin_probe(self, window: Latencies, mean: float, now: float) -> None:
        if self.limit > self._algorithm.min_limit:
            self._probe_below(mean)
        else:  # there is no lower limit to try: this is as good as it gets
            self._measured(window)
            self._probed_at = now

    def _probe_below(self, mean: float) -> None:
        self._probe = Probe(self.limit, mean, self._algorithm.min_limit, self._min_samples)
        self._set(self._probe.limit, "probe")

    def _probed(self, probe: Probe, now: float) -> None:
        """A probe is over: lower still, or all that was to be known is."""
        mean, _ = probe.latencies.typical()
        if not probe.failed and probe.still_queued(mean):
            self._probe_below(mean)
            return
        if not probe.failed:
            self._measured(probe.latencies)
        self._after_probe = not probe.failed
        self._probe, self._probed_at = None, now
        self._set(self._algorithm.limit, self._algorithm.name)
        self._open(now + 3 * mean)  # until then the service is not yet as full again as the limit allows

    def _measured(self, latencies: Latencies) -> None:
        if self.unloaded is None:
            self.unloaded = Unloaded(latencies)
        else:
            self.unloaded.measured(latencies)

    def _set(self, limit: int, why: str) -> None:
        if limit != self.limit:
            self.limit, self.why = limit, why

    def _open(self, at: Optional[float]) -> None:
        self._window = Latencies()
        self._opened_at = at
        self._peak = self.running
