"""Times that come while the task still runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import pytest
from atm_time_based import TimeBasedStrategy, every
from atm_time_based._policies import meet_running

from atm_core import ConcurrentLimitStrategy, Task, TaskManager, current_task, hookimpl

if TYPE_CHECKING:
    from conftest import Bench

ALL = json.loads((Path(__file__).parent / "vectors" / "timebased.json").read_text(encoding="utf-8"))
OVERLAPS: List[Dict[str, Any]] = [one for one in ALL["vectors"] if one["kind"] == "overlap"]
OURS = {
    "SKIP": "skip",
    "BUFFER_ONE": "buffer_one",
    "BUFFER_ALL": "buffer_all",
    "CANCEL_OTHER": "cancel_running",
    "TERMINATE_OTHER": "cancel_running",
    "ALLOW_ALL": "allow",
}


def shown(vector: Dict[str, Any]) -> str:
    return f"{vector['inputs']['policy']} {'running' if vector['inputs']['is_running'] else 'idle'}"


@pytest.mark.parametrize("vector", [one for one in OVERLAPS if one["inputs"]["is_running"]], ids=shown)
def test_vectors_of_times_that_come_during_a_run(vector: Dict[str, Any]) -> None:
    """Temporal keeps all three until the cancelled run is over; here the last one alone is kept."""
    policy, due = vector["inputs"]["policy"], vector["inputs"]["buffer"]
    expected = vector["expected"]
    met = meet_running(due, [], OURS[policy])
    assert met.cancel is (expected["need_cancel"] or expected["need_terminate"])
    assert met.beside == expected["overlapping_starts"]
    if met.cancel:
        assert met.kept == expected["new_buffer"][-1:]
        assert met.skipped == 2
    else:
        assert met.kept == expected["new_buffer"]
        assert met.skipped == expected["skipped"]


@pytest.mark.parametrize("vector", [one for one in OVERLAPS if not one["inputs"]["is_running"]], ids=shown)
def test_vectors_of_times_that_come_before_any_run(vector: Dict[str, Any]) -> None:
    """The first one starts as the task's run, and the others come during that."""
    first, *rest = vector["inputs"]["buffer"]
    expected = vector["expected"]
    met = meet_running(rest, [], OURS[vector["inputs"]["policy"]])
    assert [first] == [expected["start"]] or [first, *met.beside] == expected["overlapping_starts"]
    assert met.kept == expected["new_buffer"]
    skipped = expected["skipped"]
    assert met.skipped == (skipped["value"] if isinstance(skipped, dict) else skipped)


@pytest.mark.parametrize(
    "overlap, begins, skipped",
    [
        # Every 10 s, and each run takes 25 s.
        ("skip", [10, 40, 70], 4),
        ("buffer_one", [10, 35, 60, 85], 4),
        ("buffer_all", [10, 35, 60, 85], 0),
        ("cancel_running", [10, 20, 30, 40, 50, 60, 70, 80, 90], 0),
        ("allow", [10, 20, 30, 40, 50, 60, 70, 80, 90], 0),
    ],
)
def test_what_happens_when_runs_take_longer_than_the_interval(
    bench: Bench, overlap: str, begins: List[float], skipped: int
) -> None:
    strategy = TimeBasedStrategy(overlap=overlap)
    [(_, runs)] = bench.days(94, strategy, [(bench.job("x", lasts=25), {"schedule": every(seconds=10)})])
    assert bench.times() == begins
    assert runs.skipped == skipped
    assert runs.missed == 0


def test_buffered_runs_are_all_made_in_the_end(bench: Bench) -> None:
    """Five that take long, then none that does; whatever the grace, since they are late on purpose."""
    strategy = TimeBasedStrategy(overlap="buffer_all", misfire_grace_seconds=1, max_runs=5)
    [(task, runs)] = bench.days(500, strategy, [(bench.job("x", lasts=25), {"schedule": every(seconds=10)})])
    assert bench.times() == [10, 35, 60, 85, 110]
    assert (runs.runs, runs.missed, runs.skipped) == (5, 0, 0)
    assert task.result() == "x"


def test_the_one_that_is_kept_is_run_however_late(bench: Bench) -> None:
    strategy = TimeBasedStrategy(overlap="buffer_one", catchup_seconds=20, max_runs=3)
    bench.days(200, strategy, [(bench.job("x", lasts=65), {"schedule": every(seconds=10)})])
    assert bench.times() == [10, 75, 140]


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all"])
def test_what_comes_during_late_runs_takes_the_place_of_none(bench: Bench, overlap: str) -> None:
    """Three are late at 35 s, and each is to be run in turn; meanwhile others come."""
    begin = bench.loop.wall_time()
    times: List[float] = []

    class Closed:
        @hookimpl
        def atm_ready_at(self, now: float) -> float:
            return 35.0 if now < 35.0 else now

    async def work() -> None:
        task = current_task()
        assert task is not None
        times.append(task.metadata["scheduled_at"] - begin)
        await asyncio.sleep(12)

    strategy = TimeBasedStrategy(overlap=overlap, on_missed="run_all", max_runs=3)
    bench.days(80, strategy, [(work, {"schedule": every(seconds=10)})], [Closed()])
    assert times == [10, 20, 30]


