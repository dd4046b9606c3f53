"""The built-in strategies, by their numbers: alone by hand, and through a manager."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest

from atm_core import (
    ConcurrentLimitStrategy,
    CostTooLargeError,
    DelayedStrategy,
    FixedWindowStrategy,
    SettingError,
    SettingTypeError,
    Task,
    TaskManager,
    TaskRejected,
)
from atm_core.testing import run

VECTORS = Path(__file__).parent / "vectors"


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["vectors"]


def starts_of(strategies, durations, arrivals=None, metadata=None):
    """When tasks of these durations, added at these times, start."""

    async def main():
        loop, starts = asyncio.get_running_loop(), {}

        async def work(i):
            starts[i] = loop.time()
            await asyncio.sleep(durations[i])

        async with TaskManager(strategies) as manager:
            for i in range(len(durations)):
                if arrivals is not None:
                    await asyncio.sleep(arrivals[i] - loop.time())
                manager.add_task(work(i), metadata[i] if metadata else None)
        return [starts[i] for i in range(len(durations))]

    return run(main())


CONCURRENT, _, DELAYED, MIN_TIME = (one["inputs"] for one in vectors("concurrent_delayed"))
EXPECTED = [one["expected"] for one in vectors("concurrent_delayed")]


def test_vector_the_next_starts_the_instant_one_ends():
    assert starts_of(ConcurrentLimitStrategy(2), CONCURRENT["durations"]) == EXPECTED[0]["starts"]


def test_vector_a_slot_comes_back_after_a_failure_and_a_cancellation():
    async def main():
        async def fail():
            raise ValueError

        async def wait():
            await asyncio.sleep(100)

        async def ok():
            return "ok"

        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            failed, cancelled, fine = manager.submit(fail), manager.submit(wait), manager.submit(ok)
            await failed.wait()
            failed.exception()
            await asyncio.sleep(1)
            cancelled.cancel()
            assert await fine == "ok"

    run(main())


def test_vector_delay_from_completion():
    assert starts_of(DelayedStrategy(30), DELAYED["durations"]) == EXPECTED[2]["starts"]


def test_vector_idle_time_is_not_saved_up():
    launches = [at / 1000 for at in [*MIN_TIME["launches_at"], *MIN_TIME["then"]]]
    starts = starts_of(DelayedStrategy(0.1, measure_from="start"), [0, 0, 0, 0], launches)
    assert [round(at * 1000) for at in starts] == EXPECTED[3]["starts"]


def test_delay_from_start_lets_tasks_overlap():
    assert starts_of(DelayedStrategy(1, measure_from="start"), [10, 10, 10]) == [0, 1, 2]


def test_delay_by_key():
    names = [{"host": host} for host in "aabb"]
    assert starts_of(DelayedStrategy(5, key="host"), [1, 1, 1, 1], metadata=names) == [0, 6, 0, 6]


def test_vector_reserved_permissions_wait_for_the_next_window():
    """resilience4j: three at once, three when the next period opens; its window lies on multiples of the period."""
    calls = [at / 1e9 for at in vectors("fixedwindow")[0]["inputs"]["calls_at_ns"]]
    waits = vectors("fixedwindow")[0]["expected"]["wait_ns"]
    starts = starts_of(FixedWindowStrategy(3, 0.01, align="epoch"), [0] * 6, calls[:6])
    assert [round((start - call) * 1e9) for start, call in zip(starts, calls)] == waits[:6]


def test_vector_an_interrupted_waiter_gives_its_place_back():
    async def main():
        loop = asyncio.get_running_loop()

        async def work():
            return loop.time()

        async with TaskManager(FixedWindowStrategy(1, 0.25)) as manager:
            first, second, third = (manager.submit(work) for _ in range(3))
            await first
            second.cancel()
            assert await third == 0.25

    run(main())


def test_vector_ten_pass_and_the_eleventh_waits_for_the_window_that_the_first_opened():
    arrivals = [0.5 + i * 0.1 for i in range(11)]
    starts = starts_of(FixedWindowStrategy(10, 2), [0] * 11, arrivals)
    assert starts[:10] == pytest.approx(arrivals[:10])
    assert starts[10] == 2.5


def test_vector_costs():
    async def main():
        loop = asyncio.get_running_loop()

        async def work():
            return loop.time()

        async with TaskManager(FixedWindowStrategy(10, 120, key="k", cost="cost")) as manager:
            with pytest.raises(CostTooLargeError, match="never fits more than 10"):
                manager.add_task(work, {"k": "k1", "cost": 11})
            five = manager.add_task(work, {"k": "k2", "cost": 5})
            six = manager.add_task(work, {"k": "k2", "cost": 6})
            assert (await five, await six) == (0.0, 120.0)

    run(main())


def test_vector_burst_across_the_edge_of_aligned_windows():
    at = [9.999] * 5 + [10.0] * 5
    assert starts_of(FixedWindowStrategy(5, 10, align="epoch"), [0] * 10, at) == at


def test_vector_aligned_windows():
    inputs, expected = vectors("fixedwindow")[5]["inputs"], vectors("fixedwindow")[5]["expected"]
    strategy = FixedWindowStrategy(inputs["limit"], inputs["window_s"], align="epoch")
    assert starts_of(strategy, [0] * 5, inputs["arrivals"]) == expected


def test_a_window_opens_with_the_first_start_after_the_last_one_closed():
    arrivals = [0, 1, 1, 7, 12.5, 12.5]
    assert starts_of(FixedWindowStrategy(2, 5), [0] * 6, arrivals) == [0, 1, 5, 7, 12.5, 12.5]


def test_costs_take_slots_and_a_large_one_is_not_starved():
    metadata = [{"cost": cost} for cost in (3, 2, 4, 1, 1)]
    starts = starts_of(ConcurrentLimitStrategy(4, cost="cost"), [1, 1, 1, 1, 1], metadata=metadata)
    assert starts == [0, 1, 2, 3, 3]


def test_keys_have_limits_of_their_own():
    metadata = [{"host": host} for host in "aaabbc"] + [{}]
    assert starts_of(ConcurrentLimitStrategy(1, key="host"), [1] * 7, metadata=metadata) == [0, 1, 2, 0, 1, 0, 0]
    by_function = ConcurrentLimitStrategy(1, key=lambda task: task.metadata.get("host"))
    assert starts_of(by_function, [1] * 7, metadata=metadata) == [0, 1, 2, 0, 1, 0, 0]


def test_what_was_booked_comes_back_though_the_metadata_changed():
    async def main():
        async def work():
            await asyncio.sleep(1)

        limit = ConcurrentLimitStrategy(2, key="host", cost="cost")
        async with TaskManager(limit) as manager:
            task = manager.add_task(work, {"host": "a", "cost": 2})
            await asyncio.sleep(0.5)
            task.metadata.update(host="b", cost=1)
        assert limit.stats()["running"] == 0
        assert limit.stats()["keys"] == 0

    run(main())


def test_idle_keys_do_not_stay():
    async def main():
        async def work():
            pass

        strategies = [
            ConcurrentLimitStrategy(1, key="k"),
            FixedWindowStrategy(1, 1, key="k"),
            DelayedStrategy(1, key="k"),
        ]
        async with TaskManager(strategies) as manager:
            for i in range(2000):
                manager.add_task(work, {"k": i})
                if i % 10 == 0:
                    await asyncio.sleep(1)
        limit, window, delayed = strategies
        assert limit.stats()["keys"] == 0
        assert window.stats()["keys"] < 40
        assert len(delayed._next_at) < 40

    run(main())


@pytest.mark.parametrize(
    ("make", "parameter", "value"),
    [
        (ConcurrentLimitStrategy, "max_concurrent", 0),
        (ConcurrentLimitStrategy, "max_concurrent", -1),
        (ConcurrentLimitStrategy, "max_concurrent", True),
        (ConcurrentLimitStrategy, "max_concurrent", 1.5),
        (ConcurrentLimitStrategy, "max_concurrent", "3"),
        (ConcurrentLimitStrategy, "max_concurrent", None),
        (ConcurrentLimitStrategy, "max_concurrent", math.nan),
        (lambda value: ConcurrentLimitStrategy(1, key=value), "key", 3),
        (lambda value: ConcurrentLimitStrategy(1, key=value), "key", ""),
        (lambda value: ConcurrentLimitStrategy(1, cost=value), "cost", [1]),
        (lambda value: ConcurrentLimitStrategy(1, cost=value), "cost", "no.such.module:name"),
        (DelayedStrategy, "delay_seconds", -0.1),
        (DelayedStrategy, "delay_seconds", math.nan),
        (DelayedStrategy, "delay_seconds", math.inf),
        (DelayedStrategy, "delay_seconds", "1"),
        (DelayedStrategy, "delay_seconds", False),
        (lambda value: DelayedStrategy(1, measure_from=value), "measure_from", "begin"),
        (lambda value: FixedWindowStrategy(value, 1), "max_requests", 0),
        (lambda value: FixedWindowStrategy(1, value), "window_seconds", 0),
        (lambda value: FixedWindowStrategy(1, value), "window_seconds", math.inf),
        (lambda value: FixedWindowStrategy(1, 1, align=value), "align", "wall"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(make, parameter, value):
    with pytest.raises(SettingError) as raised:
        make(value)
    assert raised.value.parameter == parameter
    assert raised.value.value is value
    assert parameter in str(raised.value)
    assert repr(value) in str(raised.value)
    if isinstance(value, (str, bool, type(None))) and parameter in ("max_concurrent", "delay_seconds"):
        assert isinstance(raised.value, SettingTypeError)
        assert isinstance(raised.value, TypeError)


def test_all_mistakes_of_a_call_are_told_at_once():
    with pytest.raises(SettingError, match="max_requests must be greater than 0, got 0.*window_seconds.*-1.*align"):
        FixedWindowStrategy(0, -1, align="sometimes")


@pytest.mark.parametrize("cost", [0, -1, math.nan, math.inf, "2", True])
def test_a_wrong_cost_is_refused_when_the_task_is_added(cost):
    async def main():
        async def work():
            pass

        async with TaskManager(ConcurrentLimitStrategy(5, cost="cost")) as manager:
            with pytest.raises(TaskRejected, match="cost of .* must be a finite number greater than 0"):
                manager.add_task(work(), {"cost": cost})

    run(main())


@pytest.mark.parametrize(
    ("strategy", "handed_out", "interval", "interval_after_done"),
    [
        (ConcurrentLimitStrategy(2), 2, math.inf, 0.0),
        (DelayedStrategy(5), 1, math.inf, 5.0),
        (DelayedStrategy(5, measure_from="start"), 1, 5.0, 5.0),
        (FixedWindowStrategy(3, 5), 3, 5.0, 5.0),
    ],
)
def test_driven_by_hand_through_the_four_methods(strategy, handed_out, interval, interval_after_done):
    async def main():
        async def work():
            pass

        tasks = [Task(work) for _ in range(5)]
        for task in tasks:
            strategy.add_task(task)
        got = []
        while True:
            task = strategy.get_next_task()
            if task is None:
                break
            got.append(task)
        assert got == tasks[:handed_out]
        assert await strategy.get_sleep_interval() == interval
        await strategy.on_task_done()
        assert await strategy.get_sleep_interval() == interval_after_done
        await asyncio.sleep(interval_after_done)
        assert strategy.get_next_task() is tasks[handed_out]

    run(main())


def test_strategies_combine_without_order():
    """A slot is not held while a rate is awaited, nor a rate spent while a slot is: whatever the order of the list."""
    durations = [4, 1, 1, 1, 1, 1]

    def stack():
        return [ConcurrentLimitStrategy(2), FixedWindowStrategy(3, 5), DelayedStrategy(0.5, measure_from="start")]

    expected = [0, 0.5, 1.5, 5, 5.5, 6]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        strategies = stack()
        assert starts_of([strategies[i] for i in order], durations) == expected


@pytest.mark.parametrize("key", [None, "host"])
@pytest.mark.parametrize(
    "make",
    [
        lambda key: FixedWindowStrategy(1, 10, key=key),
        lambda key: FixedWindowStrategy(1, 10, align="epoch", key=key),
        lambda key: DelayedStrategy(10, key=key),
        lambda key: DelayedStrategy(10, measure_from="start", key=key),
    ],
)
def test_a_second_loop_whose_clock_shows_less(make, key):
    """What was noted by the first loop's clock must not block the second one for a thousand seconds."""
    strategy = make(key)

    async def main(wait):
        await asyncio.sleep(wait)
        begins = []

        async def begin():
            begins.append(asyncio.get_running_loop().time())

        async with TaskManager(strategy) as manager:
            for _ in range(2):
                manager.add_task(begin, {"host": "a"})
        return begins

    assert run(main(1005))[0] == 1005
    begins = run(main(5))
    assert begins[0] == 5
    assert 10 <= begins[1] <= 15
