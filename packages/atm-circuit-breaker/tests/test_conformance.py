"""What every strategy must do."""

from __future__ import annotations

from typing import Any, Dict, List

from atm_circuit_breaker import CircuitBreakerStrategy

from atm_core.testing import StrategyConformance

INVALID: List[Dict[str, Any]] = [
    {"failure_rate_threshold": 0},
    {"failure_rate_threshold": 50},
    {"failure_rate_threshold": True},
    {"minimum_calls": 0},
    {"window": "tumbling"},
    {"window_size": 0},
    {"window_size": 2.5},
    {"window": "time", "window_size": -1},
    {"consecutive_failures": 0},
    {"slow_call_seconds": -1},
    {"slow_call_rate_threshold": 1.5},
    {"open_seconds": 0},
    {"open_seconds": float("inf")},
    {"open_multiplier": 0.5},
    {"max_open_seconds": 0},
    {"half_open_max_calls": 0},
    {"half_open_timeout_seconds": 0},
    {"record": 5},
    {"ignore": [int]},
    {"when_open": "queue"},
    {"key": 5},
    {"health_check": 5},
    {"health_check_interval_seconds": 0},
    {"on_state_change": "nowhere"},
]


class TestRejecting(StrategyConformance):
    name = "circuit_breaker"
    factory = CircuitBreakerStrategy
    kind = {"gate", "rejects"}
    remembers = True
    valid = [
        {"consecutive_failures": 1, "open_seconds": 2.0, "half_open_max_calls": 1},
        {"minimum_calls": 2, "window": "time", "window_size": 10.0, "open_seconds": 1.0, "key": "service"},
    ]
    invalid = INVALID


class TestWaiting(StrategyConformance):
    name = "circuit_breaker"
    factory = CircuitBreakerStrategy
    kind = {"gate"}
    remembers = True
    valid = [
        {"when_open": "wait", "consecutive_failures": 1, "open_seconds": 0.5, "half_open_max_calls": 1},
        {"when_open": "wait", "minimum_calls": 2, "open_seconds": 1.0, "half_open_timeout_seconds": 0.2},
    ]
    invalid = INVALID

    def metadata(self, n: int) -> Any:
        return {"service": n % 2}
