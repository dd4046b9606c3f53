"""Runs that are late: made up for, merged, or missed for good."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import pytest
from atm_time_based import MissedRunError, TimeBasedStrategy, at, cron, every
from atm_time_based._policies import choose_late

from atm_core import ConcurrentLimitStrategy, TaskManager, TaskRejected, hookimpl

if TYPE_CHECKING:
    from conftest import Bench

START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
ALL = json.loads((Path(__file__).parent / "vectors" / "timebased.json").read_text(encoding="utf-8"))
MISFIRES: List[Dict[str, Any]] = [one for one in ALL["vectors"] if one["kind"] == "misfire"]
COALESCE = next(one for one in MISFIRES if "all" in one["expected"])
DEADLINE = next(one for one in MISFIRES if "misfire_grace_time" in one["inputs"])


def offset(text: str) -> float:
    """``"now-185s"`` -> -185.0."""
    return float(text[len("now") : -1])


@pytest.mark.parametrize("policy", ["all", "earliest", "latest"])
def test_vector_several_times_have_passed(policy: str) -> None:
    schedule = every(
        seconds=60,
        start=datetime.fromtimestamp(1000.0 + offset(COALESCE["inputs"]["first_start"]), timezone.utc),
    )
    due, wall_time = [], schedule.first(0.0)
    assert wall_time is not None
    while wall_time <= 1000.0:
        due.append(wall_time)
        wall_time = schedule.next_after(wall_time)
    assert wall_time == 1000.0 + offset(COALESCE["expected"]["next_fire_time"])
    chosen = choose_late(due, 1000.0, f"run_{policy}", None, 86400.0)
    expected = [1000.0 + offset(text) for text in COALESCE["expected"][policy]]
    assert chosen.runs == expected
    assert chosen.missed == len(due) - len(expected)


def test_vector_a_deadline_that_was_missed(bench: Bench) -> None:
    assert DEADLINE["inputs"] == {"trigger": "date now-1s", "misfire_grace_time": 0}
    assert DEADLINE["expected"] == {"outcome": "missed_start_deadline", "started_at": None}
    strategy = TimeBasedStrategy(misfire_grace_seconds=0)

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(bench.job(), {"schedule": at("2025-12-31T23:59:59")})
            with pytest.raises(MissedRunError):
                await task
            runs = strategy.recurrence(task)
            assert runs is not None
            assert (runs.missed, runs.runs) == (1, 0)

    bench.run(main())
    assert not bench.ran


@pytest.mark.parametrize(
    "on_missed, grace, catchup, runs, missed",
    [
        ("run_latest", None, 86400, [400], 4),
        ("run_earliest", None, 86400, [0], 4),
        ("run_all", None, 86400, [0, 100, 200, 300, 400], 0),
        ("skip", None, 86400, [400], 4),
        ("skip", 10, 86400, [], 5),
        ("run_latest", 10, 86400, [], 5),
        ("run_latest", 50, 86400, [400], 4),
        ("run_earliest", 250, 86400, [200], 4),
        ("run_all", 250, 86400, [200, 300, 400], 2),
        ("run_all", None, 150, [300, 400], 3),
        ("run_all", 250, 150, [300, 400], 3),
        ("run_all", 0, 86400, [], 5),
    ],
)
def test_which_late_runs_happen(
    on_missed: str, grace: Any, catchup: float, runs: List[float], missed: int
) -> None:
    """Five times a hundred seconds apart, the last one 50 s ago."""
    assert choose_late([0, 100, 200, 300, 400], 450, on_missed, grace, catchup) == (runs, missed)


class ClosedUntil:
    """A gate that is closed from 20 s on."""

    def __init__(self, opens_at: float) -> None:
        self.opens_at = opens_at

    @hookimpl
    def atm_ready_at(self, now: float) -> float:
        return self.opens_at if 20.0 < now < self.opens_at else now


def test_without_catching_up_a_run_on_time_is_for_its_own_time(bench: Bench) -> None:
    """The gate opens at 60 s, when a run is due: that one is on time, and what was due at 30 s is missed."""
    strategy = TimeBasedStrategy(catchup_seconds=0)
    gate = ClosedUntil(60)
    [(_, runs)] = bench.days(89, strategy, [(bench.job("x"), {"schedule": every(seconds=30)})], [gate])
    assert bench.times() == [60]
    assert (runs.runs, runs.missed) == (1, 1)


def test_what_is_as_late_as_the_grace_allows_is_run(bench: Bench) -> None:
    strategy = TimeBasedStrategy(misfire_grace_seconds=5)
    gate = ClosedUntil(65)
    [(_, runs)] = bench.days(89, strategy, [(bench.job("x"), {"schedule": every(seconds=30)})], [gate])
    assert bench.times() == [65]
    assert (runs.runs, runs.missed) == (1, 1)


def test_what_a_timer_takes_is_not_late() -> None:
    assert choose_late([100.0], 100.05, "run_latest", 0, 0) == ([100.0], 0)


@pytest.mark.parametrize(
    "on_missed, grace, times, missed",
    [
        ("run_latest", None, [60, 330, 360], 3),
        ("run_earliest", None, [60, 330, 360], 3),
        ("run_all", None, [60, 330, 330, 330, 330, 360], 0),
        ("run_all", 100, [60, 330, 330, 360], 2),
        ("skip", None, [60, 330, 360], 3),
        ("skip", 20, [60, 360], 4),
        ("run_latest", 20, [60, 360], 4),
    ],
)
def test_a_full_gate_makes_late(
    bench: Bench, on_missed: str, grace: Any, times: List[float], missed: int
) -> None:
    """Every minute; but from 100 s to 330 s another task holds the only slot."""
    strategy = TimeBasedStrategy(on_missed=on_missed, misfire_grace_seconds=grace)

    async def main() -> None:
        async with TaskManager([strategy, ConcurrentLimitStrategy(1)]) as manager:
            task = manager.add_task(bench.job("x"), {"schedule": every(minutes=1)})
            await asyncio.sleep(100)
            manager.add_task(bench.job("other", lasts=230))
            await asyncio.sleep(270)
            runs = strategy.recurrence(task)
            assert runs is not None
            assert (runs.runs, runs.missed, runs.skipped) == (len(times), missed, 0)

    bench.run(main())
    assert bench.times("x") == times


@pytest.mark.parametrize(
    "on_missed, told", [("run_latest", [60, 240, 300]), ("run_earliest", [60, 120, 300])]
)
def test_a_blocked_loop_makes_late(bench: Bench, on_missed: str, told: List[float]) -> None:
    """A callback that takes four minutes of the loop's time; the run knows for which time it is."""
    from atm_core import current_task

    strategy = TimeBasedStrategy(on_missed=on_missed)
    scheduled: List[float] = []

    async def work() -> None:
        task = current_task()
        assert task is not None
        scheduled.append(task.metadata["scheduled_at"] - START)

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(work, {"schedule": "* * * * *"})
            await asyncio.sleep(100)
            bench.loop._now += 185  # what a blocking call does
            await asyncio.sleep(30)
            runs = strategy.recurrence(task)
            assert runs is not None
            assert (runs.runs, runs.missed) == (3, 2)

    bench.run(main())
    assert scheduled == told


