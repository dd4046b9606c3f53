"""Spread tasks over resources by weight, away from those that fail."""

from __future__ import annotations

from atm_weighted_round_robin.current import current_resource
from atm_weighted_round_robin.strategy import WeightedRoundRobinStrategy

__version__ = "1.0.0"

__all__ = ["WeightedRoundRobinStrategy", "current_resource"]
