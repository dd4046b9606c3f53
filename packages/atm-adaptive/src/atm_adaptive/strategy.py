"""A concurrency limit that finds itself."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import math
import socket
from typing import TYPE_CHECKING, Any, Callable, Dict, Hashable, Mapping, Optional, Set, Tuple

from atm_adaptive import _marks
from atm_adaptive._control import Control
from atm_adaptive._keys import Controls
from atm_adaptive._resources import Band, ResourceLimit
from atm_adaptive._sampler import Meter, Sampler, system_meters
from atm_adaptive.algorithms import AIMDLimit, Gradient2Limit, LimitAlgorithm, VegasLimit
from atm_core import Settings, SlotGate, TaskRejected, TaskState, hookimpl
from atm_core.strategy import Key

if TYPE_CHECKING:
    from atm_core import Outcome, Task, TaskManager

__all__ = ["AdaptiveStrategy"]

_SHORTEST = 1e-4  # seconds: below, a latency tells nothing of a service (WindowedLimit.java)
_TIMEOUTS = (asyncio.TimeoutError, TimeoutError, concurrent.futures.TimeoutError, socket.timeout)


class AdaptiveStrategy(SlotGate):
    """At most so many tasks at once as what they call can serve: a concurrency limit found by latency.

    A latency is the work's own: it begins with the attempt's first step, so waiting in our queue is not in it.
    Attempts that were cancelled, rejected, or failed are no sample, nor is one that waited for a queued task of the
    manager. A timeout (an exception in ``drop``, or a latency above ``latency_timeout_seconds``) is a drop.

    The limit is the smallest of what the algorithm says and what CPU, memory and the event loop allow. A limit that
    falls stops no task: nothing starts until there is room again. Nested work lends its slots (see
    :class:`~atm_core.SlotGate`).

    O(1) a task in time, O(n log n) a window of n samples. 8 bytes a sample, at most 1024 a key; a key that is idle
    is forgotten at once if it has filled no window, otherwise after a minute.

    Args:
        algorithm: ``"gradient"`` (Gradient2), ``"vegas"`` or ``"aimd"``, as Netflix's concurrency-limits has them.
        initial_limit: Where it begins, between the next two.
        min_limit: Never below. At least 1.
        max_limit: Never above.
        latency_tolerance: How many times the latency without load is accepted; greater than 1.
        smoothing: Gradient and vegas: the weight of each new estimate, above 0 up to 1.
        latency_timeout_seconds: Longer than this is a drop.
        backoff_ratio: What a drop leaves of the limit (aimd), and a resource that is short; 0.5 to 0.999.
        window_seconds: The limit is computed anew so often,
        min_samples: ... and from at least so many samples.
        cpu_high, cpu_low: Fractions of the CPU (of the container's quota, or of the machine): from ``cpu_high`` on,
            fewer tasks run; from ``cpu_low`` down, more. ``cpu_high=None``: not watched.
        memory_high, memory_low: Likewise of the memory.
        loop_lag_high_seconds: A timer of the event loop is so late: fewer tasks run, until it is at most half as
            late. None: not watched.
        sample_interval_seconds: How often these three are read, while anything runs.
        key: A metadata field, or a function of the task: a limit of its own for each value.
        drop: Exception classes, their names, or a function of an exception: which failures are signs of overload.
        probe: Measure the latency without load now and then, at half the limit, and keep to it. False: the
            algorithm alone.

    Left as they are, the marks for CPU and memory hold if psutil is installed (``pip install atm-adaptive[system]``).
    A mark that is given needs it. In virtual time the machine is not looked at.

    Raises:
        SettingError: Naming the parameter and the value; also if a mark for CPU or memory is given without psutil.
    """

    def __init__(
        self,
        algorithm: str = "gradient",
        *,
        initial_limit: int = 20,
        min_limit: int = 1,
        max_limit: int = 200,
        latency_tolerance: float = 1.5,
        smoothing: float = 0.2,
        latency_timeout_seconds: float = 5.0,
        backoff_ratio: float = 0.9,
        window_seconds: float = 1.0,
        min_samples: int = 10,
        cpu_high: Optional[float] = _marks.CPU_HIGH,
        cpu_low: float = _marks.CPU_LOW,
        memory_high: Optional[float] = _marks.MEMORY_HIGH,
        memory_low: float = _marks.MEMORY_LOW,
        loop_lag_high_seconds: Optional[float] = 0.1,
        sample_interval_seconds: float = 1.0,
        key: Key = None,
        drop: Any = _TIMEOUTS,
        probe: bool = True,
    ) -> None:
        with Settings("AdaptiveStrategy") as check:
            self.algorithm: str = check.choice("algorithm", algorithm, tuple(_ALGORITHMS))
            self.min_limit: int = check.count("min_limit", min_limit)
            self.max_limit: int = check.count("max_limit", max_limit)
            self.initial_limit: int = check.count("initial_limit", initial_limit)
            if _whole(min_limit, initial_limit, max_limit) and not min_limit <= initial_limit <= max_limit:
                expected = f"must be from min_limit ({min_limit}) to max_limit ({max_limit})"
                check.fail("initial_limit", initial_limit, expected)
            self.latency_tolerance: float = check.number("latency_tolerance", latency_tolerance, above=1.0)
            self.smoothing: float = check.number("smoothing", smoothing, above=0.0, most=1.0)
            timeout: float = check.duration("latency_timeout_seconds", latency_timeout_seconds, zero=False)
            self.latency_timeout_seconds = timeout
            self.backoff_ratio: float = check.number("backoff_ratio", backoff_ratio, least=0.5, most=0.999)
            self.window_seconds: float = check.duration("window_seconds", window_seconds, zero=False)
            self.min_samples: int = check.count("min_samples", min_samples)
            bands = {
                "cpu": _marks.band(check, "cpu", cpu_high, cpu_low),
                "memory": _marks.band(check, "memory", memory_high, memory_low),
            }
            lag = check.duration("loop_lag_high_seconds", loop_lag_high_seconds, zero=False, optional=True)
            interval: float = check.duration("sample_interval_seconds", sample_interval_seconds, zero=False)
            self.sample_interval_seconds = interval
            self._drop = check.failure("drop", drop)
            self.probe: bool = check.flag("probe", probe)
            super().__init__(key=key)
        bands["loop_lag"] = None if lag is None else Band(lag / 2, lag)
        self._bands = {name: band for name, band in bands.items() if band is not None}
        self._resources = ResourceLimit(
            self._bands, backoff_ratio=backoff_ratio, min_limit=min_limit, max_limit=max_limit
        )
        self._controls = Controls(self._new_control)
        self._keyless = self._controls.keyless
        self._held_by: Dict[Task[Any], Tuple[Hashable, Control]] = {}  # with ``key``: of what runs
        self._waited: Set[Task[Any]] = set()  # what runs and has waited in our queue
        self._in_flight = 0
        self._sampler: Optional[Sampler] = None

    @property
    def limit(self) -> int:
        """How many may run at once now; with ``key``: of the tasks without one."""
        return self.limit_of(None)

    @property
    def why(self) -> str:
        """Which signal set the limit last.

        ``"initial"``; ``"gradient"``, ``"vegas"``, ``"aimd"``: the algorithm; ``"latency"``: it was beyond the
        tolerance; ``"probe"``: the latency without load is being measured; ``"cpu"``, ``"memory"``, ``"loop_lag"``.
        """
        return self.why_of(None)

    def limit_of(self, key: Hashable) -> int:
        """How many may run at once now under ``key``."""
        control = self._keyless if key is None else self._controls.of(key)
        limit = self.initial_limit if control is None else control.limit
        most = self._resources.limit
        return limit if limit <= most else int(most)

    def why_of(self, key: Hashable) -> str:
        """Which signal set the limit of ``key`` last: see :attr:`why`."""
        control = self._controls.of(key)
        limit, why = (self.initial_limit, "initial") if control is None else (control.limit, control.why)
        return self._resources.why if self._resources.limit < limit else why

    def explain(self, task: Task[Any], now: float) -> str:
        return f"{super().explain(task, now)} (limited by {self.why_of(self.key_of(task))})"

    def stats(self) -> Dict[str, Any]:
        unloaded, resources = self._keyless.unloaded, self._resources
        return {
            **super().stats(),
            "limit": self.limit,
            "why": self.why,
            "unloaded_seconds": None if unloaded is None else unloaded.mean,
            "resource_limit": None if resources.limit == math.inf else resources.limit,
            "readings": resources.readings,
            "idle_keys": self._controls.idle,
        }

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """Take the slot."""
        super().atm_started(task, now)
        if self._key is None:
            control = self._keyless
        else:
            key = self.booked_key(task)  # asked once: a function may answer something else now, or raise
            control = self._controls.take(key)
            self._held_by[task] = key, control
        control.started(task, now)
        self._in_flight += 1
        if self._in_flight == 1 and self._sampler is not None:
            self._sampler.set_busy(True)

    @hookimpl
    def atm_finished(self, task: Task[Any], outcome: Outcome, now: float) -> None:  # type: ignore[override]  # by name
        """Learn from its latency, and give the slot back."""
        key, control = (None, self._keyless) if self._key is None else self._held_by.pop(task)
        rtt, dropped = None, False
        try:
            rtt, dropped = self._sample(task, outcome)
        finally:  # ``drop`` may be a function of the user's, and raise
            control.finished(task, now, rtt, dropped)
            super().atm_finished(task)
            if key is not None and not control.running:
                self._controls.rest(key, now)
            self._in_flight -= 1
            if not self._in_flight and self._sampler is not None:
                self._sampler.set_busy(False)

    @hookimpl
    def atm_awaited(self, task: Task[Any], by: Task[Any]) -> None:
        """Lend the slot, and note that from now on the latency of ``by`` is not its own."""
        super().atm_awaited(task, by)
        if task.state is TaskState.PENDING:
            self._waited.add(by)

    @hookimpl
    async def atm_manager_started(self, manager: TaskManager) -> None:
        """Begin to read the resources; what was learned stays."""
        self._controls.restart(asyncio.get_running_loop().time())
        meters = self._meters()
        if meters or "loop_lag" in self._bands:
            self._sampler = Sampler(functools.partial(self._observe, manager), meters, self.sample_interval_seconds)
            self._sampler.set_busy(self._in_flight > 0)

    @hookimpl
    async def atm_manager_stopped(self, manager: TaskManager) -> None:
        """Read no more."""
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            await sampler.stop()

    def _meters(self) -> Dict[str, Meter]:
        if hasattr(asyncio.get_running_loop(), "wall_time"):  # virtual time: the machine has no part in it
            return {}
        return system_meters("cpu" in self._bands, "memory" in self._bands)

    def _observe(self, manager: TaskManager, readings: Mapping[str, float]) -> None:
        before = self._resources.limit
        self._resources.observe(readings, self._controls.most_running())
        if self._resources.limit > before:
            for key in self._controls.keys_in_use():
                self.grant(key)
            manager.wake()

    def _sample(self, task: Task[Any], outcome: Outcome) -> Tuple[Optional[float], bool]:
        """The latency that an attempt shows, if any, and whether it is a drop."""
        rtt, error = outcome.duration, outcome.exception
        if task in self._waited:
            self._waited.discard(task)
            return None, False
        if rtt is None or rtt < _SHORTEST or outcome.cancelled or isinstance(error, TaskRejected):
            return None, False
        if error is None:
            return rtt, rtt > self.latency_timeout_seconds
        return (rtt, True) if self._drop(error) else (None, False)

    def _new_control(self) -> Control:
        return Control(
            _ALGORITHMS[self.algorithm](self),
            window_seconds=self.window_seconds,
            min_samples=self.min_samples,
            tolerance=self.latency_tolerance,
            probe=self.probe,
        )


_ALGORITHMS: Dict[str, Callable[[AdaptiveStrategy], LimitAlgorithm]] = {
    "gradient": lambda it: Gradient2Limit(
        it.initial_limit, it.min_limit, it.max_limit, smoothing=it.smoothing, rtt_tolerance=it.latency_tolerance
    ),
    "vegas": lambda it: VegasLimit(
        it.initial_limit,
        it.min_limit,
        it.max_limit,
        smoothing=it.smoothing,
        probe_multiplier=None if it.probe else 30,  # its own probes take the latency under load for that without
    ),
    "aimd": lambda it: AIMDLimit(
        it.initial_limit,
        it.min_limit,
        it.max_limit,
        backoff_ratio=it.backoff_ratio,
        timeout=it.latency_timeout_seconds,
    ),
}


def _whole(*values: Any) -> bool:
    return all(isinstance(value, int) for value in values)