def test_what_is_kept_is_bounded(bench: Bench) -> None:
    """Runs that never keep up: of what waits, only the last minute is kept."""
    strategy = TimeBasedStrategy(overlap="buffer_all", catchup_seconds=60)
    [(_, runs)] = bench.days(5000, strategy, [(bench.job("x", lasts=25), {"schedule": every(seconds=10)})])
    assert len(bench.ran) == 200
    assert 290 < runs.skipped < 300  # 499 times but for the 200 that ran, and up to 6 that are kept


def test_a_cancelled_run_makes_room_when_it_has_cleaned_up(bench: Bench) -> None:
    strategy = TimeBasedStrategy(overlap="cancel_running")
    ends: List[float] = []

    async def work() -> None:
        await bench.job()()
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(3)
            ends.append(bench.now())

    [(_, runs)] = bench.days(45, strategy, [(work, {"schedule": every(seconds=20)})])
    assert bench.times() == [20, 43]
    assert ends[0] == 43
    assert runs.last_outcome is not None
    assert runs.last_outcome.cancelled


def test_runs_beside_each_other_are_counted_and_obey_the_limits(bench: Bench) -> None:
    strategy = TimeBasedStrategy(overlap="allow", max_runs=4)
    [(task, runs)] = bench.days(
        300,
        strategy,
        [(bench.job("x", lasts=25), {"schedule": every(seconds=10)})],
        [ConcurrentLimitStrategy(2)],
    )
    assert bench.times() == [10, 20, 35, 45]
    assert (runs.runs, runs.missed, runs.skipped) == (4, 0, 0)
    assert task.done()


@pytest.mark.parametrize(
    "on_missed, due, missed", [("run_all", [10, 20, 30, 40, 50], 0), ("run_latest", [10, 40, 50], 2)]
)
def test_what_comes_while_a_run_blocks_the_loop_is_late(
    bench: Bench, on_missed: str, due: List[float], missed: int
) -> None:
    """Nothing could start beside it before it was over."""
    begin = bench.loop.wall_time()
    times: List[float] = []

    async def work() -> None:
        task = current_task()
        assert task is not None
        times.append(task.metadata["scheduled_at"] - begin)
        if len(times) == 1:
            bench.loop._now += 35  # what a blocking call does

    strategy = TimeBasedStrategy(overlap="allow", on_missed=on_missed)
    [(_, runs)] = bench.days(55, strategy, [(work, {"schedule": every(seconds=10)})])
    assert times == due
    assert (runs.runs, runs.missed, runs.skipped) == (len(due), missed, 0)


def test_cancelling_the_task_cancels_its_runs_beside_it(bench: Bench) -> None:
    strategy = TimeBasedStrategy(overlap="allow")
    cancelled: List[float] = []

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            cancelled.append(bench.now())
            raise

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(work, {"schedule": every(seconds=10)})
            await asyncio.sleep(35)
            task.cancel()
            await manager.join()
            assert bench.now() == 35

    bench.run(main())
    assert cancelled == [35, 35, 35]


