"""Through a real manager: alone, and stacked with other strategies."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from atm_sliding_window import SlidingWindowStrategy
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import ConcurrentLimitStrategy, CostTooLargeError, TaskManager, TaskState, hookimpl
from atm_core.testing import Recorder, run

LOADS = st.lists(
    st.tuples(
        st.floats(0.0, 0.4),  # pause before it is added
        st.sampled_from([0.0, 0.05, 0.7]),  # how long it runs
        st.sampled_from(["ok", "ok", "ok", "fails", "cancel now", "cancel later"]),
        st.sampled_from(["a", "b", None]),
        st.integers(1, 3),
    ),
    max_size=40,
)
STACKS: List[Dict[str, Any]] = [
    {"max_requests": 3, "window_seconds": 1.0},
    {"max_requests": 3, "window_seconds": 1.0, "key": "key"},
    {"max_requests": 3, "window_seconds": 1.0, "algorithm": "gcra", "burst": 1},
    {"max_requests": 3, "window_seconds": 1.0, "algorithm": "gcra", "key": "key", "cost": "cost"},
    {"max_requests": 3, "window_seconds": 1.0, "algorithm": "counter", "key": "key", "cost": "cost"},
]


class Twice:
    """Every failed attempt is made once more, half a second later."""

    @hookimpl
    def atm_again(self, task: Any, outcome: Any, now: float) -> Optional[float]:
        return now + 0.5 if outcome.failed and task.attempts < 2 else None


@pytest.mark.parametrize("options", STACKS, ids=str)
@settings(max_examples=30, derandomize=True, deadline=None)
@given(load=LOADS, limit=st.integers(1, 4))
def test_random_loads(
    load: List[Tuple[float, float, str, Optional[str], int]], limit: int, options: Dict[str, Any]
) -> None:
    """Arrivals, durations, failures, retries, cancellations, a second limit: it holds, nothing is lost or kept."""
    strategy, recorder = SlidingWindowStrategy(**options), Recorder()

    async def work(seconds: float, end: str) -> None:
        await asyncio.sleep(seconds)
        if end == "fails":
            raise OSError("as it is meant to")

    async def main() -> None:
        async with TaskManager([ConcurrentLimitStrategy(limit), Twice(), strategy, recorder]) as manager:
            tasks = []
            for pause, seconds, end, key, cost in load:
                await asyncio.sleep(pause)
                args = (seconds, end)
                task = manager.add_task(lambda args=args: work(*args), {"key": key, "cost": cost})  # type: ignore[misc]
                tasks.append(task)
                if end == "cancel now":
                    task.cancel()
                elif end == "cancel later":
                    asyncio.get_running_loop().call_later(0.3, task.cancel)
            await manager.join()
            for task in tasks:
                assert task.done()
                if task.state is TaskState.FAILED:
                    task.exception()

    run(main())
    recorder.all_settled_once()
    recorder.everything_given_back()
    most = {"log": 3, "counter": 6, "gcra": 2 + options.get("burst", 3)}[strategy.algorithm]
    recorder.never_more_than(most, 1.0, key=options.get("key"))
    assert not strategy._unbegun
    assert not strategy._reserved


def test_it_wakes_at_the_exact_time_and_not_before() -> None:
    """The manager asks when a task is added and when its time has come; in between nothing polls."""
    strategy = SlidingWindowStrategy(2, 10.0)

    async def main() -> List[float]:
        loop = asyncio.get_running_loop()

        async def work() -> float:
            return loop.time()

        async with TaskManager(strategy) as manager:
            return [await task for task in [manager.submit(work) for _ in range(5)]]

    assert run(main()) == [0.0, 0.0, 10.0, 10.0, 20.0]


def test_two_limits_at_once() -> None:
    """Three in a second and five in ten seconds, by two strategies: both hold, and nothing waits longer."""
    recorder = Recorder()

    async def main() -> None:
        async def work() -> None:
            pass

        async with TaskManager([SlidingWindowStrategy(3, 1.0), SlidingWindowStrategy(5, 10.0), recorder]) as manager:
            for _ in range(12):
                manager.submit(work)

    run(main())
    assert recorder.times() == [0.0] * 3 + [1.0] * 2 + [10.0] * 3 + [11.0] * 2 + [20.0] * 2


def test_no_rate_is_spent_while_a_slot_is_waited_for() -> None:
    """With one slot and slow work, the window's places are still there when the slot comes back."""
    recorder = Recorder()

    async def main() -> None:
        async with TaskManager([ConcurrentLimitStrategy(1), SlidingWindowStrategy(2, 1.0), recorder]) as manager:
            for _ in range(4):
                manager.submit(asyncio.sleep, 0.4)

    run(main())
    assert recorder.times() == pytest.approx([0.0, 0.4, 1.0, 1.4])


