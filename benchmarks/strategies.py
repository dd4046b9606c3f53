"""What each strategy costs a task, built in or from a package of its own, and the peer nearest to it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Any, Callable, Dict, List

from atm_adaptive import AdaptiveStrategy
from atm_bulk import BulkStrategy, batched
from atm_circuit_breaker import CircuitBreakerStrategy
from atm_priority_queue import PriorityQueueStrategy
from atm_retry import RetryStrategy
from atm_sliding_window import SlidingWindowStrategy
from atm_time_based import TimeBasedStrategy, after
from atm_weighted_round_robin import WeightedRoundRobinStrategy

from atm_core import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy, TaskManager
from benchmarks.measure import Size, Table, Way, compare, peer, say
from benchmarks.overhead import later
from benchmarks.work import SEMAPHORE, noop, semaphore

__all__ = ["tables"]

LIMIT, MANY = 100, 10**9
LEVELS = ("critical", "high", "normal", "low")
KEYED = [{"host": f"host {i}"} for i in range(100)]
LEVELLED = [{"priority": level} for level in LEVELS]


def _through(strategies: Callable[[], List[Any]], metadata: Any = None) -> Callable[[int], Any]:
    """Through a manager; with metadata, each task takes the next of these."""

    async def run(n: int) -> List[int]:
        async with TaskManager(strategies()) as manager:
            if metadata is None:
                tasks = [manager.add_task(noop(i)) for i in range(n)]
            else:
                turns = itertools.cycle(metadata)
                tasks = [manager.add_task(noop(i), next(turns)) for i in range(n)]
        return [task.result() for task in tasks]

    return run


def _submitted(strategies: Callable[[], List[Any]]) -> Callable[[int], Any]:
    """Functions, which can be run again; coroutines cannot."""

    async def run(n: int) -> List[int]:
        async with TaskManager(strategies()) as manager:
            tasks = [manager.submit(noop, i) for i in range(n)]
        return [task.result() for task in tasks]

    return run


def _semaphores() -> Callable[[int], Any]:
    """A limit for each host, as people write it."""

    async def run(n: int) -> List[int]:
        limits: Dict[str, asyncio.Semaphore] = {}
        turns = itertools.cycle(KEYED)

        async def one(host: str, number: int) -> int:
            if host not in limits:
                limits[host] = asyncio.Semaphore(LIMIT)
            async with limits[host]:
                return await noop(number)

        return await asyncio.gather(*[one(next(turns)["host"], i) for i in range(n)])

    return run


def _in_order() -> Callable[[int], Any]:
    """Workers over an ``asyncio.PriorityQueue``, a future for each piece of work."""

    async def run(n: int) -> List[int]:
        loop = asyncio.get_running_loop()
        queue: asyncio.PriorityQueue[Any] = asyncio.PriorityQueue()
        ends = [loop.create_future() for _ in range(n)]
        for i in range(n):
            queue.put_nowait((i % 4, i))

        async def worker() -> None:
            while not queue.empty():
                _, i = queue.get_nowait()
                ends[i].set_result(await noop(i))

        await asyncio.gather(*[worker() for _ in range(LIMIT)])
        return [end.result() for end in ends]

    return run


def _heap() -> Callable[[int], Any]:
    """Workers over a heap."""

    async def run(n: int) -> List[int]:
        heap = [(i % 4, i) for i in range(n)]
        heapq.heapify(heap)
        results = [0] * n

        async def worker() -> None:
            while heap:
                _, i = heapq.heappop(heap)
                results[i] = await noop(i)

        await asyncio.gather(*[worker() for _ in range(LIMIT)])
        return results

    return run


async def listed(items: List[int]) -> List[int]:
    """Nothing, for many items."""
    return items


many = batched(listed)


def _bulk(size: int) -> Callable[[int], Any]:
    async def run(n: int) -> List[int]:
        async with TaskManager(BulkStrategy(size)) as manager:
            tasks = [manager.submit(many, i) for i in range(n)]
        return [task.result() for task in tasks]

    return run


def _batches(size: int) -> Callable[[int], Any]:
    """By hand: items gathered into a list, flushed when full, a future for each."""

    async def run(n: int) -> List[int]:
        loop = asyncio.get_running_loop()
        waiting: List[Any] = []
        flushed: List[Any] = []

        async def flush(batch: List[Any]) -> None:
            for end, value in zip([end for _, end in batch], await listed([item for item, _ in batch])):
                end.set_result(value)

        def load(item: int) -> Any:
            end = loop.create_future()
            waiting.append((item, end))
            if len(waiting) >= size or item == n - 1:
                flushed.append(loop.create_task(flush(waiting[:])))
                waiting.clear()
            return end

        results: List[int] = await asyncio.gather(*[load(i) for i in range(n)])
        return results

    return run


def _scheduled() -> Callable[[int], Any]:
    async def run(n: int) -> List[int]:
        async with TaskManager(TimeBasedStrategy()) as manager:
            soon = {"schedule": after(seconds=0.01)}
            tasks = [manager.add_task(lambda i=i: noop(i), soon) for i in range(n)]  # type: ignore[misc]
        return [task.result() for task in tasks]

    return run


def _call_later() -> Callable[[int], Any]:
    """By hand: a timer of the loop for each."""

    async def run(n: int) -> List[int]:
        async def one(number: int) -> int:
            await asyncio.sleep(0.01)
            return await noop(number)

        return await asyncio.gather(*[one(i) for i in range(n)])

    return run


def _apscheduler() -> Callable[[int], Any]:
    import datetime

    asyncio_scheduler = peer("apscheduler.schedulers.asyncio")

    async def run(n: int) -> List[int]:
        scheduler, results, all_done = asyncio_scheduler.AsyncIOScheduler(timezone="UTC"), [0] * n, asyncio.Event()
        left = [n]

        async def job(number: int) -> None:
            results[number] = await noop(number)
            left[0] -= 1
            if not left[0]:
                all_done.set()

        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=0.01)
        for i in range(n):
            scheduler.add_job(job, "date", args=[i], run_date=at, misfire_grace_time=None)
        scheduler.start()
        await all_done.wait()
        scheduler.shutdown(wait=False)
        await asyncio.sleep(0)
        return results

    return run


def _ways() -> List[Way]:
    rotation = {"a": 5, "b": 1, "c": 1}
    return [
        Way(SEMAPHORE, semaphore(noop, LIMIT)),
        Way("atm, no strategy", _through(list), True),
        Way("atm, concurrent_limit", _through(lambda: [ConcurrentLimitStrategy(LIMIT)]), True),
        Way("atm, concurrent_limit, 100 keys",
            _through(lambda: [ConcurrentLimitStrategy(LIMIT, key="host")], KEYED), True),
        Way("a Semaphore for each of 100 keys", _semaphores(), note="never forgets a key; with a second limit, one is "
            "held while the other is awaited"),
        Way("atm, delayed, 0 s", _through(lambda: [DelayedStrategy(0.0)]), True),
        Way("atm, fixed_window", _through(lambda: [FixedWindowStrategy(MANY, 1.0)]), True),
        Way("atm, sliding_window log", _through(lambda: [SlidingWindowStrategy(MANY, 1.0)]), True),
        Way("atm, sliding_window gcra", _through(lambda: [SlidingWindowStrategy(MANY, 1.0, algorithm="gcra")]), True),
        Way("atm, sliding_window counter",
            _through(lambda: [SlidingWindowStrategy(MANY, 1.0, algorithm="counter")]), True),
        Way("atm, adaptive", _through(lambda: [AdaptiveStrategy()]), True),
        Way("atm, weighted_round_robin, 3 resources",
            _through(lambda: [WeightedRoundRobinStrategy(rotation)]), True),
        Way("atm, circuit_breaker", _through(lambda: [CircuitBreakerStrategy()]), True),
        Way("atm, retry", _submitted(lambda: [RetryStrategy()]), True),
        Way("atm, priority_queue with a limit",
            _through(lambda: [ConcurrentLimitStrategy(LIMIT), PriorityQueueStrategy()], LEVELLED), True),
        Way("workers over asyncio.PriorityQueue", _in_order(), note="no task for each piece of work, so no "
            "cancellation, no context; no ageing, no change of a priority, no inheritance"),
        Way("workers over a heap", _heap(), note="the same, and no handle"),
        Way("atm, bulk of 100", _bulk(100), True),
        Way("batches of 100 by hand", _batches(100), note="no cancellation, no failure of a single item, no splitting; "
            "cannot be limited or retried"),
        Way("atm, bulk of 1000", _bulk(1000), True),
        Way("atm, time_based, no schedule", _through(lambda: [TimeBasedStrategy()]), True),
        Way("atm, time_based, in 10 ms", _scheduled(), True),
        Way("asyncio.sleep(0.01) each", _call_later(), note="no schedule that comes again, no cron, no wall clock"),
        Way("APScheduler, in 10 ms", later(_apscheduler), at_most=1000, note="in memory; no handle, no result"),
    ]  # fmt: skip


def tables(size: Size) -> List[Table]:
    """One row a strategy."""
    table = Table("strategies", [], SEMAPHORE, None)
    say("strategies")
    ways = _ways()
    found = compare(ways, size.of(20_000, 100), size.repeat(5))
    table.put_all(table.column("to Semaphore + gather"), ways, found)
    return [table]
