"""Bytes of a pending task, its coroutine or function and arguments included, as tracemalloc counts them."""

from __future__ import annotations

import asyncio
import functools
import gc
import tracemalloc
from collections import deque
from typing import Any, Awaitable, Callable, Dict, List

from atm_core import ConcurrentLimitStrategy, TaskManager
from benchmarks.measure import Size, Table, peer, say, why_not
from benchmarks.work import noop

__all__ = ["tables"]

BEYOND, FUNCTION, COROUTINE = "atm, add_task(coroutine)", "atm, submit(fn, arg)", "a coroutine alone"
Fill = Callable[[int], Awaitable[Any]]


@functools.lru_cache(maxsize=None)
def numbers(n: int) -> List[int]:
    """Arguments, which are there before anything is counted."""
    return list(range(n))


async def _settled() -> None:
    """Let everything that was made take its first steps."""
    for _ in range(5):
        await asyncio.sleep(0)


async def coroutines(n: int) -> Any:
    found = [noop(i) for i in numbers(n)]

    def end() -> None:
        for one in found:
            one.close()

    return found, end


async def _pending(tasks: List[Any]) -> Any:
    await _settled()

    async def end() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return tasks, end


async def created(n: int) -> Any:
    gate = asyncio.Event()

    async def one(number: int) -> int:
        await gate.wait()
        return number

    loop = asyncio.get_running_loop()
    return await _pending([loop.create_task(one(i)) for i in numbers(n)])


async def limited(n: int) -> Any:
    slots = asyncio.Semaphore(1)
    await slots.acquire()

    async def one(coroutine: Any) -> Any:
        try:
            async with slots:
                return await coroutine
        finally:
            coroutine.close()

    return await _pending([asyncio.ensure_future(one(noop(i))) for i in numbers(n)])


async def queued(n: int) -> Any:
    return deque((noop, (i,)) for i in numbers(n)), lambda: None


async def jobs(n: int) -> Any:
    scheduler, gate = peer("aiojobs").Scheduler(limit=1, pending_limit=0), asyncio.Event()
    first = await scheduler.spawn(gate.wait())
    made = [noop(i) for i in numbers(n)]
    found = [await scheduler.spawn(one) for one in made]
    await _settled()

    async def end() -> None:
        gate.set()
        await first.wait()
        await scheduler.wait_and_close()

    return (found, made), end


async def pooled(n: int) -> Any:
    pool, gate = peer("asyncio_pool").AioPool(size=1), asyncio.Event()
    pool.spawn_n(gate.wait())
    found = [pool.spawn_n(noop(i)) for i in numbers(n)]
    await _settled()

    async def end() -> None:
        gate.set()
        await pool.join()

    return found, end


async def waiting(limiter: Any, n: int) -> Any:
    await limiter()
    return await _pending([asyncio.ensure_future(limiter()) for _ in range(n)])


async def aiolimited(n: int) -> Any:
    return await waiting(peer("aiolimiter").AsyncLimiter(1, 3600).acquire, n)


async def asynciolimited(n: int) -> Any:
    return await waiting(peer("asynciolimiter").Limiter(1 / 3600).wait, n)


async def throttled(n: int) -> Any:
    return await waiting(peer("asyncio_throttle").Throttler(1, 3600).acquire, n)


async def scheduled(n: int) -> Any:
    import datetime

    scheduler = peer("apscheduler.schedulers.asyncio").AsyncIOScheduler(timezone="UTC")
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    found = [scheduler.add_job(noop, "date", args=[i], run_date=at) for i in numbers(n)]
    scheduler.start()
    return (scheduler, found), lambda: scheduler.shutdown(wait=False)


def managed(add: Callable[[TaskManager, int], Any]) -> Fill:
    async def fill(n: int) -> Any:
        manager = TaskManager(ConcurrentLimitStrategy(1))
        manager.pause()
        await manager.idle()
        found = [add(manager, i) for i in numbers(n)]
        await _settled()
        return (manager, found), manager.aclose

    return fill


FILLS: Dict[str, Any] = {
    COROUTINE: (coroutines, "the work itself, with nothing that would run it"),
    "create_task": (created, "no limit"),
    "Semaphore + gather": (limited, ""),
    "(fn, args) in a deque": (queued, "no handle"),
    "aiojobs": (jobs, ""),
    "asyncio-pool": (pooled, ""),
    "aiolimiter": (aiolimited, ""),
    "asynciolimiter": (asynciolimited, ""),
    "asyncio-throttle": (throttled, "polls"),
    "APScheduler": (scheduled, "a job in an hour"),
    BEYOND: (managed(lambda manager, i: manager.add_task(noop(i))), ""),
    FUNCTION: (managed(lambda manager, i: manager.submit(noop, i)), ""),
}


async def _bytes(fill: Fill, n: int) -> float:
    numbers(n)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept, end = await fill(n)
        size = (tracemalloc.get_traced_memory()[0] - before) / n
    finally:
        tracemalloc.stop()
    ended = end()
    if ended is not None:
        await ended
    del kept
    return size


def tables(size: Size) -> List[Table]:
    """One row a way to wait."""
    table = Table("memory", [], None, FUNCTION)
    column = table.column("bytes a pending task", "lower", ".0f")
    for name, (fill, note) in FILLS.items():
        say(f"memory: {name}")
        # APScheduler copies its list of jobs with each one that is added.
        n = size.of(2_000 if name == "APScheduler" else 50_000, 100)
        try:
            found: Any = asyncio.run(_bytes(fill, n))
        except Exception as error:
            found = why_not(error)
        table.put(name, column, found, name.startswith("atm"), note)
    return [table]
