"""What a sliding window costs, and what it keeps on a real clock. ``python benchmark.py``."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from typing import Any, Dict, List, Optional

from atm_sliding_window import SlidingWindowStrategy

from atm_core import ConcurrentLimitStrategy, FixedWindowStrategy, Task, TaskManager
from atm_core.testing import Recorder

ALGORITHMS: List[Dict[str, Any]] = [
    {"algorithm": "log"},
    {"algorithm": "counter"},
    {"algorithm": "gcra"},
    {"algorithm": "gcra", "burst": 8},
    {"algorithm": "gcra", "burst": 1},
]


async def nothing() -> None:
    pass


def cost(strategy: Optional[Any], n: int = 50_000) -> float:
    """Microseconds of CPU a task, none of which has to wait."""

    async def once() -> float:
        manager = TaskManager(strategy)
        start = time.process_time()
        async with manager:
            for _ in range(n):
                manager.submit(nothing)
        return (time.process_time() - start) / n * 1e6

    return asyncio.run(once())


def bytes_a_key(algorithm: str, starts: int, n: int = 20_000) -> float:
    """Memory of a key with so many starts in its window, without the key itself."""
    strategy = SlidingWindowStrategy(100, 1e6, algorithm=algorithm, key="key")
    keys = [f"key {i}" for i in range(n)]
    gc.collect()
    tracemalloc.start()
    for key in keys:
        for _ in range(starts):
            task = Task(nothing, {"key": key})
            strategy.atm_started(task)
            strategy.atm_began(task, 1e6)
    del task
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] / n
    tracemalloc.stop()
    return size


def real_clock(max_requests: int, window_seconds: float, seconds: float, options: Dict[str, Any]) -> str:
    """Tasks always at hand: the share of the ideal rate, and the most that began in any window."""
    recorder = Recorder()
    n = int(max_requests / window_seconds * seconds)

    async def main() -> None:
        async with TaskManager([SlidingWindowStrategy(max_requests, window_seconds, **options), recorder]) as manager:
            for _ in range(n):
                manager.submit(nothing)

    asyncio.run(main())
    times = recorder.times()
    skip = 2 * max_requests - 1  # until then it depends on where in a window the run begins
    rate = (n - 1 - skip) / (times[-1] - times[skip]) * window_seconds / max_requests
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] + window_seconds <= at:
            first += 1
        most = max(most, last - first + 1)
    return f"{rate:7.1%} of the rate, at most {most} in a window of {max_requests}"


def main() -> None:
    many = 10**7
    print(
        f"no strategy {cost(None):5.1f} µs a task, concurrent_limit {cost(ConcurrentLimitStrategy(100)):5.1f}", end=""
    )
    print(f", fixed_window {cost(FixedWindowStrategy(many, 1.0)):5.1f}")
    for algorithm in ("log", "counter", "gcra"):
        per_task = cost(SlidingWindowStrategy(many, 1.0, algorithm=algorithm))
        few, full = bytes_a_key(algorithm, 1), bytes_a_key(algorithm, 100)
        print(f"{algorithm:11} {per_task:5.1f} µs a task, {few:5.0f} bytes a key with 1 start, {full:5.0f} with 100")
    for max_requests, window_seconds in ((1000, 1.0), (50, 0.1)):
        for options in ALGORITHMS:
            result = real_clock(max_requests, window_seconds, 5.0, options)
            print(f"{max_requests} per {window_seconds:g} s, {options}: {result}")


if __name__ == "__main__":
    main()
