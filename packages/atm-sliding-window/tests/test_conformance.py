"""What every strategy passes."""

from __future__ import annotations

from typing import Any, Mapping

from atm_sliding_window import SlidingWindowStrategy

from atm_core.testing import Recorder, StrategyConformance


class TestConformance(StrategyConformance):
    name = "sliding_window"
    factory = SlidingWindowStrategy
    kind = {"gate"}
    valid = (
        {"max_requests": 2, "window_seconds": 3.0},
        {"max_requests": 2, "window_seconds": 3.0, "algorithm": "gcra", "burst": 1, "key": "host", "cost": "cost"},
        {"max_requests": 2, "window_seconds": 3.0, "algorithm": "counter", "key": "host"},
    )
    invalid = (
        {"max_requests": 0},
        {"max_requests": True},
        {"window_seconds": 0},
        {"window_seconds": float("inf")},
        {"algorithm": "fixed"},
        {"burst": 3},
    )
    roomy = {"max_requests": 10**6, "window_seconds": 1.0}

    def metadata(self, n: int) -> Mapping[str, Any]:
        return {"host": f"host-{n % 3}"}

    def promise(self, recorder: Recorder, settings: Mapping[str, Any]) -> None:
        most = {"log": 2, "gcra": 2, "counter": 4}[settings.get("algorithm", "log")]
        recorder.never_more_than(most, 3.0, key=settings.get("key"))
