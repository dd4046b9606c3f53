"""Batches for Async Task Manager: many items, one call, a result for each."""

from __future__ import annotations

from atm_bulk._batch import batch_size, batch_weight
from atm_bulk._batched import Batched, batched
from atm_bulk._errors import BatchResultError, BatchTimeoutError
from atm_bulk._strategy import BulkStrategy

__version__ = "1.0.0"

__all__ = [
    "BatchResultError",
    "BatchTimeoutError",
    "Batched",
    "BulkStrategy",
    "batch_size",
    "batch_weight",
    "batched",
]
