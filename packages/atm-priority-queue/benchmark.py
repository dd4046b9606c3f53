"""What a priority costs: time and memory a task. ``python benchmark.py [tasks]``."""

from __future__ import annotations

import asyncio
import sys
import time
import tracemalloc
from typing import Any, Callable, Dict, List, Optional

from atm_priority_queue import PriorityQueueStrategy

from atm_core import ConcurrentLimitStrategy, TaskManager

LEVELS = ("critical", "high", "normal", "low")


async def nothing() -> None:
    pass


def metadata(n: int) -> Dict[str, str]:
    return {"priority": LEVELS[n % 4]}


def through(strategies: Callable[[], List[Any]], n: int = 50_000) -> float:
    """Microseconds of CPU a task, the best of five runs."""

    async def once() -> float:
        manager = TaskManager(strategies())
        start = time.process_time()
        async with manager:
            for i in range(n):
                manager.add_task(nothing, metadata(i))
        return (time.process_time() - start) / n * 1e6

    return min(asyncio.run(once()) for _ in range(5))


def queued(strategies: List[Any], n: int = 100_000) -> float:
    """Bytes a queued task, with its metadata."""
    manager = TaskManager(strategies)
    tracemalloc.start()
    tasks = [manager.add_task(nothing, metadata(i)) for i in range(n)]
    size = tracemalloc.get_traced_memory()[0] / len(tasks)
    tracemalloc.stop()
    asyncio.run(manager.aclose())
    return size


def million(n: int) -> None:
    """With many tasks queued: adding, changing and cancelling one, and running them all."""
    priorities = PriorityQueueStrategy()
    manager = TaskManager([ConcurrentLimitStrategy(1), priorities])
    start = time.process_time()

    def lap(what: str, count: float) -> None:
        nonlocal start
        print(f"{n} queued: {what:14} {(time.process_time() - start) / count * 1e6:6.2f} µs")
        start = time.process_time()

    tasks = [manager.add_task(nothing, metadata(i)) for i in range(n)]
    lap("add_task", n)
    for i in range(0, n, 10):
        priorities.set_priority(tasks[i], LEVELS[i * 7 % 4])
    lap("set_priority", n / 10)
    for i in range(5, n, 10):
        tasks[i].cancel()
    lap("cancel", n / 10)

    async def drain() -> None:
        async with manager:
            pass

    asyncio.run(drain())
    lap("run", 0.9 * n)


def main(n: Optional[int] = None) -> None:
    stacks: Dict[str, Callable[[], List[Any]]] = {
        "concurrent_limit alone": lambda: [ConcurrentLimitStrategy(100)],
        "the same with a key": lambda: [ConcurrentLimitStrategy(100, key="none")],
        "with priority_queue": lambda: [ConcurrentLimitStrategy(100), PriorityQueueStrategy()],
        "with a bound": lambda: [
            ConcurrentLimitStrategy(100),
            PriorityQueueStrategy(max_pending=10**6, overflow="drop_lowest"),
        ],
    }
    for name, stack in stacks.items():
        print(f"{name:24} {through(stack):6.2f} µs a task  {queued(stack()):5.0f} bytes a queued task")
    million(n or 1_000_000)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
