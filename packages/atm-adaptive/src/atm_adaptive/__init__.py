"""A concurrency limit that finds itself, for Async Task Manager."""

from __future__ import annotations

from atm_adaptive.algorithms import AIMDLimit, Gradient2Limit, LimitAlgorithm, VegasLimit
from atm_adaptive.strategy import AdaptiveStrategy

__version__ = "1.0.0"

__all__ = ["AIMDLimit", "AdaptiveStrategy", "Gradient2Limit", "LimitAlgorithm", "VegasLimit"]
