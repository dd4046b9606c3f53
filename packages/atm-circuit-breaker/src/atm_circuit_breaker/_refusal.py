"""What a breaker that lets nothing through says to a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atm_circuit_breaker._errors import CircuitOpenError
from atm_circuit_breaker._state import State

if TYPE_CHECKING:
    from atm_circuit_breaker._breaker import Breaker

__all__ = ["about", "refusal"]

_ULP = 2.0**-52


def about(breaker: Breaker, now: float) -> str:
    """Why the breaker lets nothing through."""
    seen = breaker.snapshot(now)
    whose = "the circuit" if breaker.key is None else f"the circuit of {breaker.key!r}"
    if seen.state is State.HALF_OPEN:
        return f"{whose} is half-open, and all its probes are under way"
    if not (seen.failures or seen.slow_calls):  # by hand, or by a probe that hangs
        return f"{whose} is open"
    slow = f", {seen.slow_calls} were slow" if seen.slow_calls else ""
    return f"{whose} is open: {seen.failures} of the last {seen.calls} calls failed{slow}"


def refusal(breaker: Breaker, now: float) -> CircuitOpenError:
    """The error for a task that cannot start at this time."""
    seen = breaker.snapshot(now)
    until = breaker.ready_at(now) if seen.state is State.OPEN else breaker.deadline()
    seconds = until - now
    if now + seconds < until:
        seconds += until * _ULP  # who waits exactly so long must not come a rounding error too early
    return CircuitOpenError(
        f"{about(breaker, now)}; try again in {seconds:.3g} s",
        retry_after=seconds,
        key=breaker.key,
        state=seen.state,
        failure_rate=seen.failure_rate,
        slow_call_rate=seen.slow_call_rate,
        last_cause=breaker.last_failure,
    )
