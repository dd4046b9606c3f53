"""Retries for Async Task Manager: run what failed again, later, without holding anything meanwhile."""

from __future__ import annotations

from atm_retry._budget import RetryBudget, RetryThrottle
from atm_retry._history import RetryHistory
from atm_retry._retry_after import parse_retry_after, retry_after_of
from atm_retry._strategy import NotRepeatableError, RetryStrategy

__all__ = [
    "NotRepeatableError",
    "RetryBudget",
    "RetryHistory",
    "RetryStrategy",
    "RetryThrottle",
    "parse_retry_after",
    "retry_after_of",
]
