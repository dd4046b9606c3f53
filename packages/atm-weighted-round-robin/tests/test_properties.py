"""Whatever happens: the promises hold, nothing is lost, and everything is given back."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Callable, Dict, List, Set

import pytest
from atm_weighted_round_robin import WeightedRoundRobinStrategy, current_resource
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import Outcome, Task, TaskManager, hookimpl
from atm_core.testing import run

TIMES = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])
TASKS = st.lists(
    st.fixed_dictionaries(
        {"at": TIMES, "lasts": TIMES, "fails": st.integers(0, 3), "cancel": st.none() | TIMES, "child": st.booleans()}
    ),
    min_size=1,
    max_size=14,
)
CHANGES = st.lists(
    st.tuples(TIMES, st.sampled_from(["weight", "swap", "down", "up"]), st.sampled_from("abc"), st.integers(0, 3)),
    max_size=6,
)


class Watch:
    """Holds the strategy to its word at every start and end."""

    def __init__(self, strategy: WeightedRoundRobinStrategy, most: float) -> None:
        self.strategy = strategy
        self.most = most
        self.broken: List[str] = []  # what a hook raises is only logged
        self.swaps: Counter[str] = Counter()  # one that comes under an old name is another one
        self.tried: Dict[Task[Any], Set[Any]] = {}
        self.runs_on: Dict[Task[Any], Any] = {}

    @hookimpl(trylast=True)
    def atm_started(self, task: Task[Any], now: float) -> None:
        name = task.metadata["resource"]
        states = self.strategy.snapshot(now)
        usable = {one for one, state in states.items() if state["weight"]}
        healthy = {one for one in usable if states[one]["healthy"]} or usable
        self.runs_on[task] = (name, self.swaps[name])
        left = {one for one in healthy if (one, self.swaps[one]) not in self.tried.get(task, set())}
        if name not in healthy:
            self.broken.append(f"{name} is not in health: {states}")
        if left and name not in left:
            self.broken.append(f"{name} was tried, and {left} not")
        if states[name]["running"] > self.most:
            self.broken.append(f"{name} is overloaded: {states}")

    @hookimpl
    def atm_finished(self, task: Task[Any], outcome: Outcome) -> None:
        if outcome.failed:
            self.tried.setdefault(task, set()).add(self.runs_on[task])


@pytest.mark.parametrize("algorithm", ["smooth", "edf", "least_request"])
@pytest.mark.parametrize("most", [None, 1, 2])
@settings(derandomize=True, max_examples=40, deadline=None)
@given(tasks=TASKS, changes=CHANGES)
def test_any_load(algorithm: str, most: Any, tasks: Any, changes: Any, retry: Callable[..., Any]) -> None:
    """Random arrivals, durations, failures, cancellations, nested work, and changes of the resources."""
    up = {"a": True, "b": True, "c": True}
    strategy = WeightedRoundRobinStrategy(
        {"a": 3, "b": 1, "c": 2},
        algorithm=algorithm,
        max_concurrent_per_resource=most,
        max_failures=2,
        ejection_seconds=1.0,
        health_check=lambda name: up[name],
        health_check_interval_seconds=0.75,
    )
    errors: List[str] = []

    async def leaf() -> Any:
        await asyncio.sleep(0.5)
        return current_resource()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        # Two of nested work that are cancelled while they wait may run beside others: no limit is asked then.
        strict = not any(one["child"] and one["cancel"] is not None for one in tasks)
        watch = Watch(strategy, (most or 1000) if strict else 1000)
        manager = TaskManager([strategy, retry(max_attempts=4, pause_seconds=0.25), watch])
        loop.set_exception_handler(lambda _, context: errors.append(str(context)))

        async def work(one: Any, left: List[int]) -> Any:
            await asyncio.sleep(one["lasts"])
            if one["child"]:
                await manager.submit(leaf)
            if left:
                left.pop()
                raise ConnectionError
            return current_resource()

        def add(one: Any) -> None:
            task = manager.submit(work, one, [0] * one["fails"])
            added.append(task)
            if one["cancel"] is not None:
                loop.call_later(one["cancel"], task.cancel)

        def change(what: str, name: str, weight: int) -> None:
            if what in ("down", "up"):
                up[name] = what == "up"
            elif what == "weight":
                strategy.set_weight(name, weight)
            else:
                watch.swaps[name] += 1
                strategy.remove(name)
                strategy.add(name, weight)

        added: List[Task[Any]] = []
        await manager.idle()
        for one in tasks:
            loop.call_later(one["at"], add, one)
        for at, what, name, weight in changes:
            loop.call_later(at, change, what, name, weight)
        await asyncio.sleep(3.0)
        strategy.set_weight("a", 1)
        await manager.join()
        assert len(added) == len(tasks) and all(task.done() for task in added)
        for task, one in zip(added, tasks):
            assert task.cancelled() or (one["fails"] >= 0 and (task.exception() is None) == (one["fails"] < 4))
        states = strategy.snapshot()
        assert all(state["running"] == 0 for state in states.values())
        assert strategy.stats()["retried"] == 0 and not strategy._serving
        await manager.aclose()
        assert not watch.broken

    run(main())
    assert not errors


@pytest.mark.parametrize("algorithm", ["smooth", "edf"])
@settings(derandomize=True, max_examples=40, deadline=None)
@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=6), durations=st.lists(TIMES, min_size=1, max_size=20))
def test_shares_are_exact_whatever_the_durations(algorithm: str, weights: List[int], durations: List[float]) -> None:
    """Round by round each resource starts exactly as many tasks as its weight says."""

    async def work(seconds: float) -> Any:
        await asyncio.sleep(seconds)
        return current_resource()

    async def main() -> None:
        rounds = 3
        async with TaskManager(WeightedRoundRobinStrategy(dict(enumerate(weights)), algorithm=algorithm)) as manager:
            tasks = [manager.submit(work, durations[n % len(durations)]) for n in range(rounds * sum(weights))]
        counts = Counter([await task for task in tasks])
        assert counts == {name: rounds * weight for name, weight in enumerate(weights)}

    run(main())
