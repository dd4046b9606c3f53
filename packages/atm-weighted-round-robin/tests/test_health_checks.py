"""Active checks in the background, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Callable, Dict, List, Tuple

import pytest
from atm_weighted_round_robin import WeightedRoundRobinStrategy, current_resource

from atm_core import TaskManager
from atm_core.testing import run


async def where() -> Any:
    return current_resource()


def served(
    answers: Callable[[str, float], Any], seconds: float, **settings: Any
) -> Tuple[Dict[str, Dict[float, bool]], List[Tuple[str, float]]]:
    """Run checks for a while: who was healthy at each half second, and which checks were made when."""
    made: List[Tuple[str, float]] = []
    healthy: Dict[str, Dict[float, bool]] = {"a": {}, "b": {}}

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def check(name: str) -> Any:
            made.append((name, loop.time()))
            return answers(name, loop.time())

        strategy = WeightedRoundRobinStrategy(
            {"a": 1, "b": 1}, health_check=check, **{"health_check_interval_seconds": 2.0, **settings}
        )
        manager = TaskManager(strategy)
        await manager.idle()
        while loop.time() < seconds:
            await asyncio.sleep(0.5)
            for name, state in strategy.snapshot().items():
                healthy[name][loop.time()] = state["healthy"]
        await manager.aclose()
        ended = len(made)
        await asyncio.sleep(10.0)
        assert asyncio.all_tasks() == {asyncio.current_task()} and len(made) == ended, "all checks have ended"

    run(main())
    return healthy, made


def test_checks_come_at_once_and_at_every_interval() -> None:
    healthy, made = served(lambda name, now: None, 5.0)
    assert all(healthy["a"].values()), "no verdict is a good one"
    assert made == [(name, at) for at in (0.0, 2.0, 4.0) for name in "ab"]


@pytest.mark.parametrize("verdict", ["False", "0", "OSError", "async False", "async OSError", "cancels itself"])
def test_a_failed_check_takes_it_out_until_one_passes(verdict: str) -> None:
    """By answer or by exception, plain or async."""

    async def later() -> Any:
        await asyncio.sleep(0)
        if verdict == "cancels itself":
            raise asyncio.CancelledError
        if "OSError" in verdict:
            raise ConnectionRefusedError
        return False

    def answers(name: str, now: float) -> Any:
        if name == "a" or not 2.0 <= now < 6.0:
            return True
        if verdict == "OSError":
            raise ConnectionRefusedError
        return later() if verdict.startswith(("async", "cancels")) else {"False": False, "0": 0}[verdict]

    healthy, _ = served(answers, 8.0)
    assert all(healthy["a"].values())
    seen = [healthy["b"][at] for at in (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5)]
    assert seen == [True] * 2 + [False] * 4 + [True] * 2


def test_a_check_that_hangs_is_a_failed_one_and_holds_up_no_other() -> None:
    """Even if it does not want to be cancelled."""

    async def hang() -> None:
        while True:
            try:
                await asyncio.sleep(3.0)
                return
            except asyncio.CancelledError:
                stubborn.append(1)

    def answers(name: str, now: float) -> Any:
        return hang() if name == "b" else True

    stubborn: List[int] = []
    healthy, made = served(answers, 9.0)
    assert all(healthy["a"].values())
    assert healthy["b"][1.5] and not any(well for at, well in healthy["b"].items() if at > 2.0)
    assert [at for name, at in made if name == "a"] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert [at for name, at in made if name == "b"] == [0.0, 4.0, 8.0]
    assert stubborn


def test_a_check_with_a_mistake_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Any exception that is no ``failure``: the tasks go on, the next checks too."""

    def answers(name: str, now: float) -> bool:
        raise KeyError("a mistake")

    with caplog.at_level(logging.ERROR):
        healthy, made = served(answers, 5.0, failure=(OSError,))
    assert all(healthy["a"].values()) and len(made) == 6
    assert len(caplog.records) == 6 and "has a mistake" in caplog.text


def test_tasks_go_where_checks_pass() -> None:
    """And those that wait, start in the moment in which one passes again."""

    async def main() -> None:
        up: Dict[str, bool] = {"a": True, "b": False}
        strategy = WeightedRoundRobinStrategy(
            {"a": 1, "b": 1}, health_check=up.get, health_check_interval_seconds=1.0, when_all_down="wait"
        )
        manager = TaskManager(strategy)
        await manager.idle()
        await asyncio.sleep(0.5)
        assert {await manager.submit(where) for _ in range(6)} == {"a"}
        up["a"] = False
        await asyncio.sleep(1.0)
        task = manager.submit(where)
        await asyncio.sleep(3.2)
        assert "no resource is in health" in str(manager.explain(task))
        up["b"] = True
        assert await task == "b"
        assert asyncio.get_running_loop().time() == 5.0
        await manager.aclose()

    run(main())


def test_one_that_was_seen_down_and_up_again_is_back_from_its_ejection() -> None:
    """A check that always passed is no news: the ejection stands. A restart is."""

    async def fails() -> None:
        raise ConnectionError

    async def main() -> None:
        up: Dict[str, bool] = {"a": True, "b": True}
        strategy = WeightedRoundRobinStrategy(
            {"a": 1, "b": 1},
            health_check=up.get,
            health_check_interval_seconds=1.0,
            max_failures=1,
            max_ejected_fraction=1.0,
            slow_start_seconds=10.0,
        )
        manager = TaskManager(strategy)
        await manager.idle()
        await asyncio.sleep(0.5)
        for task in [manager.submit(fails) for _ in range(2)]:
            await task.wait()
            assert task.exception() is not None
        up["b"] = False
        await asyncio.sleep(3.0)
        up["b"] = True
        await asyncio.sleep(1.0)
        states = strategy.snapshot()
        assert [states[name]["healthy"] for name in "ab"] == [False, True]
        assert states["b"]["effective_weight"] == pytest.approx(0.1), "it starts slowly"
        assert states["b"]["ejections"] == 1, "and is not forgiven for that"
        await manager.aclose()

    run(main())


def test_new_resources_are_checked_and_removed_ones_are_not() -> None:
    async def main() -> None:
        made: List[str] = []
        strategy = WeightedRoundRobinStrategy(
            {"a": 1}, health_check=lambda name: made.append(name), health_check_interval_seconds=1.0
        )
        manager = TaskManager(strategy)
        await manager.idle()
        await asyncio.sleep(0.5)
        strategy.add("b")
        strategy.remove("a")
        await asyncio.sleep(2.0)
        assert made == ["a", "b", "b"]
        await manager.stop()
        await asyncio.sleep(5.0)
        assert made == ["a", "b", "b"], "none while the manager is stopped"
        await manager.idle()
        await asyncio.sleep(0.5)
        assert made == ["a", "b", "b", "b"]
        await manager.aclose()

    run(main())


def test_a_strategy_that_joins_a_running_manager_checks_too() -> None:
    async def main() -> None:
        made: List[str] = []
        async with TaskManager() as manager:
            strategy = WeightedRoundRobinStrategy({"a": 1}, health_check=made.append)
            manager.register(strategy)
            await asyncio.sleep(6.0)
            assert made == ["a", "a"]
            manager.unregister(strategy)
            await asyncio.sleep(20.0)
            assert made == ["a", "a"]

    run(main())
