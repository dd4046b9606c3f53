"""Numbers from reference implementations: every entry of vectors/slidingwindow.json."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from atm_sliding_window import SlidingWindowStrategy

from atm_core import CostTooLargeError, SettingError, Task, TaskManager
from atm_core.testing import run

VECTORS: List[Dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "slidingwindow.json").read_text("utf-8")
)["vectors"]
CLOSED_FORMS = [vector for vector in VECTORS if vector["source"].startswith("derived here")]
BY_NAME = (
    "TestAsyncMovingWindow.test_moving_window",
    "TestAsyncMovingWindow.test_moving_window_stats",
    "TestAsyncMovingWindow.test_moving_window_multiple_cost",
    "TestAsyncMovingWindow.test_moving_window_huge_cost",
    "TestAsyncSlidingWindowCounter.previous_window",
    "TestAsyncSlidingWindowCounter.total_reset",
    "assertSlidingWindow (invariant)",
    "strict mode throws",
    "strict mode frees capacity when task aborts before start",
    "tests/test_aiolimiter.py::test_acquire",
    "test_acquire_wait_time",
)


def vector(name: str) -> Dict[str, Any]:
    """The only vector whose source ends so."""
    assert name in BY_NAME
    found = [one for one in VECTORS if one["source"].endswith(name)]
    assert len(found) == 1
    return found[0]


class Hits:
    """A strategy by its hooks: what a limiter's ``hit`` is elsewhere."""

    def __init__(self, strategy: SlidingWindowStrategy) -> None:
        self.strategy = strategy

    def __call__(self, now: float, cost: float = 1) -> bool:
        task: Task[None] = Task(nothing, {"cost": cost})
        self.strategy.cost_of(task)
        if self.strategy.atm_ready_at(task, now) > now:
            return False
        self.strategy.atm_started(task)
        self.strategy.atm_began(task, now)
        self.strategy.atm_finished(task)
        return True

    def free_in(self, now: float) -> float:
        return self.strategy.atm_ready_at(Task(nothing, {"cost": 1}), now) - now


async def nothing() -> None:
    pass


@pytest.mark.parametrize(
    "found", CLOSED_FORMS, ids=lambda found: found["inputs"]["algorithm"] + str(len(found["expected"]))
)
def test_closed_forms(found: Dict[str, Any], start_times: Callable[..., List[float]]) -> None:
    """Each task starts at the time that the algorithm's closed form gives."""
    inputs = found["inputs"]
    settings = {"max_requests": inputs["limit"], "window_seconds": inputs["window_s"]}
    if "burst" in inputs:
        settings["burst"] = inputs["burst"]
    settings["algorithm"] = "log" if inputs["algorithm"] == "exact log" else "gcra"
    assert start_times(inputs["arrivals"], **settings) == pytest.approx(found["expected"], abs=1e-6)


def test_limits_moving_window() -> None:
    """5 early, 5 late, none more in this window; when the early ones have left it, 5 more."""
    inputs = vector("TestAsyncMovingWindow.test_moving_window")["inputs"]
    strategy = SlidingWindowStrategy(inputs["limit"], inputs["window_s"])
    hit = Hits(strategy)
    assert all(hit(n * 0.1) for n in range(5))
    assert all(hit(1.8 + n * 0.04) for n in range(5))
    assert not hit(1.99)
    assert all(hit(2.45) for _ in range(5))
    assert strategy.remaining(None, 2.45) == 0


def test_limits_moving_window_stats() -> None:
    """The next one is free when the oldest is one window old."""
    found = vector("TestAsyncMovingWindow.test_moving_window_stats")
    strategy = SlidingWindowStrategy(found["inputs"]["limit"], found["inputs"]["window_s"])
    hit = Hits(strategy)
    assert [hit(now) for now in found["inputs"]["hits_at"]] == found["expected"]["results"]
    assert strategy.remaining(None, 2.0) == found["expected"]["remaining"]
    assert hit.free_in(2.0) == found["expected"]["reset_in"]


def test_limits_moving_window_multiple_cost() -> None:
    """A cost above the limit is refused; others count as so many."""
    inputs = vector("TestAsyncMovingWindow.test_moving_window_multiple_cost")["inputs"]
    strategy = SlidingWindowStrategy(inputs["limit"], inputs["window_s"], cost="cost")
    hit = Hits(strategy)
    with pytest.raises(CostTooLargeError):
        hit(0.0, 11)
    assert hit(0.05, 5)
    assert all(hit(1.8 + n * 0.05) for n in range(4))
    assert not hit(1.97, 2)
    assert hit(1.98)
    assert all(hit(2.06) for _ in range(5))
    assert strategy.remaining(None, 2.06) == 0
    assert not hit(2.07, 2)


def test_limits_moving_window_huge_cost() -> None:
    """A cost of 999999 is one entry, not 999999."""
    found = vector("TestAsyncMovingWindow.test_moving_window_huge_cost")
    strategy = SlidingWindowStrategy(found["inputs"]["limit"], found["inputs"]["window_s"], cost="cost")
    hit = Hits(strategy)
    assert hit(0.0, 1)
    assert hit(1.0, 999999)
    assert strategy.remaining(None, 1.5) == 0
    assert strategy.remaining(None, 2.0) == found["expected"]["remaining"]


def test_limits_counter_previous_window() -> None:
    """The previous window's starts leave one by one, a window's share after each other."""
    found = vector("TestAsyncSlidingWindowCounter.previous_window")
    inputs, expected = found["inputs"], found["expected"]
    strategy = SlidingWindowStrategy(inputs["limit"], inputs["window_s"], algorithm="counter")
    hit = Hits(strategy)
    assert all(hit(0.5) for _ in range(3))
    assert strategy.remaining(None, 0.9) == expected["remaining_before_shift"]
    assert strategy.remaining(None, 1.0) == expected["remaining_after_shift"]
    assert all(hit(1.0) for _ in range(2))
    assert [strategy.remaining(None, 1.0 + third / 3) for third in (0, 1, 2)] == [1, 2, 3]
    assert hit(1.0)
    assert not hit(1.0)
    assert hit.free_in(1.0) == pytest.approx(1 / 3)