def test_a_full_window_of_one_key_blocks_no_other() -> None:
    """Tasks of a free key start at once behind a thousand of a busy one."""

    async def main() -> float:
        async def work() -> float:
            return asyncio.get_running_loop().time()

        async with TaskManager(SlidingWindowStrategy(1, 60.0, key="host")) as manager:
            busy = [manager.add_task(work, {"host": "busy"}) for _ in range(1000)]
            free = await manager.add_task(work, {"host": "free"})
            for task in busy:
                task.cancel()
        return free

    assert run(main()) == 0.0


def test_a_cost_that_never_fits_is_refused() -> None:
    """At admission, with the capacity in the message: a window, or a burst."""
    for options, most in (({"algorithm": "log"}, 10), ({"algorithm": "gcra", "burst": 4}, 4)):
        manager = TaskManager(SlidingWindowStrategy(10, 1.0, cost="cost", **options))
        with pytest.raises(CostTooLargeError, match=f"is 11, .* never fits more than {most}"):
            manager.add_task(lambda: asyncio.sleep(0), {"cost": 11})


def test_explain_names_the_limit_and_the_time() -> None:
    """Why a task waits, and until when."""

    async def main() -> None:
        async with TaskManager(SlidingWindowStrategy(1, 5.0)) as manager:
            manager.submit(asyncio.sleep, 0)
            waiting = manager.submit(asyncio.sleep, 0)
            await asyncio.sleep(1)
            explanation = manager.explain(waiting)
            assert explanation.until == 5.0
            assert explanation.reason == "1 starts in any 5 s are used up"
            assert manager.stats()["strategies"]["sliding_window"] == {
                "algorithm": "log",
                "max_requests": 1,
                "window_seconds": 5.0,
                "keys": 1,
            }

    run(main())


@pytest.mark.parametrize("algorithm", ["log", "counter", "gcra"])
def test_by_hand(algorithm: str) -> None:
    """Through the four methods, without a manager."""

    async def main() -> None:
        from atm_core import Task

        strategy = SlidingWindowStrategy(2, 1.0, algorithm=algorithm)
        tasks = [Task(lambda: asyncio.sleep(0)) for _ in range(3)]
        for task in tasks:
            strategy.add_task(task)
        assert [strategy.get_next_task() for _ in range(3)] == [*tasks[:2], None]
        pause = await strategy.get_sleep_interval()
        assert pause is not None
        assert pause == (0.5 if algorithm == "gcra" else 1.0)
        await strategy.on_task_done()
        await asyncio.sleep(pause)
        assert strategy.get_next_task() is tasks[2]

    run(main())


def test_a_window_of_a_day(start_times: Callable[..., List[float]]) -> None:
    """A limit per day takes no longer to test than one per second."""
    times = start_times([0.0] * 30, max_requests=10, window_seconds=86400.0)
    assert times == [0.0] * 10 + [86400.0] * 10 + [172800.0] * 10


@pytest.mark.parametrize("algorithm", ["log", "counter", "gcra"])
def test_one_loop_after_another(algorithm: str) -> None:
    """What started by one loop's clock holds nobody up by another's that shows less; by the same clock it counts."""
    strategy = SlidingWindowStrategy(2, 10.0, algorithm=algorithm)

    async def main(pause: float) -> List[float]:
        loop = asyncio.get_running_loop()

        async def work() -> float:
            return loop.time()

        await asyncio.sleep(pause)
        for _ in range(2):  # the second time, the two of the first still count
            async with TaskManager(strategy) as manager:
                tasks = [manager.submit(work) for _ in range(2)]
        return [await task for task in tasks]

    late = run(main(1000.0))
    assert min(late) > 1000.0
    assert run(main(0.0)) == [at - 1000.0 for at in late]
