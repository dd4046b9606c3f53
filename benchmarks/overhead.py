"""Overhead a task of a concurrency limit: by hand, by peers, and by ours with one, three and six strategies."""

from __future__ import annotations

import functools
from typing import Any, AsyncIterator, Callable, List

from atm_core import ConcurrentLimitStrategy, FixedWindowStrategy, TaskManager
from benchmarks.measure import Size, Table, Way, compare, peer, say
from benchmarks.work import SEMAPHORE, Third, Work, bare, eager, noop, one_step, semaphore, workers

__all__ = ["ONE", "SIX", "THREE", "later", "mapped", "ours", "stack", "submitted", "tables", "ways"]

ONE, THREE, SIX = "atm, one strategy", "atm, three strategies", "atm, six strategies"
WORKS = (("no-op", noop), ("one sleep(0)", one_step))


def stack(strategies: int, limit: int) -> List[Any]:
    """A concurrency limit, a window that is never full, and gates as strangers write them."""
    found: List[Any] = [ConcurrentLimitStrategy(limit), FixedWindowStrategy(10**9, 1.0)]
    found += [type(f"Third{i}", (Third,), {})() for i in range(strategies - 2)]
    return found[:strategies]


def ours(work: Work, strategies: Callable[[], Any]) -> Callable[[int], Any]:
    """A handle for each coroutine, all results read at the end."""

    async def run(n: int) -> List[Any]:
        async with TaskManager(strategies()) as manager:
            tasks = [manager.add_task(work(i)) for i in range(n)]
        return [task.result() for task in tasks]

    return run


def submitted(work: Work, limit: int) -> Callable[[int], Any]:
    """The same, of functions and arguments."""

    async def run(n: int) -> List[Any]:
        async with TaskManager(ConcurrentLimitStrategy(limit)) as manager:
            tasks = [manager.submit(work, i) for i in range(n)]
        return [task.result() for task in tasks]

    return run


def mapped(work: Work, limit: int) -> Callable[[int], Any]:
    """The same as results come, so many items at a time."""

    async def run(n: int) -> List[Any]:
        async with TaskManager(ConcurrentLimitStrategy(limit)) as manager:
            return [result async for result in manager.map(work, range(n))]

    return run


def _aiojobs(work: Work, limit: int) -> Callable[[int], Any]:
    aiojobs = peer("aiojobs")

    async def run(n: int) -> List[Any]:
        scheduler = aiojobs.Scheduler(limit=limit, pending_limit=0, wait_timeout=None)
        jobs = [await scheduler.spawn(work(i)) for i in range(n)]
        results = [await job.wait() for job in jobs]
        await scheduler.close()
        return results

    return run


def _aiometer(work: Work, limit: int) -> Callable[[int], Any]:
    aiometer = peer("aiometer")

    async def run(n: int) -> List[Any]:
        found: List[Any] = await aiometer.run_all([functools.partial(work, i) for i in range(n)], max_at_once=limit)
        return found

    return run


def _pool(work: Work, limit: int) -> Callable[[int], Any]:
    asyncio_pool = peer("asyncio_pool")

    async def run(n: int) -> List[Any]:
        async with asyncio_pool.AioPool(size=limit) as pool:
            found: List[Any] = await pool.map(work, range(n))
        return found

    return run


def _streamable(work: Work, limit: int) -> Callable[[int], Any]:
    streamable = peer("streamable")

    async def run(n: int) -> List[Any]:
        stream: AsyncIterator[Any] = streamable.stream(range(n)).map(work, concurrency=limit)
        return [result async for result in stream]

    return run


def later(make: Callable[[], Callable[[int], Any]]) -> Callable[[int], Any]:
    """Look for the peer only when it runs, so that a missing one is a row that says so."""

    async def run(n: int) -> Any:
        return await make()(n)

    return run


def ways(work: Work, limit: int) -> List[Way]:
    """Everything that limits how much runs at once."""
    hand = semaphore(work, limit)
    return [
        Way(SEMAPHORE, hand, note="no place in which a rate, a retry or an order could join"),
        Way("create_task + gather", bare(work), note="no limit"),
        Way("create_task + gather, eager", eager(bare(work)), note="no limit; work that never waits ends before "
            "create_task returns, so it never meets the loop"),
        Way(SEMAPHORE + ", eager", eager(hand), note="work that never waits ends before create_task returns, and never "
            "meets the limit; a failure is raised by gather, and nothing can be added later"),
        Way("workers over a deque", workers(work, limit), note="no task and no handle for each piece of work: it "
            "cannot be cancelled or awaited by itself, shares one context, and the first failure ends its worker"),
        Way("aiojobs", later(lambda: _aiojobs(work, limit)), at_most=300_000,
            note="a waiting job runs in the context of the first job, not in its own"),
        Way("aiometer", later(lambda: _aiometer(work, limit)), at_most=30_000,
            note="no handles; one start a loop turn"),
        Way("asyncio-pool", later(lambda: _pool(work, limit)), at_most=300_000,
            note="its map holds no queue: it waits for room; cancelling what it returns does not cancel the work"),
        Way("streamable", later(lambda: _streamable(work, limit)), note="no handles; a slow item holds back all behind "
            "it (see uneven work), and what runs goes on when its consumer leaves"),
        Way(ONE, ours(work, lambda: stack(1, limit)), True),
        Way(THREE, ours(work, lambda: stack(3, limit)), True),
        Way(SIX, ours(work, lambda: stack(6, limit)), True),
        Way("atm, one strategy, submit(fn, arg)", submitted(work, limit), True),
        Way("atm, one strategy, map", mapped(work, limit), True, note="bounded memory, results in order"),
    ]  # fmt: skip


def tables(size: Size) -> List[Table]:
    """One table for each kind of work."""
    found = []
    for label, work in WORKS:
        table = Table(f"overhead, {label}", [], SEMAPHORE, ONE)
        for n, limit, rounds in ((10_000, 100, 5), (100_000, 100, 3), (30_000, 10, 3), (1_000_000, 100, 1)):
            say(f"overhead: {label}, {n} tasks, limit {limit}")
            choice = ways(work, limit)
            column = table.column(f"{n // 1000}k, limit {limit}")
            table.put_all(column, choice, compare(choice, size.of(n, max(100, n // 500)), size.repeat(rounds)))
        say(f"overhead: {label}, uvloop")
        column = table.column("30k, limit 100, uvloop")
        try:
            factory = peer("uvloop").new_event_loop
        except ImportError as error:
            choice = ways(work, 100)
            table.put_all(column, choice, {way.name: f"not installed: {error.name}" for way in choice})
        else:
            choice = ways(work, 100)
            table.put_all(column, choice, compare(choice, size.of(30_000, 200), size.repeat(3), factory))
        found.append(table)
    return found
