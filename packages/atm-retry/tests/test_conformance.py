"""What every strategy must do."""

from __future__ import annotations

from atm_retry import RetryStrategy

from atm_core.testing import StrategyConformance


class TestConformance(StrategyConformance):
    name = "retry"
    factory = RetryStrategy
    kind = {"again"}
    valid = [
        {"max_attempts": 3, "jitter": "none", "initial_delay_seconds": 0.5},
        {"max_attempts": 2, "jitter": "decorrelated", "seed": 1},
        {"max_attempts": 4, "backoff": "constant", "initial_delay_seconds": 0, "budget": {"ratio": 0.5}, "seed": 1},
        {"max_attempts": 2, "jitter": 0.5, "budget": {"max_tokens": 4}, "seed": 1},
    ]
    invalid = [
        {"max_attempts": 0},
        {"max_attempts": True},
        {"max_attempts": 2.5},
        {"backoff": "cubic"},
        {"backoff": "no_such_module:name"},
        {"initial_delay_seconds": -1},
        {"initial_delay_seconds": float("nan")},
        {"max_delay_seconds": 0},
        {"max_delay_seconds": float("inf")},
        {"multiplier": 0.5},
        {"jitter": "lots"},
        {"jitter": 1.0001},
        {"jitter": -0.0001},
        {"jitter": None},
        {"max_elapsed_seconds": -1},
        {"retry_on": ["NoSuchError"]},
        {"retry_on": 5},
        {"abort_on": [int]},
        {"retry_on_result": 5},
        {"delay_from": "nowhere"},
        {"max_retry_after_seconds": -1},
        {"budget": 5},
        {"seed": "random"},
    ]
