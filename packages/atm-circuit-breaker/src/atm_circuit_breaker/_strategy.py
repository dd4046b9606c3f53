"""Stop calling a service that is down."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import weakref
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Dict,
    Hashable,
    List,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
)

from atm_circuit_breaker._breaker import NOTHING, Breaker, Rules
from atm_circuit_breaker._health import HealthChecks
from atm_circuit_breaker._judge import Judge
from atm_circuit_breaker._refusal import about, refusal
from atm_circuit_breaker._registry import Breakers
from atm_circuit_breaker._state import Snapshot, State
from atm_circuit_breaker._windows import CountWindow, TimeWindow
from atm_core import Gate, Settings, hookimpl

if TYPE_CHECKING:
    from atm_core import Outcome, Task, TaskManager
    from atm_core.strategy import Key

    ExceptionType = Union[Type[BaseException], str]
    Errors = Union[ExceptionType, Sequence[ExceptionType], Callable[[BaseException], bool]]

__all__ = ["CircuitBreakerStrategy"]

_log = logging.getLogger("atm_circuit_breaker")
_EVERY: Any = object()


class CircuitBreakerStrategy(Gate):
    """Fails tasks at once while the service that they call is down, and tries with a few when it is up.

    **Closed**: every attempt counts in a window; when the rate of failures or of slow calls in it reaches its
    threshold, the breaker opens. **Open**: no attempt starts for ``open_seconds``. **Half-open**: up to
    ``half_open_max_calls`` probes do, and once so many have counted, their rates close the breaker or open it
    again.

    An attempt counts in the state in which it started, or not at all. Cancelled and ignored attempts do not
    count, and return their place among the probes; nor do refusals by strategies (``TaskRejected``).

    The definitions are those of resilience4j (CircuitBreakerStateMachine) and, for ``consecutive_failures``
    and the generations, of Sony's gobreaker. Unlike there, the time-out of the half-open state is one for
    each probe: without traffic it lasts, and does not fall back to open.

    O(1) an attempt in time. A window of calls takes a byte each, one of seconds up to 300 slices. The breaker
    of an idle key is dropped after ``open_seconds`` if its window is clean, after an hour if it has failures
    to remember, and at once beyond 10,000 keys.

    Args:
        failure_rate_threshold: Opens at this rate or above: greater than 0, at most 1.
        minimum_calls: Rates are looked at from so many calls in the window on; for a window of calls, its
            size is enough.
        window: ``"count"``: the last ``window_size`` calls; ``"time"``: those of the last ``window_size``
            seconds.
        window_size: Calls, at least 1, or seconds, greater than 0.
        consecutive_failures: Opens after so many failures in a row as well, however few the calls; None:
            never.
        slow_call_seconds: A call that takes longer is slow, whether it fails or not; None: none is.
        slow_call_rate_threshold: Opens at this rate of slow calls or above: greater than 0, at most 1.
        open_seconds: How long it stays open, greater than 0.
        open_multiplier: Each opening in a row lasts so many times longer, at least 1.
        max_open_seconds: ... up to this; it does not shorten ``open_seconds``.
        half_open_max_calls: How many probes, at least 1.
        half_open_timeout_seconds: A probe that takes longer opens the breaker again; default
            ``open_seconds``.
        record: What counts as a failure: exception classes (or their dotted names), or a function of the
            exception. Other exceptions count as successes: the service has answered.
        ignore: Likewise, what does not count at all.
        when_open: ``"reject"``: queued and new tasks fail at once with :class:`CircuitOpenError`. ``"wait"``:
            they wait until the first probe may go, and for what it finds.
        key: A metadata field, or a function of the task: a breaker for each value, ``key="service"``.
        health_check: An async function (or its dotted name) that is asked while a breaker is open, with the
            key if there are keys: True closes the breaker, ``"half_open"`` lets probes through, False leaves
            it open, and so does whatever goes wrong in it.
        health_check_interval_seconds: How often, and how long it may take.
        on_state_change: A function of the key, the state before and the state after; what it raises is
            logged.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    shareable = True

    def __init__(
        self,
        failure_rate_threshold: float = 0.5,
        *,
        minimum_calls: int = 10,
        window: str = "count",
        window_size: float = 100,
        consecutive_failures: Optional[int] = None,
        slow_call_seconds: Optional[float] = None,
        slow_call_rate_threshold: float = 1.0,
        open_seconds: float = 30,
        open_multiplier: float = 1.0,
        max_open_seconds: float = 300,
        half_open_max_calls: int = 3,
        half_open_timeout_seconds: Optional[float] = None,
        record: Errors = (Exception,),
        ignore: Errors = (),
        when_open: str = "reject",
        key: Key = None,
        health_check: Union[str, Callable[..., Awaitable[Any]], None] = None,
        health_check_interval_seconds: float = 5,
        on_state_change: Union[str, Callable[[Hashable, State, State], None], None] = None,
    ) -> None:
        with Settings("CircuitBreakerStrategy") as check:
            if check.choice("window", window, ("count", "time")) == "count":
                check.count("window_size", window_size)
            else:
                check.duration("window_size", window_size, zero=False)
            check.number("failure_rate_threshold", failure_rate_threshold, above=0, most=1)
            check.number("slow_call_rate_threshold", slow_call_rate_threshold, above=0, most=1)
            check.count("minimum_calls", minimum_calls)
            check.count("consecutive_failures", consecutive_failures, optional=True)
            check.count("half_open_max_calls", half_open_max_calls)
            check.duration("open_seconds", open_seconds, zero=False)
            check.number("open_multiplier", open_multiplier, least=1)
            check.duration("max_open_seconds", max_open_seconds, zero=False)
            check.duration("half_open_timeout_seconds", half_open_timeout_seconds, zero=False, optional=True)
            self._judge = Judge(
                check.failure("record", record),
                check.failure("ignore", ignore),
                check.duration("slow_call_seconds", slow_call_seconds, optional=True),
            )
            self._rejects = check.choice("when_open", when_open, ("reject", "wait")) == "reject"
            asks: Any = check.callable("health_check", health_check)
            interval = check.duration(
                "health_check_interval_seconds", health_check_interval_seconds, zero=False
            )
            self._on_state_change = check.callable("on_state_change", on_state_change)
            if inspect.iscoroutinefunction(self._on_state_change):
                check.fail("on_state_change", on_state_change, "must be a plain function", wrong_type=True)
            super().__init__(key=key)
        counts = window == "count"
        rules = Rules(
            window=lambda: CountWindow(int(window_size)) if counts else TimeWindow(window_size),
            minimum_calls=min(minimum_calls, int(window_size)) if counts else minimum_calls,
            failure_rate=failure_rate_threshold,
            slow_rate=slow_call_rate_threshold,
            consecutive_failures=consecutive_failures,
            open_seconds=open_seconds,
            open_multiplier=open_multiplier,
            max_open_seconds=max_open_seconds,
            max_probes=half_open_max_calls,
            probe_seconds=open_seconds if half_open_timeout_seconds is None else half_open_timeout_seconds,
        )
        self._breakers = Breakers(rules, lambda *change: self._changes.append(change))
        self._running: Dict[Task[Any], Tuple[Breaker, int]] = {}  # the breaker of each, and its generation
        self._changes: List[Tuple[Hashable, State, State]] = []  # not told yet; emptied before a hook returns
        self._managers: weakref.WeakSet[TaskManager] = weakref.WeakSet()
        self._started = 0  # managers
        self._clock: Callable[[], float] = time.monotonic
        self._health = None if asks is None else self._health_checks(asks, interval)

    # For the program: on the loop's thread.

    def state(self, key: Hashable = None) -> State:
        """The state of the breaker of ``key`` (without keys: of the breaker)."""
        breaker = self._breakers.get(key)
        return State.CLOSED if breaker is None else breaker.state_at(self._now())

    def snapshot(self, key: Hashable = None) -> Snapshot:
        """What the breaker of ``key`` (without keys: the breaker) has seen."""
        return (self._breakers.get(key) or self._breakers.new(key)).snapshot(self._now())

    def trip(self, key: Hashable = _EVERY) -> None:
        """Open the breaker of ``key``, by default every known one, for ``open_seconds`` from now on."""
        now = self._now()
        for breaker in self._chosen(key):
            breaker.catch_up(now)
            breaker.open(now)
        self._tell(wake=True)

    def reset(self, key: Hashable = _EVERY) -> None:
        """Close the breaker of ``key``, by default every one; it forgets what it has seen."""
        for breaker in self._chosen(key):
            breaker.close()
        self._tell(wake=True)

    def explain(self, task: Task[Any], now: float) -> str:
        breaker = self._breakers.get(self.key_of(task))
        if breaker is None or breaker.ready_at(now) <= now:
            return "the circuit lets it through"
        return about(breaker, now)

    def stats(self) -> Dict[str, Any]:
        now = self._now()
        states = [breaker.state_at(now) for breaker in self._breakers.values()]
        counts: Dict[str, Any] = {state.value: states.count(state) for state in State}
        return {"keys": len(states), **counts, "running": len(self._running)}

    # For the manager.

    @hookimpl
    def atm_manager_started(self, manager: TaskManager) -> None:
        """Know whom to wake, and begin with the health checks."""
        self._managers.add(manager)
        self._clock = asyncio.get_running_loop().time
        self._started += 1
        if self._health is not None and self._started == 1:
            self._health.start([one.key for one in self._breakers.values() if self._is_open(one.key)])

    @hookimpl
    async def atm_manager_stopped(self, manager: TaskManager) -> None:
        """End the health checks with the last manager; woken it is still, since it may start again."""
        self._started -= 1
        if self._health is not None and not self._started:
            await self._health.stop()

    # First, so that queued tasks fail at once, too, if another gate would let them wait.
    @hookimpl(tryfirst=True)
    def atm_ready_at(self, task: Task[Any], now: float) -> float:
        """At once while closed and for a probe, otherwise at the end of the opening, or not at all."""
        breaker = self._breakers.get(self.key_of(task))
        if breaker is None:
            return now
        at = breaker.ready_at(now)
        if at > now and self._rejects:
            raise refusal(breaker, now)
        return at

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """Remember in which state it started."""
        breaker = self._breakers[self.key_of(task)]
        self._running[task] = (breaker, breaker.start(task, now))
        if self._key is not None:
            self._breakers.forget_idle(now)
        if self._changes:
            self._tell()

    @hookimpl
    def atm_finished(self, task: Task[Any], outcome: Outcome, now: float) -> None:
        """Count it."""
        breaker, generation = self._running.pop(task)
        verdict, slow = self._judge.verdict(outcome), self._judge.slow(outcome)
        breaker.end(task, generation, verdict, now, slow, outcome.exception)
        # A place among the probes that is free again may be taken in another manager.
        if self._changes or (verdict is NOTHING and breaker.state_at(now) is State.HALF_OPEN):
            self._tell()

    # Inside.

    def _chosen(self, key: Hashable) -> List[Breaker]:
        if key is _EVERY and self._key is not None:
            return list(self._breakers.values())
        return [self._breakers[None if key is _EVERY else key]]

    def _is_open(self, key: Hashable) -> bool:
        return self.state(key) is State.OPEN

    def _tell(self, wake: bool = False) -> None:
        """Pass on the changes of state, when they are complete: who is told may call back."""
        changes, self._changes = self._changes, []
        for key, before, after in changes:
            opened = after is State.OPEN
            if opened and self._health is not None:
                self._health.opened(key)
            wake = wake or (opened and self._rejects)
            if self._on_state_change is not None:
                try:
                    self._on_state_change(key, before, after)
                except Exception:
                    _log.exception("on_state_change raised")
        # The manager of an attempt looks again by itself at its end; others do not.
        if wake or len(self._managers) > 1:
            for manager in list(self._managers):
                manager.wake()

    def _health_checks(self, check: Callable[..., Awaitable[Any]], interval: float) -> HealthChecks:
        def heal(key: Hashable, state: State) -> None:
            breaker = self._breakers[key]
            breaker.close() if state is State.CLOSED else breaker.half_open()
            self._tell(wake=True)

        def ask(key: Hashable) -> Awaitable[Any]:
            return check() if self._key is None else check(key)

        return HealthChecks(ask, interval, self._is_open, heal)

    def _now(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return self._clock()