def test_runs_beside_each_other_end_with_the_manager(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It waits for what runs, and refuses what comes meanwhile."""
    strategy = TimeBasedStrategy(overlap="allow")

    async def main() -> None:
        manager = TaskManager(strategy)
        task = manager.add_task(bench.job("x", lasts=35), {"schedule": every(seconds=10)})
        await manager.idle()
        await asyncio.sleep(25)
        await manager.aclose()
        runs = strategy.recurrence(task)
        assert runs is not None
        assert (runs.runs, runs.missed) == (2, 2)

    bench.run(main())
    assert bench.times() == [10, 20]


def test_a_failed_run_beside_another_is_reported_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    strategy = TimeBasedStrategy(overlap="allow", max_runs=3)
    [(task, runs)] = bench.days(
        100, strategy, [(bench.job("x", lasts=15, fails=True), {"schedule": every(seconds=10), "name": "x"})]
    )
    assert str(task.exception()) == "x fails"
    assert [record.getMessage() for record in caplog.records] == [
        "x: its run of 2026-01-01T00:00:10+00:00 failed",
        "x: its run of 2026-01-01T00:00:20+00:00 failed",
    ]
    assert runs.runs == 3


def test_runs_beside_each_other_keep_the_context_of_their_task(bench: Bench) -> None:
    from contextvars import ContextVar

    request: ContextVar[str] = ContextVar("request", default="none")
    seen: List[str] = []

    async def work() -> None:
        seen.append(request.get())
        await asyncio.sleep(15)

    async def main() -> None:
        async with TaskManager(TimeBasedStrategy(overlap="allow")) as manager:
            request.set("mine")
            task = manager.add_task(work, {"schedule": every(seconds=10)})
            request.set("other")
            await asyncio.sleep(45)
            task.cancel()

    bench.run(main())
    assert seen == ["mine"] * 4


@pytest.mark.parametrize(
    "overlap, begins",
    [
        # Every 10 s; each attempt fails after 2 s, and is repeated 15 s later: over 19 s after its start.
        ("skip", [10, 27, 30, 47, 50, 67, 70, 87, 90]),
        ("buffer_one", [10, 27, 29, 46, 48, 65, 67, 84, 86]),
        ("allow", [10, 20, 27, 30, 37, 40, 47, 50, 57, 60, 67, 70, 77, 80, 87, 90]),
    ],
)
def test_overlap_is_judged_on_the_whole_run_retries_included(
    bench: Bench, overlap: str, begins: List[float]
) -> None:
    strategy = TimeBasedStrategy(overlap=overlap)
    bench.days(
        94, strategy, [(bench.job("x", lasts=2, fails=True), {"schedule": every(seconds=10)})], [bench.repeats(15)]
    )
    assert sorted(bench.times()) == begins


def test_the_next_run_takes_the_place_of_a_retry_if_it_may_cancel(bench: Bench) -> None:
    strategy = TimeBasedStrategy(overlap="cancel_running")
    [(_, runs)] = bench.days(
        35, strategy, [(bench.job("x", lasts=2, fails=True), {"schedule": every(seconds=10)})], [bench.repeats(15)]
    )
    assert bench.times() == [10, 20, 30]
    assert runs.skipped == 0


def test_a_failed_run_beside_the_tasks_own_ends_it_if_that_is_asked_for(bench: Bench) -> None:
    """Also while the task sleeps: here its own run is over when the one beside it fails."""
    strategy = TimeBasedStrategy(overlap="allow", end_on_failure=True)
    lasts = iter([15.0, 28.0])

    async def work() -> str:
        bench.ran.append((bench.now(), None))
        seconds = next(lasts, 5.0)
        await asyncio.sleep(seconds)
        if seconds == 28:
            raise RuntimeError("beside")
        return "well"

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(work, {"schedule": every(seconds=10)})
            with pytest.raises(RuntimeError, match="beside"):
                await task
            assert bench.now() == 48
            runs = strategy.recurrence(task)
            assert runs is not None
            assert runs.next_run_at is None

    bench.run(main())
    assert bench.times() == [10, 20, 30, 40]


def test_runs_that_outlive_their_task_are_counted(bench: Bench) -> None:
    """The task ends with its own last run; the one beside it takes longer."""
    strategy = TimeBasedStrategy(overlap="allow", max_runs=2)
    lasts = iter([15.0, 100.0])

    async def work() -> None:
        await asyncio.sleep(next(lasts))

    async def main() -> None:
        async with TaskManager(strategy) as manager:
            task = manager.add_task(work, {"schedule": every(seconds=10)})
            await task
            assert bench.now() == 25
            assert strategy.stats()["runs"] == 1
        runs = strategy.recurrence(task)
        assert runs is not None
        assert runs.runs == strategy.stats()["runs"] == 2

    bench.run(main())


def test_a_full_queue_refuses_a_run_beside_another_and_it_is_missed(bench: Bench) -> None:
    strategy = TimeBasedStrategy(overlap="allow")

    async def main() -> None:
        manager = TaskManager([strategy, ConcurrentLimitStrategy(1)], max_pending=2)
        task = manager.add_task(bench.job("x", lasts=45), {"schedule": every(seconds=10)})
        await manager.idle()
        await asyncio.sleep(42)
        runs = strategy.recurrence(task)
        assert runs is not None
        assert runs.missed == 1  # of 20, 30 and 40 two may wait
        await manager.aclose(timeout=0)

    bench.run(main())


def test_a_run_that_is_due_before_the_last_one_has_its_first_step_cancels_it(bench: Bench) -> None:
    """Where starts are not eager, time may pass between the two: here the wall clock is moved there."""
    strategy = TimeBasedStrategy(overlap="cancel_running")
    ends: List[float] = []

    class Between:
        """Moves the clock to the next due time, once."""

        @hookimpl(trylast=True)
        def atm_started(self, task: Task[Any], now: float) -> None:
            if bench.now() == 10:
                bench.loop.jump_wall_clock(10)
                strategy._table._ring(task, now)

    async def work() -> None:
        bench.ran.append((bench.now(), None))
        try:
            await asyncio.sleep(1000)
        finally:
            ends.append(bench.now())

    tasks: Any = [(work, {"schedule": every(seconds=10, start="2026-01-01T00:00:10")})]
    bench.days(11, strategy, tasks, [Between()])
    assert bench.times() == [20, 20]
    assert ends[0] == 20
