"""Through a real manager, in virtual time: alone and with other strategies."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Awaitable, Callable, Dict, List, Optional, Sequence, Tuple

import pytest
from atm_adaptive import AdaptiveStrategy
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy, TaskManager, TaskRejected, hookimpl
from atm_core.testing import run


def bare(**options: Any) -> AdaptiveStrategy:
    """Without probes: so many drops or samples, so large a limit."""
    given: Dict[str, Any] = {"algorithm": "aimd", "probe": False, "window_seconds": 0.1, "min_samples": 1, **options}
    return AdaptiveStrategy(**given)


async def all_of(strategy: Any, works: Sequence[Callable[[], Awaitable[Any]]]) -> None:
    """Run them, and see each end one way or another."""
    async with TaskManager(strategy) as manager:
        for task in [manager.submit(work) for work in works]:
            await task.wait()
            if not task.cancelled():
                task.exception()


def test_it_begins_with_the_initial_limit_and_says_who_set_it() -> None:
    async def main() -> None:
        strategy = bare(initial_limit=3)
        assert (strategy.limit, strategy.why) == (3, "initial")
        async with TaskManager(strategy) as manager:
            tasks = [manager.submit(asyncio.sleep, 1.0) for _ in range(5)]
            await asyncio.sleep(0.5)
            assert manager.stats()["running"] == 3
            assert "3 of 3 slots are taken (limited by initial)" in str(manager.explain(tasks[3]))
            await asyncio.sleep(1.0)
            assert (strategy.limit, strategy.why) == (5, "aimd") or (strategy.limit, strategy.why) == (4, "aimd")

    run(main())


def test_waiting_in_our_queue_is_no_latency() -> None:
    """A thousand tasks wait up to ten seconds and more: to the strategy all take 0.1 s."""

    async def main() -> None:
        strategy = bare(algorithm="vegas", initial_limit=10, max_limit=10, latency_timeout_seconds=0.2)
        await all_of(strategy, [lambda: asyncio.sleep(0.1)] * 1000)
        assert strategy.limit == 10
        assert strategy._keyless._algorithm.rtt_noload == pytest.approx(0.1)  # type: ignore[attr-defined]

    run(main())


async def fails(error: BaseException) -> None:
    await asyncio.sleep(0.2)
    raise error


@pytest.mark.parametrize(
    ("error", "drop", "limit"),
    [
        (asyncio.TimeoutError(), None, 18),
        (TimeoutError(), None, 18),
        (ConnectionError(), None, 20),
        (TaskRejected("no"), Exception, 20),
        (asyncio.CancelledError(), Exception, 20),
        (asyncio.CancelledError(), lambda error: True, 20),
        (ConnectionError(), ConnectionError, 18),
        (ConnectionError(), ["ConnectionError"], 18),
        (ValueError("busy"), lambda error: "busy" in str(error), 18),
        (ValueError("wrong"), lambda error: "busy" in str(error), 20),
    ],
)
def test_what_is_a_drop(error: BaseException, drop: Any, limit: int) -> None:
    """A timeout is one, other failures if they are named; cancelled and rejected attempts are no sample at all."""

    async def main() -> None:
        strategy = bare() if drop is None else bare(drop=drop)
        await all_of(strategy, [lambda: fails(error)])
        assert strategy.limit == limit
        assert strategy.stats()["running"] == 0

    run(main())


def test_a_drop_function_that_raises_costs_no_slot(caplog: Any) -> None:
    """It is logged, and the attempt is no sample."""

    async def main() -> None:
        for key in (None, "key"):
            strategy = bare(initial_limit=1, drop=lambda error: error.no_such_name, key=key)
            await all_of(strategy, [lambda: fails(ValueError())] * 3)
            assert strategy.stats()["running"] == strategy._in_flight == strategy._keyless.running == 0

    run(main())
    assert len(caplog.records) == 6


@pytest.mark.parametrize("call", range(12))
def test_a_key_function_that_raises_costs_no_slot(call: int) -> None:
    """Whenever it does: that task fails, and the others run."""
    calls = iter(range(1000))

    def key(task: Any) -> str:
        if next(calls) == call:
            raise LookupError
        return "a"

    async def main() -> None:
        strategy = bare(initial_limit=1, max_limit=1, key=key)
        await all_of(strategy, [lambda: asyncio.sleep(0.1)] * 3)
        assert strategy.stats()["running"] == strategy._in_flight == 0
        assert not (strategy._held_by or strategy._controls._busy)

    run(main())


@pytest.mark.parametrize("error", [ConnectionError(), TaskRejected("no"), asyncio.CancelledError()])
def test_what_fails_is_no_sample(error: BaseException) -> None:
    """A service that refuses at once looks quick: the limit must not rise for that."""

    async def main() -> None:
        strategy = bare(initial_limit=1)
        await all_of(strategy, [lambda: fails(error)] * 5)
        assert (strategy.limit, strategy.why) == (1, "initial")

    run(main())


def test_a_latency_above_the_timeout_is_a_drop() -> None:
    """A single one among many, as an exception would be."""

    async def main() -> None:
        strategy = bare(latency_timeout_seconds=0.5, min_samples=10)
        await all_of(strategy, [lambda: asyncio.sleep(0.1)] * 9 + [lambda: asyncio.sleep(0.6)])
        assert strategy.limit == 18

    run(main())


def test_a_cancelled_task_is_no_sample() -> None:
    async def main() -> None:
        strategy = bare(latency_timeout_seconds=0.5)
        async with TaskManager(strategy) as manager:
            task = manager.submit(asyncio.sleep, 10.0)
            await asyncio.sleep(1.0)
            task.cancel()
        assert strategy.limit == 20
        assert strategy.stats()["running"] == 0

    run(main())


def test_work_that_takes_no_time_says_nothing() -> None:
    async def main() -> None:
        strategy = bare(algorithm="gradient", initial_limit=2, window_seconds=0.001)
        await all_of(strategy, [lambda: asyncio.sleep(0)] * 100)
        await all_of(strategy, [lambda: asyncio.sleep(0.00005)] * 1000)
        assert (strategy.limit, strategy.why) == (2, "initial")

    run(main())


def test_who_waited_for_another_task_is_no_sample() -> None:
    """The latency of the outer task is for the most part the wait of the inner one in our queue. No deadlock either."""

    async def main() -> None:
        strategy = bare(initial_limit=1, max_limit=1, latency_timeout_seconds=0.5)
        samples: List[Tuple[Optional[float], bool]] = []
        sample = strategy._sample

        def noted(task: Any, outcome: Any) -> Tuple[Optional[float], bool]:
            samples.append(sample(task, outcome))
            return samples[-1]

        strategy._sample = noted  # type: ignore[method-assign]
        async with TaskManager(strategy) as manager:

            async def outer() -> None:
                await manager.submit(asyncio.sleep, 0.4)

            for _ in range(3):
                manager.submit(outer)
        assert sorted(samples, key=str) == sorted([(pytest.approx(0.4), False)] * 3 + [(None, False)] * 3, key=str)
        assert not strategy._waited

    run(main())


def test_a_limit_that_rises_starts_the_next_at_once() -> None:
    async def main() -> None:
        strategy = bare(initial_limit=1)
        starts: List[float] = []

        async def work() -> None:
            starts.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1.0)

        await all_of(strategy, [work] * 6)
        assert starts == [0, 1, 1, 2, 2, 2]

    run(main())


def test_a_limit_that_falls_stops_no_task() -> None:
    async def main() -> None:
        strategy = bare(initial_limit=10, backoff_ratio=0.5, latency_timeout_seconds=0.5)
        async with TaskManager(strategy) as manager:
            slow = [manager.submit(asyncio.sleep, 1.0 + 0.01 * n) for n in range(10)]
            later = manager.submit(asyncio.sleep, 0.1)
            await slow[0]
            await asyncio.sleep(0)
            assert strategy.limit == 5
            assert later.state.value == "pending"
            await slow[5]
            await asyncio.sleep(0)
            assert later.state.value == "running"

    run(main())


def test_each_key_has_a_limit_of_its_own() -> None:
    async def main() -> None:
        strategy = bare(key="host", initial_limit=4, backoff_ratio=0.5, latency_timeout_seconds=0.5)
        async with TaskManager(strategy) as manager:
            for _ in range(30):
                manager.add_task(lambda: asyncio.sleep(0.6), {"host": "slow"})
                manager.add_task(lambda: asyncio.sleep(0.2), {"host": "fast"})
                manager.add_task(lambda: asyncio.sleep(0.2))
            await manager.join()
            assert strategy.limit_of("slow") == 1
            assert strategy.limit_of("fast") > 4
            assert strategy.limit == strategy.limit_of(None) > 4
            assert strategy.why_of("slow") == strategy.why_of("fast") == "aimd"
            assert (strategy.limit_of("other"), strategy.why_of("other")) == (4, "initial")

    run(main())


def test_idle_keys_are_forgotten() -> None:
    """At once without anything learned; otherwise after a minute, when others come to rest."""

    async def main() -> None:
        strategy = AdaptiveStrategy(key="host", min_samples=3, window_seconds=0.1)
        async with TaskManager(strategy) as manager:

            async def some(count: int, prefix: str, each: int) -> None:
                for n in range(count):
                    for _ in range(each):
                        manager.add_task(lambda: asyncio.sleep(0.2), {"host": f"{prefix}{n}"})
                await manager.join()

            await some(2000, "once", 1)
            assert strategy.stats()["idle_keys"] == strategy.stats()["keys"] == 0
            await some(500, "often", 4)
            assert strategy.stats()["idle_keys"] == 500
            await asyncio.sleep(61)
            await some(251, "again", 1)
            assert strategy.stats()["idle_keys"] == 0
            assert not strategy._held_by and not strategy._controls._busy

    run(main())


def test_what_a_key_learned_is_there_when_it_comes_back() -> None:
    async def main() -> None:
        strategy = bare(key="host", initial_limit=4)
        async with TaskManager(strategy) as manager:
            for _ in range(2):
                before = strategy.limit_of("a")
                for _ in range(30):
                    manager.add_task(lambda: asyncio.sleep(0.2), {"host": "a"})
                await manager.join()
                assert strategy.limit_of("a") > before
                await asyncio.sleep(30)

    run(main())


class Pressure(AdaptiveStrategy):
    """Reads what the test sets."""

    cpu: Any = 0.5

    def _meters(self) -> Dict[str, Any]:
        return {"cpu": lambda: self.cpu}


def test_cpu_lowers_the_limit_and_gives_it_back(monkeypatch: Any) -> None:
    """Between the marks it stays; what waits starts as soon as there is room again, without anything having ended."""
    import atm_adaptive._marks

    monkeypatch.setattr(atm_adaptive._marks, "psutil_or_none", lambda: object())

    async def main() -> None:
        strategy = Pressure("aimd", initial_limit=10, probe=False, cpu_high=0.8, cpu_low=0.6, backoff_ratio=0.5)
        async with TaskManager(strategy) as manager:
            tasks = [manager.submit(asyncio.sleep, 4.5 + n) for n in range(12)]
            await asyncio.sleep(0.5)
            strategy.cpu = 0.9
            await asyncio.sleep(1)  # at 1.0 it was read
            assert (strategy.limit, strategy.why) == (5, "cpu")
            strategy.cpu = 0.7
            await asyncio.sleep(2)
            assert strategy.limit == 5
            assert strategy.stats()["readings"] == {"cpu": 0.7, "loop_lag": 0.0}
            await asyncio.sleep(5.8)  # it is 9.3: five have ended, and the other five fill the limit
            assert manager.stats()["running"] == 5
            assert tasks[10].state.value == "pending"
            assert "limited by cpu" in str(manager.explain(tasks[10]))
            strategy.cpu = 0.1
            await asyncio.sleep(0.6)
            assert tasks[11].state.value == "pending"
            await asyncio.sleep(0.2)  # it is 10.1: at 10 it was read, and nothing has ended
            assert tasks[11].state.value == "running"
            await asyncio.sleep(5)
            assert strategy.why != "cpu"
            assert strategy.stats()["resource_limit"] is None

    run(main())


def test_a_lower_limit_of_resources_holds_under_each_key(monkeypatch: Any) -> None:
    import atm_adaptive._marks

    monkeypatch.setattr(atm_adaptive._marks, "psutil_or_none", lambda: object())

    async def main() -> None:
        strategy = Pressure(key="host", initial_limit=10, cpu_high=0.8, cpu_low=0.6)
        async with TaskManager(strategy) as manager:
            for n in range(9):
                manager.add_task(lambda: asyncio.sleep(10), {"host": "a" if n else "b"})
            strategy.cpu = 0.9
            await asyncio.sleep(1.5)
            assert {strategy.limit_of(key) for key in ("a", "b", "c", None)} == {7}  # 0.9 of the 8 of "a"
            assert strategy.why_of("b") == "cpu"

    run(main())


def test_the_sampler_lives_from_start_to_stop_and_sleeps_when_nothing_runs() -> None:
    async def main() -> None:
        strategy = AdaptiveStrategy()
        manager = TaskManager(strategy)
        for _ in range(2):
            await manager.idle()
            loop: Any = asyncio.get_running_loop()
            await asyncio.sleep(10)
            assert strategy.stats()["readings"] == {}
            assert not loop._scheduled  # an idle manager wakes never
            await manager.submit(asyncio.sleep, 2.5)
            assert strategy.stats()["readings"] == {"loop_lag": 0.0}
            await asyncio.sleep(10)
            assert not loop._scheduled
            await manager.stop()
            assert strategy._sampler is None
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            strategy._resources.readings = {}

    run(main())


def test_a_meter_that_fails_is_logged_and_left_out(caplog: Any) -> None:
    class Broken(Pressure):
        def _meters(self) -> Dict[str, Any]:
            def broken() -> float:
                raise OSError("gone")

            return {"cpu": broken, "memory": lambda: 0.5}

    async def main() -> None:
        strategy = Broken()
        async with TaskManager(strategy) as manager:
            await manager.submit(asyncio.sleep, 3.5)
        assert strategy.stats()["readings"] == {"memory": 0.5, "loop_lag": 0.0}

    run(main())
    assert [record.getMessage() for record in caplog.records] == ["cpu cannot be read and is watched no more"]


def test_what_was_before_the_first_task_is_in_no_reading() -> None:
    """A meter counts since its last reading: after a pause that one is thrown away."""
    reads: List[float] = []

    class Timed(Pressure):
        def _meters(self) -> Dict[str, Any]:
            loop, last = asyncio.get_running_loop(), [asyncio.get_running_loop().time()]

            def since() -> float:
                now = loop.time()
                elapsed, last[0] = now - last[0], now
                return elapsed

            return {"elapsed": since}

        def _observe(self, manager: Any, readings: Any) -> None:
            reads.append(readings["elapsed"])

    async def main() -> None:
        async with TaskManager(Timed()) as manager:
            for _ in range(2):
                await asyncio.sleep(100)
                await manager.submit(asyncio.sleep, 2.5)

    run(main())
    assert reads == pytest.approx([1.0] * len(reads)) and len(reads) >= 4


def test_in_virtual_time_the_machine_has_no_part() -> None:
    async def main() -> None:
        strategy = AdaptiveStrategy()
        assert strategy._meters() == {}

    run(main())


def test_one_loop_after_another() -> None:
    """Each has a clock of its own; the limit stays, a window that was open does not."""
    strategy = bare(initial_limit=4, window_seconds=5.0)
    manager = TaskManager(strategy)

    async def main(until: int) -> None:
        await manager.idle()
        for _ in range(40):
            manager.submit(asyncio.sleep, 1.0)
        await manager.join()
        await manager.stop()
        assert strategy.limit == until

    run(main(5))
    run(main(6))


def test_driven_by_hand() -> None:
    """Through the four methods, without a manager; it learns there, too."""
    from atm_core import Task

    async def main() -> None:
        strategy = AdaptiveStrategy(initial_limit=2)
        tasks = [Task(lambda: asyncio.sleep(0)) for _ in range(3)]
        for task in tasks:
            strategy.add_task(task)
        assert [strategy.get_next_task(), strategy.get_next_task(), strategy.get_next_task()] == [*tasks[:2], None]
        assert await strategy.get_sleep_interval() == float("inf")
        await strategy.on_task_done()
        assert strategy.get_next_task() is tasks[2]
        slow = bare(initial_limit=4)
        slow.add_task(Task(lambda: asyncio.sleep(0)))
        slow.get_next_task()
        await asyncio.sleep(6.0)
        await slow.on_task_done()
        assert slow.limit == 3

    run(main())


class Witness:
    """Sees every start, and how much runs then."""

    def __init__(self, strategy: AdaptiveStrategy, key: Optional[str]) -> None:
        self.strategy = strategy
        self.key = key
        self.running: Dict[Any, int] = {}

    @hookimpl(tryfirst=True)
    def atm_started(self, task: Any) -> None:
        key = task.metadata.get("key") if self.key else None
        self.running[key] = self.running.get(key, 0) + 1
        assert self.running[key] <= self.strategy.limit_of(key), "it started above the limit"

    @hookimpl(trylast=True)
    def atm_finished(self, task: Any) -> None:
        self.running[task.metadata.get("key") if self.key else None] -= 1


PIECES = st.lists(
    st.tuples(
        st.floats(0, 5),  # when it is added
        st.floats(0, 3),  # how long it takes
        st.sampled_from(["ends", "ends", "ends", "fails", "times out", "is cancelled"]),
        st.sampled_from(["a", "b", None]),
    ),
    max_size=40,
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    pieces=PIECES,
    algorithm=st.sampled_from(["gradient", "vegas", "aimd"]),
    key=st.sampled_from([None, "key"]),
    probe=st.booleans(),
    stack=st.sampled_from(["alone", "stacked"]),
)
def test_whatever_happens(
    pieces: List[Tuple[float, float, str, Optional[str]]], algorithm: str, key: Optional[str], probe: bool, stack: str
) -> None:
    """No start above the limit of that instant, no task lost, every slot given back, nothing left behind."""

    async def main() -> None:
        strategy = AdaptiveStrategy(
            algorithm,
            initial_limit=3,
            max_limit=6,
            window_seconds=0.2,
            min_samples=2,
            latency_timeout_seconds=2.0,
            backoff_ratio=0.5,
            key=key,
            probe=probe,
        )
        others = [FixedWindowStrategy(5, 1.0), ConcurrentLimitStrategy(4), DelayedStrategy(0.05, measure_from="start")]
        witness = Witness(strategy, key)
        strategies = [witness, strategy, *(others if stack == "stacked" else [])]
        async with TaskManager(strategies) as manager:
            tasks = [await added(manager, piece) for piece in pieces]
            for task in tasks:
                await task.wait()
                if not task.cancelled():
                    task.exception()
        assert all(task.done() for task in tasks)
        assert 1 <= strategy.limit <= 6
        assert strategy.used() == strategy._in_flight == strategy._keyless.running == 0
        assert not (strategy._held_by or strategy._waited or strategy._controls._busy)

    async def added(manager: TaskManager, piece: Tuple[float, float, str, Optional[str]]) -> Any:
        at, seconds, end, key_of_task = piece
        await asyncio.sleep(at / 10)

        async def work() -> None:
            await asyncio.sleep(seconds)
            if end == "fails":
                raise ValueError
            if end == "times out":
                raise asyncio.TimeoutError

        task = manager.add_task(work, {"key": key_of_task})
        if end == "is cancelled":
            asyncio.get_running_loop().call_later(random.Random(seconds).random() * 2, task.cancel)
        return task

    run(main())
