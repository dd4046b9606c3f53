"""What the strategy costs: ``python benchmark.py``. CPU times; trust their ratios."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from typing import Any, Callable, Iterable

from atm_weighted_round_robin import WeightedRoundRobinStrategy
from atm_weighted_round_robin.fleet import Fleet
from atm_weighted_round_robin.rotations import ROTATIONS

from atm_core import TaskManager

TASKS = 20_000
ALGORITHMS = tuple(ROTATIONS)


async def nothing() -> None:
    return None


async def by_hand() -> None:
    semaphore = asyncio.Semaphore(100)

    async def limited() -> None:
        async with semaphore:
            await nothing()

    await asyncio.gather(*(limited() for _ in range(TASKS)))


async def managed(strategies: Iterable[Any]) -> None:
    async with TaskManager(list(strategies)) as manager:
        for _ in range(TASKS):
            manager.submit(nothing)


def strategy(resources: int, **settings: Any) -> WeightedRoundRobinStrategy:
    return WeightedRoundRobinStrategy({n: n % 5 + 1 for n in range(resources)}, **settings)


def best(run: Callable[[], Any], times: int = 5) -> float:
    found = []
    for _ in range(times):
        gc.collect()
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return min(found)


def picks(algorithm: str, resources: int, n: int) -> Callable[[], None]:
    fleet = Fleet()
    for name in range(resources):
        fleet.add(name, name % 5 + 1, fresh=False)
    rotation, nobody = ROTATIONS[algorithm](fleet), frozenset()  # type: ignore[var-annotated]

    def run() -> None:
        for _ in range(n):
            rotation.pick(nobody, 0.0)

    return run


def memory(make: Callable[[], Any]) -> int:
    tracemalloc.start()
    kept = make()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return size


def main() -> None:
    print(f"Python {sys.version.split()[0]}")
    hand = best(lambda: asyncio.run(by_hand()))
    bare = best(lambda: asyncio.run(managed([])))
    print(f"by hand (Semaphore + gather)          {hand / TASKS * 1e6:6.1f} µs a task   1.00")
    print(f"manager alone                         {bare / TASKS * 1e6:6.1f} µs a task   {bare / hand:.2f}")
    for algorithm in ALGORITHMS:
        took = best(lambda algorithm=algorithm: asyncio.run(managed([strategy(3, algorithm=algorithm)])))  # type: ignore[misc]
        print(f"with 3 resources, {algorithm:13}       {took / TASKS * 1e6:6.1f} µs a task   {took / hand:.2f}")
    took = best(lambda: asyncio.run(managed([strategy(3, max_concurrent_per_resource=40)])))
    print(f"... and max_concurrent_per_resource   {took / TASKS * 1e6:6.1f} µs a task   {took / hand:.2f}")
    for resources in (3, 10, 30, 100, 1000, 10_000):
        n = max(20, min(5000, 200_000 // resources))
        times = [best(picks(algorithm, resources, n), 3) / n * 1e6 for algorithm in ALGORITHMS]
        print(f"a pick of {resources:6}", *(f"{a} {t:8.1f} µs" for a, t in zip(ALGORITHMS, times)))
    print(f"a resource {(memory(lambda: strategy(1000)) - memory(lambda: strategy(0))) / 1000:.0f} bytes")


if __name__ == "__main__":
    main()
