"""What every strategy must do."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, List

from atm_bulk import BulkStrategy, batched

from atm_core import Task, TaskManager
from atm_core.testing import StrategyConformance


@batched
async def together(works: List[Callable[[], Any]]) -> List[Any]:
    return await asyncio.gather(*(work() for work in works), return_exceptions=True)


class TestConformance(StrategyConformance):
    name = "bulk"
    factory = BulkStrategy
    kind = {"gate", "holds"}
    valid = [
        {"max_batch_size": 3, "max_wait_seconds": 0.5},
        {"max_batch_size": 1},
        {"max_batch_size": 4, "max_wait_seconds": 0, "max_concurrent_batches": 1},
        {"max_batch_size": 2, "key": "name", "batch_timeout_seconds": 60},
        {"dedupe": True, "weight": "weight", "max_batch_weight": 3, "on_failure": "bisect"},
    ]
    invalid = [
        {"max_batch_size": 0},
        {"max_batch_size": 2.5},
        {"max_batch_size": True},
        {"max_wait_seconds": -1},
        {"max_wait_seconds": float("nan")},
        {"max_batch_weight": 5},
        {"weight": 5},
        {"max_concurrent_batches": 0},
        {"on_failure": "explode"},
        {"max_splits": 0},
        {"split_on_timeout": "no"},
        {"batch_timeout_seconds": 0},
        {"dedupe": 5},
        {"key": 5},
        {"key": []},
    ]

    def submit(self, manager: TaskManager, work: Callable[[], Any], n: int) -> Task[Any]:
        return manager.submit(together, work)


class TestOtherWork(StrategyConformance):
    """Work that it lets pass."""

    name = "bulk"
    factory = BulkStrategy
    kind = {"gate", "holds"}
    valid = [{}, {"max_concurrent_batches": 1, "weight": "weight"}]
    invalid = [{"max_batch_size": 0}]
