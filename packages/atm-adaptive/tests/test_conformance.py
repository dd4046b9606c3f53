"""What every strategy must do."""

from __future__ import annotations

from typing import Any, Mapping

from atm_adaptive import AdaptiveStrategy

from atm_core.testing import StrategyConformance


class TestConformance(StrategyConformance):
    name = "adaptive"
    factory = AdaptiveStrategy
    kind = {"gate"}
    remembers = True
    roomy = {}
    valid = [
        {"initial_limit": 2, "max_limit": 3},
        {"algorithm": "vegas", "initial_limit": 2, "window_seconds": 0.1, "min_samples": 2, "key": "tenant"},
        {"algorithm": "aimd", "initial_limit": 1, "window_seconds": 0.1, "min_samples": 1, "probe": False},
    ]
    invalid = [
        {"algorithm": "bbr"},
        {"initial_limit": 0},
        {"initial_limit": 2.5},
        {"min_limit": 0},
        {"max_limit": True},
        {"latency_tolerance": 1},
        {"smoothing": 0},
        {"latency_timeout_seconds": 0},
        {"backoff_ratio": 1},
        {"window_seconds": float("inf")},
        {"min_samples": 0},
        {"cpu_high": 1.5},
        {"cpu_low": -1},
        {"memory_high": "much"},
        {"memory_low": float("nan")},
        {"loop_lag_high_seconds": 0},
        {"sample_interval_seconds": 0},
        {"key": 5},
        {"drop": 5},
        {"probe": 1},
    ]

    def metadata(self, n: int) -> Mapping[str, Any]:
        return {"tenant": n % 3}
