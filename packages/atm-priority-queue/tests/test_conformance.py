"""What every strategy passes."""

from __future__ import annotations

from typing import Any, Mapping

from atm_priority_queue import PriorityQueueStrategy

from atm_core.testing import StrategyConformance


class TestConformance(StrategyConformance):
    name = "priority_queue"
    factory = PriorityQueueStrategy
    kind = {"order", "rejects"}
    valid = (
        {"aging_seconds": 1.0},
        {"aging_seconds": None, "inherit": False},
        {"max_pending": 3, "overflow": "drop_lowest"},
        {"max_pending": 3, "overflow": "drop_oldest"},
    )
    invalid = (
        {"levels": []},
        {"default": "urgent"},
        {"field": ""},
        {"aging_seconds": 0},
        {"inherit": "yes"},
        {"max_pending": 0},
        {"overflow": "drop"},
    )
    roomy = {}

    def metadata(self, n: int) -> Mapping[str, Any]:
        return {"priority": ("critical", "high", "normal", "low")[n % 4]}
