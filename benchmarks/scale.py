"""Scale, memory, rate and idleness of a manager: ``python benchmarks/scale.py``.

Prints JSON: time a task at 1,000,000 to that at 10,000; of 10,000 keys to one key; bytes a pending task beyond its
coroutine, and with ``submit(fn, arg)``; a rate's violations and share of the ideal; wake-ups of an idle loop in 5 s.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from typing import Any, Callable, Dict

from atm_core import ConcurrentLimitStrategy, FixedWindowStrategy, TaskManager


async def noop(*_: Any) -> None:
    pass


def cpu(run: Callable[[], Any], rounds: int = 3) -> float:
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        asyncio.run(run())
        best = min(best, time.process_time() - start)
    return best


def per_task(n: int, key: Any = None, keys: int = 1) -> float:
    async def run() -> None:
        manager = TaskManager(ConcurrentLimitStrategy(100, key=key))
        await manager.idle()
        handles = [manager.add_task(noop, {"key": i % keys} if key else None) for i in range(n)]
        await manager.join()
        await manager.stop()
        assert len(handles) == n

    return cpu(run) / n


def memory(n: int = 100_000) -> Dict[str, float]:
    async def run() -> Dict[str, float]:
        found = {}
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        coroutines = [noop() for _ in range(n)]
        found["a coroutine"] = (tracemalloc.get_traced_memory()[0] - before) / n
        manager = TaskManager(ConcurrentLimitStrategy(1))
        before = tracemalloc.get_traced_memory()[0]
        handles = [manager.add_task(coroutine) for coroutine in coroutines]
        found["a pending task beyond its coroutine"] = (tracemalloc.get_traced_memory()[0] - before) / n
        await manager.aclose()
        del coroutines, handles
        manager = TaskManager(ConcurrentLimitStrategy(1))
        before = tracemalloc.get_traced_memory()[0]
        handles = [manager.submit(noop, n) for _ in range(n)]
        assert len(handles) == n  # kept until here
        found["a pending task by submit(fn, arg), all in all"] = (tracemalloc.get_traced_memory()[0] - before) / n
        await manager.aclose()
        tracemalloc.stop()
        return {name: round(size) for name, size in found.items()}

    return asyncio.run(run())


def rate(n: int = 3000, limit: int = 1000, window: float = 1.0) -> Dict[str, Any]:
    async def run() -> Dict[str, Any]:
        loop, starts = asyncio.get_running_loop(), []  # type: Any, List[float]

        async def work() -> None:
            starts.append(loop.time())

        async with TaskManager(FixedWindowStrategy(limit, window)) as manager:
            for _ in range(n):
                manager.submit(work)
        opened, used, violations = starts[0], 0, 0
        for at in starts:
            if at >= opened + window:
                opened, used = at, 0
            used += 1
            violations += used > limit
        ideal = (n / limit - 1) * window
        last = [at for i, at in enumerate(starts) if i % limit == 0][-1]
        return {"violations": violations, "share of the ideal rate": round(ideal / (last - starts[0]), 4)}

    return asyncio.run(run())


def idle(seconds: float = 5.0) -> Dict[str, Any]:
    async def run() -> Dict[str, Any]:
        loop: Any = asyncio.get_running_loop()
        async with TaskManager(FixedWindowStrategy(1, 3600.0)) as manager:
            tasks = [manager.submit(noop) for _ in range(100)]
            await asyncio.sleep(0.1)
            turns, select = [0], loop._selector.select

            def counted(timeout: Any) -> Any:
                turns[0] += 1
                return select(timeout)

            loop._selector.select = counted
            start = time.process_time()
            await asyncio.sleep(seconds)
            used = time.process_time() - start
            loop._selector.select = select
            for task in tasks:
                task.cancel()
        # One of the turns is that of the measuring sleep itself.
        return {"turns of the loop in 5 s": turns[0] - 1, "CPU seconds": round(used, 4)}

    return asyncio.run(run())


def main() -> None:
    ten_thousand, million = per_task(10_000), per_task(1_000_000)
    one_key, many_keys = per_task(50_000, "key", 1), per_task(50_000, "key", 10_000)
    report = {
        "python": sys.version.split()[0],
        "time a task, 1,000,000 to 10,000": round(million / ten_thousand, 2),
        "time a task, 10,000 keys to one": round(many_keys / one_key, 2),
        "bytes": memory(),
        "FixedWindow(1000, 1.0), 3000 tasks": rate(),
        "idle": idle(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
