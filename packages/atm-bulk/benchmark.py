"""What a batched item costs: ``python packages/atm-bulk/benchmark.py``. CPU time and memory, the best of five runs."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import Any, Callable, Dict, List

from atm_bulk import BulkStrategy, batched

from atm_core import TaskManager

N = 50_000


@batched
async def many(items: List[int]) -> None:
    """Nothing, for many items."""


async def one(item: int) -> None:
    """Nothing, for one item."""


async def seconds(strategies: List[Any], fn: Callable[[int], Any]) -> float:
    """CPU time a task, from submit to its end."""
    began = time.process_time()
    async with TaskManager(strategies) as manager:
        tasks = [manager.submit(fn, item) for item in range(N)]
    assert all(task.done() for task in tasks)
    return (time.process_time() - began) / N


async def waiting_bytes(strategies: List[Any], fn: Callable[[int], Any]) -> float:
    """Memory a task that waits."""
    manager = TaskManager(strategies)
    items = list(range(N))
    tracemalloc.start()
    tasks = [manager.submit(fn, item) for item in items]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await manager.aclose()
    return size / len(tasks)


def main() -> Dict[str, Any]:
    """Time and memory of each case."""
    cases: Dict[str, Any] = {
        "one task an item": (list, one),
        "batches of 1000": (lambda: [BulkStrategy(1000)], many),
        "batches of 100": (lambda: [BulkStrategy(100)], many),
        "batches of 10": (lambda: [BulkStrategy(10)], many),
        "batches of 100, dedupe": (lambda: [BulkStrategy(100, dedupe=True)], many),
        "batches of 100, weight": (lambda: [BulkStrategy(100, weight=float)], many),
    }
    best = {name: float("inf") for name in cases}
    for _ in range(5):  # interleaved, so that a busy machine is busy for all
        for name, (strategies, fn) in cases.items():
            best[name] = min(best[name], asyncio.run(seconds(strategies(), fn)))
    memory = {name: asyncio.run(waiting_bytes(strategies(), fn)) for name, (strategies, fn) in cases.items()}
    return {name: (best[name], memory[name]) for name in cases}


if __name__ == "__main__":
    for case, (cpu, size) in main().items():
        print(f"{case:24} {cpu * 1e6:6.2f} us an item  {size:5.0f} bytes while it waits")
