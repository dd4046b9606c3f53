"""A circuit breaker for Async Task Manager: fail fast while a service is down, one breaker a service."""

from __future__ import annotations

from atm_circuit_breaker._errors import CircuitOpenError
from atm_circuit_breaker._state import Snapshot, State
from atm_circuit_breaker._strategy import CircuitBreakerStrategy

__all__ = ["CircuitBreakerStrategy", "CircuitOpenError", "Snapshot", "State"]
