"""A strategy of one's own in four methods, combined with a built-in one: the shortest jobs first."""

from __future__ import annotations

import asyncio
import heapq
import math
from typing import Any, List, Optional, Tuple

from atm_core import BaseStrategy, ConcurrentLimitStrategy, Task, TaskManager


class ShortestFirst(BaseStrategy):
    def __init__(self) -> None:
        self._heap: List[Tuple[float, int, Task[Any]]] = []
        self._count = 0

    def add_task(self, task: Task[Any]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (task.metadata["seconds"], self._count, task))

    def get_next_task(self) -> Optional[Task[Any]]:
        return heapq.heappop(self._heap)[2] if self._heap else None

    async def get_sleep_interval(self) -> Optional[float]:
        return math.inf  # nothing changes before something happens

    async def on_task_done(self) -> None:
        pass


async def job(seconds: float) -> None:
    await asyncio.sleep(seconds)
    print(f"{seconds:.2f} s")


async def main() -> None:
    manager = TaskManager([ShortestFirst(), ConcurrentLimitStrategy(1)])
    for seconds in (0.03, 0.01, 0.02):
        manager.add_task(job(seconds), {"seconds": seconds})
    await manager.idle()
    await manager.join()
    await manager.stop()


if __name__ == "__main__":
    asyncio.run(main())
