"""In a real manager, alone and with other strategies, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Callable, Dict, List

import pytest
from atm_weighted_round_robin import WeightedRoundRobinStrategy, current_resource

from atm_core import (
    ConcurrentLimitStrategy,
    DelayedStrategy,
    FixedWindowStrategy,
    Task,
    TaskManager,
    TaskRejected,
    current_task,
)
from atm_core.testing import run


async def where(seconds: float = 0.0) -> Any:
    """Work: says which resource it was given."""
    await asyncio.sleep(seconds)
    return current_resource()


def test_the_work_finds_its_resource() -> None:
    """By current_resource, in the metadata, by asking the strategy; in asyncio tasks of its own, too; not elsewhere."""

    async def work() -> List[Any]:
        task = current_task()
        assert task is not None
        inner = await asyncio.gather(asyncio.ensure_future(where(1.0)))
        return [current_resource(), task.metadata["resource"], strategy.resource_of(task), *inner]

    async def main() -> None:
        assert current_resource() is None
        async with TaskManager(strategy) as manager:
            tasks = [manager.submit(work) for _ in range(7)]
        assert [await task for task in tasks] == [[name] * 4 for name in "aabacaa"]
        assert tasks[2].metadata["resource"] == "b", "it stays in the metadata, for logs"
        assert strategy.resource_of(tasks[2]) is None

    strategy = WeightedRoundRobinStrategy({"a": 5, "b": 1, "c": 1})
    run(main())


def test_by_name() -> None:
    """Through its entry point, from a config."""

    async def main() -> None:
        config = {"main": {"strategies": [{"name": "weighted_round_robin", "resources": {"a": 2, "b": 1}}]}}
        async with TaskManager.from_config(config) as manager:
            tasks = [manager.submit(where) for _ in range(3)]
        assert [await task for task in tasks] == ["a", "b", "a"]

    run(main())


@pytest.mark.parametrize("algorithm", ["smooth", "edf", "least_request"])
def test_shares_under_load(algorithm: str) -> None:
    """With every task as long as its resource is slow, each gets its share of the work to the task."""

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy({"fast": 3, "slow": 1}, algorithm=algorithm)
        async with TaskManager([strategy, ConcurrentLimitStrategy(8)]) as manager:
            tasks = [manager.submit(where, 0.5) for _ in range(400)]
        assert Counter([await task for task in tasks]) == {"fast": 300, "slow": 100}

    run(main())


def test_least_request_follows_the_speed() -> None:
    """Equal weights, but one is three times as slow: it gets a third."""

    async def work() -> Any:
        await asyncio.sleep(0.3 if current_resource() == "slow" else 0.1)
        return current_resource()

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy({"fast": 1, "slow": 1}, algorithm="least_request")
        async with TaskManager([strategy, ConcurrentLimitStrategy(10)]) as manager:
            tasks = [manager.submit(work) for _ in range(400)]
        counts = Counter([await task for task in tasks])
        assert counts["slow"] == pytest.approx(100, abs=10)

    run(main())


def test_add_remove_and_set_weight_while_running() -> None:
    """What waits finds its way at once; what runs on a removed one ends there; nothing is lost."""

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy({})
        manager = TaskManager(strategy)
        await manager.idle()
        tasks = [manager.submit(where, 10.0) for _ in range(3)]
        await asyncio.sleep(1.0)
        assert "no resource has a weight" in str(manager.explain(tasks[0]))
        strategy.add("a", 1)
        await asyncio.sleep(1.0)
        assert strategy.snapshot()["a"]["running"] == 3
        strategy.remove("a")
        assert strategy.snapshot() == {}
        more = manager.submit(where, 1.0)
        strategy.add("b", 0)
        await asyncio.sleep(1.0)
        assert more.state.value == "pending"
        strategy.set_weight("b", 1)
        assert await more == "b"
        assert [await task for task in tasks] == ["a"] * 3
        strategy.add("a", 1)
        assert strategy.snapshot()["a"]["running"] == 0, "a new one of the old name"
        await manager.aclose()

    run(main())


def test_no_turn_is_lost_while_another_strategy_holds_a_task() -> None:
    """The resource is picked at the start: the sequence is exact, however long tasks wait for others."""

    async def main() -> None:
        strategies = [
            WeightedRoundRobinStrategy({"a": 5, "b": 1, "c": 1}),
            FixedWindowStrategy(3, 10.0),
            ConcurrentLimitStrategy(2),
            DelayedStrategy(0.5, measure_from="start"),
        ]
        async with TaskManager(strategies) as manager:
            tasks = [manager.submit(where, 1.0) for _ in range(14)]
        assert [await task for task in tasks] == list("aabacaa" * 2)

    run(main())


def test_wait_in_a_manager(retry: Callable[..., Any]) -> None:
    """It wakes at the very end of the ejection."""

    async def fails_first() -> float:
        now = asyncio.get_running_loop().time()
        if now < 1.0:
            raise ConnectionError
        return now

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy({"a": 1}, max_failures=1, ejection_seconds=7.0, when_all_down="wait")
        async with TaskManager([strategy, retry()]) as manager:
            assert await manager.submit(fails_first) == 7.0

    run(main())


def test_reject_in_a_manager() -> None:
    """Those that would have to wait settle with the refusal; so do those that come."""

    async def fails() -> None:
        await asyncio.sleep(1.0)
        raise ConnectionError

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy(
            {"a": 1}, max_failures=1, ejection_seconds=7.0, when_all_down="reject", max_concurrent_per_resource=1
        )
        async with TaskManager(strategy) as manager:
            first, queued = manager.submit(fails), manager.submit(where)
            await first.wait()
            assert isinstance(first.exception(), ConnectionError)
            for refused in (queued, manager.submit(where)):
                with pytest.raises(TaskRejected) as caught:
                    await refused
                assert caught.value.retry_after == 7.0
            await asyncio.sleep(7.0)
            assert await manager.submit(where) == "a"

    run(main())


def test_two_of_them_in_one_manager() -> None:
    """Servers and accounts: each keeps its own books, and can be asked for its choice."""

    async def work() -> Any:
        task = current_task()
        assert task is not None
        assert current_resource() == servers.resource_of(task), "that of the one registered first"
        return servers.resource_of(task), accounts.resource_of(task)

    async def main() -> None:
        async with TaskManager([servers, accounts]) as manager:
            tasks = [manager.submit(work) for _ in range(6)]
        assert Counter([await task for task in tasks]) == {("s", "x"): 2, ("t", "x"): 2, ("s", "y"): 1, ("t", "y"): 1}

    servers = WeightedRoundRobinStrategy({"s": 1, "t": 1})
    accounts = WeightedRoundRobinStrategy({"x": 2, "y": 1})
    run(main())


def test_each_tenant_has_its_own_round() -> None:
    """``key``: the shares are exact for each of them."""

    async def main() -> None:
        async with TaskManager(WeightedRoundRobinStrategy({"a": 3, "b": 1}, key="tenant")) as manager:
            tasks = [manager.add_task(where, {"tenant": "big" if n % 5 else "small"}) for n in range(100)]
        counts: Dict[str, Counter[Any]] = {"big": Counter(), "small": Counter()}
        for task in tasks:
            counts[task.metadata["tenant"]][await task] += 1
        assert counts == {"big": {"a": 60, "b": 20}, "small": {"a": 15, "b": 5}}

    run(main())


def test_by_hand() -> None:
    """The four methods, without a manager."""

    async def main() -> None:
        strategy = WeightedRoundRobinStrategy({"a": 1, "b": 1}, max_concurrent_per_resource=1)
        for _ in range(3):
            strategy.add_task(Task(where))
        first, second = strategy.get_next_task(), strategy.get_next_task()
        assert first is not None and second is not None
        assert [first.metadata["resource"], second.metadata["resource"]] == ["a", "b"]
        assert strategy.get_next_task() is None
        assert await strategy.get_sleep_interval() == float("inf")
        await strategy.on_task_done()
        third = strategy.get_next_task()
        assert third is not None and third.metadata["resource"] == "a"

    run(main())
