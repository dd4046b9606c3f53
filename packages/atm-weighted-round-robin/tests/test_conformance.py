"""The conformance kit of the core."""

from __future__ import annotations

from typing import Any, Mapping

from atm_weighted_round_robin import WeightedRoundRobinStrategy

from atm_core.testing import Recorder, StrategyConformance


class TestConformance(StrategyConformance):
    name = "weighted_round_robin"
    factory = WeightedRoundRobinStrategy
    kind = {"gate"}
    valid = [
        {"resources": {"a": 2, "b": 1}, "max_concurrent_per_resource": 1, "max_failures": 2},
        {"resources": {"a": 1, "b": 3}, "max_concurrent_per_resource": 1, "algorithm": "least_request"},
        {
            "resources": {"a": 1},
            "algorithm": "edf",
            "key": "tenant",
            "max_failures": 1,
            "max_ejected_fraction": 1.0,
            "ejection_seconds": 1.0,
            "max_ejection_seconds": 4.0,
            "max_concurrent_per_resource": 1,
            "when_all_down": "wait",
            "slow_start_seconds": 5.0,
        },
    ]
    invalid = [
        {"resources": None},
        {"resources": {"a": -1}},
        {"resources": {"a": True}},
        {"resources": {"a": "much"}},
        {"resources": {"a": 1e-9}},
        {"algorithm": "random"},
        {"max_concurrent_per_resource": 0},
        {"max_failures": 0},
        {"max_failures": True},
        {"ejection_seconds": 0},
        {"max_ejection_seconds": float("inf")},
        {"max_ejected_fraction": 1.5},
        {"failure": (int,)},
        {"health_check": 3},
        {"health_check_interval_seconds": 0.0},
        {"slow_start_seconds": -1.0},
        {"when_all_down": "use_some"},
        {"key": 5},
    ]
    roomy = {"resources": {"a": 5, "b": 1, "c": 1}}

    def metadata(self, n: int) -> Mapping[str, Any]:
        return {"tenant": n % 3}

    def promise(self, recorder: Recorder, settings: Mapping[str, Any]) -> None:
        """Never more than so many at once on one resource."""
        running = 0
        for row in recorder.rows:
            running += {"atm_started": 1, "atm_finished": -1}.get(row.hook, 0)
            assert running <= settings["max_concurrent_per_resource"] * len(settings["resources"])
