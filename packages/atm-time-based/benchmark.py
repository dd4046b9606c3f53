"""What a schedule costs: ``python packages/atm-time-based/benchmark.py``. Time and memory of 100,000."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import Any, Callable

from atm_time_based import TimeBasedStrategy, cron, every

from atm_core import TaskManager
from atm_core.testing import VirtualTimeLoop

N = 100_000


async def nothing() -> None:
    """The work."""


def costs(label: str, schedule: Callable[[int], Any]) -> None:
    """An hour of runs, in virtual time."""
    loop = VirtualTimeLoop(wall_start=1_767_225_600.0)
    strategy = TimeBasedStrategy()

    async def main() -> None:
        manager = TaskManager(strategy)
        began = time.process_time()
        for n in range(N):
            manager.add_task(nothing, {"schedule": schedule(n), "name": f"job {n}"})
        added = time.process_time()
        await manager.idle()
        await asyncio.sleep(3600)
        ended = time.process_time()
        runs = strategy.stats()["runs"]
        to_add, a_run = (added - began) / N * 1e6, (ended - added) / runs * 1e6
        print(f"{label:24} {to_add:6.1f} µs to add  {a_run:6.1f} µs a run")
        loop.jump_wall_clock(-60)
        began = time.process_time()
        strategy._table.look(loop.time())
        print(f"{'':24} {time.process_time() - began:6.2f} s when the wall clock was moved")
        await manager.aclose()

    loop.run_until_complete(main())
    loop.close()


async def waiting_bytes(schedule: Any) -> float:
    """Memory a task that waits, its metadata included."""
    manager = TaskManager(TimeBasedStrategy())
    tracemalloc.start()
    for n in range(N // 10):
        manager.add_task(nothing, {"schedule": schedule, "name": f"job {n}"})
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await manager.aclose()
    return size / (N // 10)


def main() -> None:
    """Print everything."""
    shared = cron("*/10 * * * *")
    costs("every", lambda n: every(seconds=600))
    costs("cron, one object for all", lambda n: shared)
    costs("cron, each text parsed", lambda n: "H * * * *")
    print(f"{'a task that waits':24} {asyncio.run(waiting_bytes(shared)):6.0f} bytes")


if __name__ == "__main__":
    main()
