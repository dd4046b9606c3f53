"""Two plugins with hooks: a gate that closes at night, and an observer that counts what ends how."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

from atm_core import Outcome, Task, TaskManager, hookimpl


class Door:
    """Lets tasks start while it is open."""

    def __init__(self) -> None:
        self.open = False

    @hookimpl
    def atm_ready_at(self, now: float) -> float:
        return now if self.open else math.inf

    def explain(self, task: Task[Any], now: float) -> str:
        return "the door is closed"


class Census:
    def __init__(self) -> None:
        self.ends: "Counter[str]" = Counter()

    @hookimpl
    def atm_settled(self, task: Task[Any], outcome: Outcome) -> None:
        self.ends["ok" if outcome.succeeded else "cancelled" if outcome.cancelled else "failed"] += 1


async def work(n: int) -> int:
    return 6 // n


async def main() -> None:
    door, census = Door(), Census()
    async with TaskManager([door, census]) as manager:
        tasks = [manager.submit(work, n) for n in range(3)]
        await asyncio.sleep(0.01)
        print(manager.explain(tasks[0]))
        door.open = True
        manager.wake()
        await manager.join()
        print(repr(tasks[0].exception()))
    print(dict(census.ends))


if __name__ == "__main__":
    asyncio.run(main())