def test_a_schedule_goes_on_after_missed_runs_at_its_own_times(bench: Bench) -> None:
    """Nothing drifts: the runs after a late one are where they would have been."""
    bench.days(
        500,
        TimeBasedStrategy(),
        [
            (bench.job("x"), {"schedule": every(seconds=60)}),
            (bench.job("slow", lasts=130), {"schedule": "@reboot"}),
        ],
        [ConcurrentLimitStrategy(1)],
    )
    assert bench.times("x") == [130, 180, 240, 300, 360, 420, 480]


def test_a_run_that_another_strategy_refuses_is_missed_and_the_schedule_goes_on(bench: Bench) -> None:
    class Closed:
        """Refuses everything until it opens."""

        @hookimpl
        def atm_ready_at(self, task: Any, now: float) -> float:
            if now < 150:
                raise TaskRejected("closed")
            return now

    strategy = TimeBasedStrategy()
    [(_, runs)] = bench.days(200, strategy, [(bench.job("x"), {"schedule": every(seconds=60)})], [Closed()])
    assert bench.times() == [180]
    assert (runs.runs, runs.missed) == (1, 2)


def test_asking_for_a_late_run_changes_nothing_and_costs_little(bench: Bench) -> None:
    """``atm_ready_at`` is asked over and over while a gate is full; here a job of each second, a day late."""
    strategy = TimeBasedStrategy()

    async def main() -> None:
        manager = TaskManager(strategy)
        task = manager.add_task(bench.job(), {"schedule": cron("* * * * * *")})
        await manager.idle()
        await asyncio.sleep(1.5)
        runs = strategy.recurrence(task)
        assert runs is not None
        due = runs.due
        bench.loop._now += 86000
        before = {name: getattr(runs, name) for name in runs.__slots__}
        for _ in range(1000):
            strategy.atm_ready_at(task, bench.loop.time())
        assert {name: getattr(runs, name) for name in runs.__slots__} == before
        assert runs.due == due
        await asyncio.sleep(0.6)
        assert runs.missed == 85999
        await manager.aclose()

    bench.run(main())
