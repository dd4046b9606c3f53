"""What the strategy costs: ``python benchmark.py``. CPU times; trust their ratios."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
import time
import tracemalloc
from typing import Any, Callable, Dict, FrozenSet, Iterable

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


def best(runs: Dict[str, Callable[[], Any]], times: int = 7) -> Dict[str, float]:
    """The shortest CPU time of each, in seconds; interleaved, so that a busy machine is busy for all."""
    found = {name: float("inf") for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            gc.collect()
            began = time.process_time()
            run()
            found[name] = min(found[name], time.process_time() - began)
    return found


def picks(algorithm: str, resources: int, n: int) -> Callable[[], None]:
    fleet = Fleet()
    for name in range(resources):
        fleet.add(name, name % 5 + 1, fresh=False)
    rotation: Any = ROTATIONS[algorithm](fleet)
    nobody: FrozenSet[Any] = frozenset()

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


def loads() -> Dict[str, Callable[[], Any]]:
    """Whole runs of so many tasks, the one by hand first."""

    def run(*strategies: Any) -> Callable[[], Any]:
        return lambda: asyncio.run(managed([make() for make in strategies]))

    return {
        "Semaphore + gather, by hand": lambda: asyncio.run(by_hand()),
        "manager alone": run(),
        **{f"3 resources, {one}": run(functools.partial(strategy, 3, algorithm=one)) for one in ALGORITHMS},
        "3 resources, key": run(functools.partial(strategy, 3, key=lambda task: 1)),
        "3 resources, 40 tasks on each": run(functools.partial(strategy, 3, max_concurrent_per_resource=40)),
    }


def main() -> None:
    print(f"Python {sys.version.split()[0]}")
    found = best(loads())
    by_hand_took = next(iter(found.values()))
    for name, took in found.items():
        print(f"{name:32} {took / TASKS * 1e6:6.1f} µs a task   {took / by_hand_took:.2f}")
    for resources in (3, 10, 30, 100, 1000, 10_000):
        n = max(20, min(5000, 200_000 // resources))
        times = best({one: picks(one, resources, n) for one in ALGORITHMS}, 3)
        print(f"a pick of {resources:6}", *(f"{one} {took / n * 1e6:8.1f} µs" for one, took in times.items()))
    print(f"a resource {(memory(lambda: strategy(1000)) - memory(lambda: strategy(0))) / 1000:.0f} bytes")


if __name__ == "__main__":
    main()
