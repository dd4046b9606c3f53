"""The built-in strategies pass the conformance kit."""

from __future__ import annotations

from typing import Any

from atm_core.testing import Recorder, StrategyConformance
from atm_plugins import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy


class TestConcurrentLimit(StrategyConformance):
    name = "concurrent_limit"
    factory = ConcurrentLimitStrategy
    kind = {"gate"}
    valid = [{"max_concurrent": 1}, {"max_concurrent": 3}]
    invalid = [
        {"max_concurrent": 0},
        {"max_concurrent": -1},
        {"max_concurrent": True},
        {"max_concurrent": 2.5},
        {"max_concurrent": "3"},
        {"key": 7},
        {"cost": []},
    ]
    roomy = {"max_concurrent": 1000}

    def promise(self, recorder: Recorder, settings: Any) -> None:
        recorder.max_running(settings["max_concurrent"])


class TestDelayed(StrategyConformance):
    name = "delayed"
    factory = DelayedStrategy
    kind = {"gate"}
    valid = [{"delay_seconds": 0.5}, {"delay_seconds": 0.5, "measure_from": "start"}]
    invalid = [
        {"delay_seconds": -1},
        {"delay_seconds": True},
        {"delay_seconds": float("nan")},
        {"delay_seconds": float("inf")},
        {"delay_seconds": "1"},
        {"measure_from": "end"},
        {"key": 7},
    ]
    roomy = {"delay_seconds": 0.0, "measure_from": "start"}

    def promise(self, recorder: Recorder, settings: Any) -> None:
        recorder.min_gap(settings["delay_seconds"], measure_from=settings.get("measure_from", "completion"))


class TestFixedWindow(StrategyConformance):
    name = "fixed_window"
    factory = FixedWindowStrategy
    kind = {"gate"}
    valid = [
        {"max_requests": 2, "window_seconds": 1.0},
        {"max_requests": 2, "window_seconds": 1.0, "align": "epoch"},
    ]
    invalid = [
        {"max_requests": 0},
        {"max_requests": True},
        {"max_requests": 1.5},
        {"window_seconds": 0},
        {"window_seconds": -1.0},
        {"window_seconds": float("nan")},
        {"window_seconds": float("inf")},
        {"align": "last"},
        {"key": 7},
        {"cost": []},
    ]
    roomy = {"max_requests": 1000000, "window_seconds": 1.0}

    def promise(self, recorder: Recorder, settings: Any) -> None:
        most = 2 * settings["max_requests"] - (0 if settings.get("align") == "epoch" else 1)
        recorder.never_more_than(most, settings["window_seconds"])
