"""Urgent work first, and nothing waits for ever."""

from __future__ import annotations

from atm_priority_queue.strategy import PriorityQueueStrategy

__all__ = ["PriorityQueueStrategy"]
