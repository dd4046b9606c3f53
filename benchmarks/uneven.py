"""How well a limit is used when some work takes long: wall time against the ideal."""

from __future__ import annotations

import asyncio
import time
from typing import Any, List

from benchmarks.measure import Size, Table, say, why_not
from benchmarks.overhead import ONE, ways

__all__ = ["tables"]

LIMIT, LONG, SHORT = 10, 0.05, 0.002  # seconds; each tenth piece of work is a long one


async def work(number: int) -> int:
    """Long or short."""
    await asyncio.sleep(SHORT if number % 10 else LONG)
    return number


async def _seconds(run: Any, n: int) -> float:
    began = time.perf_counter()
    await asyncio.wait_for(run(n), 60)
    return time.perf_counter() - began


def tables(size: Size) -> List[Table]:
    """The ideal: as much work at any time as the limit allows, until all is done."""
    table = Table("uneven work", [], None, ONE)
    column = table.column("time / ideal")
    n, rounds = size.of(500, 20), size.repeat(2)
    ideal = (n // 10 * LONG + (n - n // 10) * SHORT) / LIMIT
    say("uneven")
    for way in ways(work, LIMIT):
        if way.name.startswith("create_task"):
            continue  # no limit
        best = float("inf")
        try:
            for _ in range(rounds):
                best = min(best, asyncio.run(_seconds(way.run, n)) / ideal)
        except Exception as error:
            table.put(way.name, column, why_not(error), way.ours, way.note)
        else:
            table.put(way.name, column, best, way.ours, way.note)
    return [table]
