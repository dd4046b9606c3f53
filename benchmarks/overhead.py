"""Overhead a task against the same work by hand: ``python benchmarks/overhead.py [--tasks 100000] [--rounds 5]``.

CPU time, the best of some rounds, interleaved in one process; only the ratios mean anything on a noisy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from typing import Any, Awaitable, Callable, Dict, List

from atm_core import ConcurrentLimitStrategy, FixedWindowStrategy, TaskManager, hookimpl


async def noop() -> None:
    pass


async def one_step() -> None:
    await asyncio.sleep(0)


class Third:
    """A gate as a stranger would write it."""

    last = 0.0

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> float:
        return now

    @hookimpl
    def atm_started(self, task: Any, now: float) -> None:
        self.last = now


async def semaphore(work: Callable[[], Any], n: int) -> None:
    limit = asyncio.Semaphore(100)

    async def one(coroutine: Awaitable[None]) -> None:
        async with limit:
            await coroutine

    await asyncio.gather(*[one(work()) for _ in range(n)])


async def bare(work: Callable[[], Any], n: int) -> None:
    loop = asyncio.get_event_loop()
    await asyncio.gather(*[loop.create_task(work()) for _ in range(n)])


def managed(strategies: int) -> Callable[[Callable[[], Any], int], Any]:
    async def run(work: Callable[[], Any], n: int) -> None:
        stack: List[Any] = [ConcurrentLimitStrategy(100), FixedWindowStrategy(10**9, 1.0)]
        stack += [type(f"Third{i}", (Third,), {})() for i in range(4)]
        manager = TaskManager(stack[:strategies])
        await manager.idle()
        handles = [manager.add_task(work()) for _ in range(n)]
        await manager.join()
        assert all(handle.done() for handle in handles)
        await manager.stop()

    return run


WAYS = {
    "Semaphore + gather": semaphore,
    "create_task + gather": bare,
    "one strategy": managed(1),
    "three strategies": managed(3),
    "six strategies": managed(6),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    report: Dict[str, Any] = {"python": sys.version.split()[0], "tasks": options.tasks}
    for label, work in (("no-op", noop), ("one sleep(0)", one_step)):
        best: Dict[str, float] = {}
        for _ in range(options.rounds):
            for name, way in WAYS.items():
                gc.collect()
                start = time.process_time()
                asyncio.run(way(work, options.tasks))
                best[name] = min(best.get(name, 1e9), time.process_time() - start)
        report[label] = {name: round(seconds / best["Semaphore + gather"], 2) for name, seconds in best.items()}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
