"""Where retries go, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, List

from atm_weighted_round_robin import WeightedRoundRobinStrategy, current_resource

from atm_core import (
    TaskManager,
    current_task,
)
from atm_core.testing import run


async def where(seconds: float = 0.0) -> Any:
    """Work: says which resource it was given."""
    await asyncio.sleep(seconds)
    return current_resource()


def test_a_retry_goes_elsewhere(retry: Callable[..., Any]) -> None:
    """To each of the others first; when all have been tried, anywhere."""

    async def work() -> None:
        seen.append(current_resource())
        raise ConnectionError

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy({"a": 100, "b": 1, "c": 1}, max_failures=None)
        async with TaskManager([strategy, retry(max_attempts=6)]) as manager:
            task = manager.submit(work)
            await task.wait()
            assert isinstance(task.exception(), ConnectionError)
        assert sorted(seen[:3]) == ["a", "b", "c"]
        assert seen[3:] == ["a", "a", "a"], "all are tried: by weight"
        assert strategy.stats()["retried"] == 0

    seen: List[Any] = []
    run(main())


def test_a_retry_does_not_go_to_what_is_ejected(retry: Callable[..., Any]) -> None:
    """Not yet tried, but out: rather one that was tried and is in health."""

    async def work() -> Any:
        if len(seen) < 3:
            seen.append(current_resource())
            raise ConnectionError
        return current_resource()

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy({"a": 9, "b": 1}, max_failures=1, max_ejected_fraction=0.5)
        async with TaskManager([strategy, retry()]) as manager:
            assert await manager.submit(work) == "b"
        assert seen == ["a", "b", "b"], "a is ejected at once, b by the cap never"

    seen: List[Any] = []
    run(main())


def test_a_retry_waits_for_an_untried_one_and_is_in_nobodys_way(retry: Callable[..., Any]) -> None:
    """b is full: the retry waits for it, while fresh tasks go on with a; and it gets b as soon as that is free."""

    async def fails_on_a() -> str:
        if current_resource() == "a":
            raise ConnectionError
        return f"{current_resource()} at {asyncio.get_running_loop().time():g}"

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy({"a": 1, "b": 1}, max_concurrent_per_resource=1, max_failures=None)
        manager = TaskManager([strategy, retry(pause_seconds=0.5)])
        await manager.idle()
        retried = manager.submit(fails_on_a)
        long = manager.submit(where, 10.0)
        await asyncio.sleep(0.25)
        fresh = [manager.submit(where, 1.0) for _ in range(3)]
        assert [await task for task in fresh] == ["a", "a", "a"]
        assert asyncio.get_running_loop().time() == 3.25
        explained = manager.explain(retried)
        assert explained.strategy == "weighted_round_robin" and "'b'" in str(explained)
        assert await retried == "b at 10"
        assert await long == "b"
        await manager.aclose()

    run(main())


def test_a_waiting_retry_goes_back_when_the_untried_one_is_ejected(retry: Callable[..., Any]) -> None:
    """Its hope is gone: what was tried will do."""

    async def fails_once() -> Any:
        task = current_task()
        assert task is not None
        if task.attempts == 1:
            raise ConnectionError
        return current_resource()

    async def fails_late() -> None:
        await asyncio.sleep(5.0)
        raise ConnectionError

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy(
            {"a": 1, "b": 1}, max_concurrent_per_resource=1, max_failures=1, ejection_seconds=1.0
        )
        manager = TaskManager([strategy, retry(max_attempts=2)])
        await manager.idle()
        once = manager.submit(fails_once)
        late = manager.submit(fails_late)
        assert await once == "a" and asyncio.get_running_loop().time() == 5.0
        late.cancel()
        await manager.aclose()

    run(main())
