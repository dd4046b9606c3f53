"""At most three at once, never two starts within 50 ms, and no more than 20 in a second: combined in one line."""

from __future__ import annotations

import asyncio

from atm_core import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy, TaskManager


async def fetch(page: int) -> str:
    await asyncio.sleep(0.1)
    return f"page {page}"


async def main() -> None:
    rules = [ConcurrentLimitStrategy(3), DelayedStrategy(0.05, measure_from="start"), FixedWindowStrategy(20, 1.0)]
    async with TaskManager(rules) as manager:
        last = [manager.submit(fetch, page) for page in range(8)][-1]
        await asyncio.sleep(0.12)
        print("why is the last one waiting?", manager.explain(last))
        async for result in manager.map(fetch, range(8, 12)):
            print(result)
    print("done:", manager.stats()["succeeded"])


if __name__ == "__main__":
    asyncio.run(main())