def test_limits_counter_total_reset() -> None:
    """After two windows nothing counts any more."""
    found = vector("TestAsyncSlidingWindowCounter.total_reset")
    inputs, expected = found["inputs"], found["expected"]
    strategy = SlidingWindowStrategy(inputs["limit"], inputs["window_s"], algorithm="counter", cost="cost")
    hit = Hits(strategy)
    assert ["ok" if hit(0.2, cost) else "reject" for cost in (10, 1)] == expected["results"]
    assert strategy.remaining(None, 2.2) == expected["remaining_after"]


def test_p_queue_strict_invariant(start_times: Callable[..., List[float]]) -> None:
    """For all i >= N: t[i] - t[i-N] >= W, also as floats."""
    assert vector("assertSlidingWindow (invariant)")["expected"]["rule"] == "for all i>=N: t[i]-t[i-N] >= W"
    for n, window in ((3, 1.0), (1, 0.1), (7, 0.3)):
        times = start_times([k * 0.13 * window for k in range(60)], max_requests=n, window_seconds=window)
        assert all(times[i] - times[i - n] >= window for i in range(n, 60))


def test_p_queue_strict_needs_an_interval() -> None:
    """A window of 0 seconds is a mistake."""
    interval = vector("strict mode throws")["inputs"]["interval"]
    with pytest.raises(SettingError, match=r"window_seconds must be .* greater than 0, got 0"):
        SlidingWindowStrategy(5, interval)


def test_p_queue_gives_back_the_place_of_an_aborted_task() -> None:
    """A task that is cancelled before its first step leaves its place to the next."""
    vector("strict mode frees capacity when task aborts before start")
    strategy = SlidingWindowStrategy(1, 10.0)
    aborted, following = Task(nothing), Task(nothing)
    strategy.atm_started(aborted)
    assert strategy.atm_ready_at(following, 0.0) > 0.0
    strategy.atm_finished(aborted)
    assert strategy.atm_ready_at(following, 0.0) == 0.0


def test_aiolimiter_acquire(start_times: Callable[..., List[float]]) -> None:
    """A leaky bucket as a meter is GCRA with a full burst."""
    found = vector("tests/test_aiolimiter.py::test_acquire")
    inputs = found["inputs"]
    settings = {"max_requests": inputs["max_rate"], "window_seconds": inputs["period_s"], "algorithm": "gcra"}
    times = start_times([inputs["at"]] * inputs["tasks"], **settings)
    done_by = {by: sum(at <= float(by) for at in times) for by in found["expected"]["done_by"]}
    assert done_by == found["expected"]["done_by"]


def test_aiolimiter_wait_time() -> None:
    """A cost of 3 after one of 1 waits until there is room for all of it."""
    found = vector("test_acquire_wait_time")
    strategy = SlidingWindowStrategy(
        found["inputs"]["max_rate"], found["inputs"]["period_s"], algorithm="gcra", cost="cost"
    )

    async def main() -> float:
        async def work() -> float:
            return asyncio.get_running_loop().time()

        async with TaskManager(strategy) as manager:
            manager.add_task(work, {"cost": 1})
            return await manager.add_task(work, {"cost": 3})

    assert run(main()) == pytest.approx(found["expected"]["second_done_at"])


# redis-cell's own test (src/cell/mod.rs): limit 5, one per 12 s, as CL.THROTTLE answers; all at one time.
@pytest.mark.parametrize(
    ("cost", "allowed", "remaining", "retry_in"),
    [(1, True, 4, None), (5, True, 0, None), (2, True, 3, None)],
)
def test_redis_cell_first_request(cost: float, allowed: bool, remaining: float, retry_in: Any) -> None:
    """From a full bucket: what is left after a request of this cost."""
    strategy = SlidingWindowStrategy(5, 60.0, algorithm="gcra", cost="cost")
    assert Hits(strategy)(1000.0, cost) is allowed
    assert strategy.remaining(None, 1000.0) == remaining


def test_redis_cell_bucket() -> None:
    """A full bucket empties one by one, refuses, and fills one per emission interval."""
    strategy = SlidingWindowStrategy(5, 60.0, algorithm="gcra")
    hit = Hits(strategy)
    start = 1.7e9 + 0.3  # a clock at which a float resolves 2.4e-7 s
    for left in (4, 3, 2, 1, 0):
        assert hit(start)
        assert strategy.remaining(None, start) == left
    assert not hit(start)
    assert hit.free_in(start) == pytest.approx(12.0)
    assert strategy.remaining(None, start + 11.9) == 0
    assert strategy.remaining(None, start + 12.1) == 1
    assert strategy.remaining(None, start + 60.1) == 5


def test_every_vector_is_tested() -> None:
    """Nothing in the file is left out."""
    others = [one["source"] for one in VECTORS if one not in CLOSED_FORMS]
    assert sorted(others) == sorted(vector(name)["source"] for name in BY_NAME)


def test_infinite_is_never_answered() -> None:
    """Time alone always helps: no answer is infinite."""
    for algorithm in ("log", "counter", "gcra"):
        strategy = SlidingWindowStrategy(2, 1.0, algorithm=algorithm)
        tasks = [Task(nothing) for _ in range(2)]
        for task in tasks:
            strategy.atm_started(task)
        assert math.isfinite(strategy.atm_ready_at(Task(nothing), 0.0))
