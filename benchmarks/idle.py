"""What waiting costs: wake-ups of the loop and CPU time while everything is blocked for an hour."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Awaitable, Callable, Dict, List

from atm_core import FixedWindowStrategy, TaskManager
from benchmarks import memory
from benchmarks.measure import Size, Table, peer, say, why_not
from benchmarks.work import noop

__all__ = ["OURS", "tables"]

WAITING = 100
OURS = "atm, fixed_window"
Fill = Callable[[int], Awaitable[Any]]


async def _ours(n: int) -> Any:
    manager = TaskManager(FixedWindowStrategy(1, 3600.0))
    await manager.idle()
    tasks = [manager.submit(noop, i) for i in range(n + 1)]
    await asyncio.sleep(0.05)
    return (manager, tasks), manager.aclose


async def _pyrate(n: int) -> Any:
    pyrate = peer("pyrate_limiter")
    limiter = pyrate.Limiter(pyrate.Rate(1, 3_600_000))
    found, end = await memory.waiting(lambda: limiter.try_acquire_async("all"), n)

    async def close() -> None:
        await end()
        limiter.close()

    return found, close


async def _throttled(n: int) -> Any:
    throttled = peer("throttled.asyncio")
    throttle = throttled.Throttled(key="all", quota="1/h", store=throttled.store.MemoryStore(), timeout=7200.0)
    return await memory.waiting(throttle.limit, n)


FILLS: Dict[str, Fill] = {
    "aiojobs": memory.jobs,
    "aiolimiter": memory.aiolimited,
    "asynciolimiter": memory.asynciolimited,
    "asyncio-throttle": memory.throttled,
    "pyrate-limiter": _pyrate,
    "throttled-py": _throttled,
    "APScheduler": memory.scheduled,
    OURS: _ours,
}


async def _idle(fill: Fill, seconds: float) -> Dict[str, float]:
    kept, end = await fill(WAITING)
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0.05)
    turns, select = [0], loop._selector.select

    def counted(timeout: Any) -> Any:
        turns[0] += 1
        return select(timeout)

    loop._selector.select = counted
    used = time.process_time()
    await asyncio.sleep(seconds)
    used = time.process_time() - used
    loop._selector.select = select
    ended = end()
    if ended is not None:
        await ended
    del kept
    return {"wake-ups": turns[0], "cpu": used / seconds}


async def _nothing(_: int) -> Any:
    return None, lambda: None


def tables(size: Size) -> List[Table]:
    """100 tasks that wait for an hour."""
    seconds = size.seconds(5.0, 0.2)
    table = Table("idle", [], None, OURS)
    columns = {
        "wake-ups": table.column(f"wake-ups in {seconds:g} s", "lower", ".0f"),
        "cpu": table.column("share of a core", "lower", ".4f", slack=0.001),
    }
    asked = asyncio.run(_idle(_nothing, seconds))["wake-ups"]  # by the measuring itself
    for name, fill in FILLS.items():
        say(f"idle: {name}")
        try:
            found: Dict[str, Any] = asyncio.run(_idle(fill, seconds))
            found["wake-ups"] = max(0, found["wake-ups"] - asked)
        except Exception as error:
            found = dict.fromkeys(columns, why_not(error))
        for key, column in columns.items():
            table.put(name, column, found[key], name == OURS)
    return [table]
