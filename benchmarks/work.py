"""The work, and the plain ways to do it: what everything else is compared with."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Any, Awaitable, Callable, List

from atm_core import hookimpl
from benchmarks.measure import NotPossible

__all__ = [
    "BY_HAND",
    "SEMAPHORE",
    "Third",
    "Work",
    "bare",
    "by_hand",
    "eager",
    "noop",
    "one_step",
    "semaphore",
    "workers",
]

Work = Callable[[int], Any]
Run = Callable[[int], Awaitable[List[Any]]]

BY_HAND, SEMAPHORE = "a coroutine, stepped by hand", "Semaphore + gather"


async def noop(number: int) -> int:
    """Nothing at all."""
    return number


async def one_step(number: int) -> int:
    """One turn of the loop."""
    await asyncio.sleep(0)
    return number


class Third:
    """A gate as a stranger would write it."""

    last = 0.0

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> float:
        return now

    @hookimpl
    def atm_started(self, task: Any, now: float) -> None:
        self.last = now


async def by_hand(n: int) -> List[Any]:
    """All coroutines at hand, each stepped to its end."""
    results = []
    for coroutine in [noop(i) for i in range(n)]:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            results.append(stop.value)
    return results


def bare(work: Work) -> Run:
    """No limit at all."""

    async def run(n: int) -> List[Any]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*[loop.create_task(work(i)) for i in range(n)])

    return run


def semaphore(work: Work, limit: int) -> Run:
    """What most people write."""

    async def run(n: int) -> List[Any]:
        slots = asyncio.Semaphore(limit)

        async def one(coroutine: Awaitable[Any]) -> Any:
            async with slots:
                return await coroutine

        return await asyncio.gather(*[one(work(i)) for i in range(n)])

    return run


def workers(work: Work, limit: int) -> Run:
    """So many coroutines that take from one queue."""

    async def run(n: int) -> List[Any]:
        queue = deque(range(n))
        results: List[Any] = [None] * n

        async def worker() -> None:
            while queue:
                i = queue.popleft()
                results[i] = await work(i)

        await asyncio.gather(*[worker() for _ in range(limit)])
        return results

    return run


def eager(run: Run) -> Run:
    """The same, each task begun at once by asyncio's own eager task factory."""

    async def with_factory(n: int) -> List[Any]:
        if sys.version_info < (3, 12):
            raise NotPossible("needs Python 3.12")
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        try:
            return await run(n)
        except TypeError as error:
            if "eager_start" not in str(error):
                raise
            raise NotPossible("uvloop hands it what this Python does not know") from None
        finally:
            loop.set_task_factory(None)

    return with_factory
