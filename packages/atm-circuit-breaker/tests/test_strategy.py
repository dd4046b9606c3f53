"""A breaker in a manager: it fails fast, waits where that is wanted, and is harmed by nothing."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import weakref
from typing import Any, Dict, List, Tuple

import pytest
from atm_circuit_breaker import CircuitBreakerStrategy, CircuitOpenError, State
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import (
    ConcurrentLimitStrategy,
    FixedWindowStrategy,
    HookError,
    QueueFullError,
    SettingError,
    Task,
    TaskManager,
    TaskRejected,
    hookimpl,
)
from atm_core.testing import Recorder, run

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class Service:
    """Answers or fails, as ``up`` says at the end of a call."""

    def __init__(self, lasts: float = 0.0) -> None:
        self.up = True
        self.lasts = lasts
        self.calls: List[float] = []

    async def __call__(self) -> str:
        self.calls.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.lasts)
        if not self.up:
            raise ConnectionError("down")
        return "answer"


class Later:
    """Lets tasks that say so start only after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @hookimpl
    def atm_admitted(self, task: Task[Any], now: float) -> None:
        if task.metadata.get("later"):
            task.not_before = now + self.seconds


class RetryOnce:
    """Runs what was refused again when the refusal says."""

    @hookimpl
    def atm_again(self, task: Task[Any], outcome: Any, now: float) -> Any:
        error = outcome.exception
        return now + (error.retry_after or 0.0) if isinstance(error, CircuitOpenError) else None


async def failed(*tasks: Task[Any]) -> List[type]:
    for task in tasks:
        await task.wait()
    return [type(task.exception()) for task in tasks]


async def refused(task: Task[Any]) -> CircuitOpenError:
    """In the same instant."""
    now = asyncio.get_running_loop().time
    added = now()
    await task.wait()
    error = task.exception()
    assert isinstance(error, CircuitOpenError)
    assert now() == added
    return error


def test_it_fails_fast() -> None:
    """Queued and new tasks settle at once, with all that is known; until a probe finds the service up again."""

    async def main() -> None:
        loop, service = asyncio.get_running_loop(), Service(lasts=1.0)
        service.up = False
        breaker = CircuitBreakerStrategy(minimum_calls=4, open_seconds=30, half_open_max_calls=2)
        async with TaskManager([breaker, ConcurrentLimitStrategy(4)]) as manager:
            tasks = [manager.submit(service) for _ in range(100)]
            settled: List[float] = []
            for task in tasks:
                task.add_done_callback(lambda task: settled.append(loop.time()))
            # Three more have begun when the fourth failure opens it; they end as they end, and do not count.
            assert await failed(*tasks) == [ConnectionError] * 7 + [CircuitOpenError] * 93
            assert settled == [1.0] * 97 + [2.0] * 3
            error = await refused(manager.submit(service))
            assert isinstance(error, TaskRejected)
            assert (error.key, error.state, error.retry_after) == (None, OPEN, 29.0)
            assert (error.failure_rate, error.slow_call_rate) == (1.0, 0.0)
            assert error.last_cause is error.__cause__
            assert repr(error.last_cause) == "ConnectionError('down')"
            assert error.last_cause.__traceback__ is None  # type: ignore[union-attr]
            assert str(error) == "the circuit is open: 4 of the last 4 calls failed; try again in 29 s"
            await asyncio.sleep(29)
            service.up = True
            probes = [manager.submit(service), manager.submit(service)]
            await asyncio.sleep(0)
            error = await refused(manager.submit(service))
            assert "half-open, and all its probes are under way" in str(error)
            assert (error.state, error.retry_after) == (HALF_OPEN, 30.0)
            assert [await probe for probe in probes] == ["answer"] * 2
            assert breaker.state() is CLOSED
            assert await manager.submit(service) == "answer"

    run(main())


def test_a_new_task_is_a_task_that_fails() -> None:
    """The refusal is its outcome: one service that is down does not end a ``map`` over many, retries see it, and what
    is to start later is not asked before its time."""

    async def main() -> None:
        loop, service = asyncio.get_running_loop(), Service()
        breaker = CircuitBreakerStrategy(key=lambda task: task.args[0] % 2 if task.args else None, open_seconds=10)

        async def call(n: int) -> int:
            await asyncio.sleep(1)
            return n

        async with TaskManager([breaker, Later(20)]) as manager:
            breaker.trip(1)
            results = [one async for one in manager.map(call, range(6), max_in_flight=1, return_exceptions=True)]
            assert [one if isinstance(one, int) else type(one) for one in results] == [
                0, CircuitOpenError, 2, CircuitOpenError, 4, CircuitOpenError,
            ]  # fmt: skip
            began = loop.time()
            breaker.trip(None)
            assert await manager.add_task(service, {"later": True}) == "answer"
            assert service.calls == [began + 20]
        async with TaskManager([breaker, RetryOnce()]) as manager:
            breaker.trip(None)
            began = loop.time()
            assert await manager.submit(service) == "answer"
            assert service.calls[1:] == [began + 10]

    run(main())


def test_what_waits_for_another_gate_fails_fast_as_well() -> None:
    """A rate limit would keep them for an hour; the service is down now."""

    async def main() -> None:
        loop, service = asyncio.get_running_loop(), Service()
        service.up = False
        breaker = CircuitBreakerStrategy(consecutive_failures=2)
        for strategies in ([FixedWindowStrategy(2, 3600.0), breaker], [breaker, FixedWindowStrategy(2, 3600.0)]):
            breaker.reset()
            began = loop.time()
            async with TaskManager(strategies) as manager:
                kinds = await failed(*[manager.submit(service) for _ in range(5)])
                assert kinds == [ConnectionError] * 2 + [CircuitOpenError] * 3
                assert loop.time() == began
                manager.unregister(breaker)

    run(main())


def test_lanes_behind_others_fail_fast_as_well() -> None:
    """Older tasks of other keys stand before them at the rate limit, which would keep all of them for hours."""

    async def main() -> None:
        loop, service, other = asyncio.get_running_loop(), Service(lasts=1.0), Service()
        service.up = False
        breaker = CircuitBreakerStrategy(consecutive_failures=1, key="service")
        manager = TaskManager([FixedWindowStrategy(1, 3600.0), breaker])
        await manager.idle()
        first = manager.add_task(service, {"service": "a"})
        await asyncio.sleep(0.5)
        for key in "bcd":
            manager.add_task(other, {"service": key})
        tasks = [manager.add_task(service, {"service": "a"}) for _ in range(3)]
        assert await failed(first, *tasks) == [ConnectionError] + [CircuitOpenError] * 3
        assert loop.time() == 1.0
        await manager.aclose()

    run(main())


def test_one_breaker_a_service() -> None:
    """The tasks of other keys go on."""

    async def main() -> None:
        services = {"a": Service(), "b": Service()}
        services["a"].up = False
        breaker = CircuitBreakerStrategy(consecutive_failures=2, key="service")
        async with TaskManager([breaker, ConcurrentLimitStrategy(2)]) as manager:
            tasks = {
                name: [manager.add_task(service, {"service": name}) for _ in range(10)]
                for name, service in services.items()
            }
            kinds = await failed(*tasks["a"])
            assert kinds[:2] == [ConnectionError] * 2
            assert set(kinds[3:]) == {CircuitOpenError}  # the third may have begun between the first two
            assert [await task for task in tasks["b"]] == ["answer"] * 10
            assert (breaker.state("a"), breaker.state("b"), breaker.state("unknown")) == (OPEN, CLOSED, CLOSED)
            assert str(tasks["a"][9].exception()).startswith("the circuit of 'a' is open: 2 of the last 2 calls")

    run(main())


def test_waiting_ends_exactly_when_the_first_probe_may_go() -> None:
    """The probes go at that instant, so many and no more; the others when those have closed it."""

    async def main() -> None:
        service = Service(lasts=1.0)
        service.up = False
        breaker = CircuitBreakerStrategy(
            consecutive_failures=2, open_seconds=30, half_open_max_calls=2, when_open="wait", open_multiplier=2
        )
        async with TaskManager([breaker]) as manager:
            first = [manager.submit(service) for _ in range(2)]
            await asyncio.sleep(5)
            later = [manager.submit(service) for _ in range(6)]
            await asyncio.sleep(0)
            told = manager.explain(later[0])
            assert (told.strategy, told.until) == ("circuit_breaker", 31.0)
            assert told.reason == "the circuit is open: 2 of the last 2 calls failed"
            await asyncio.sleep(25)
            await asyncio.sleep(1.5)
            assert manager.explain(later[2]).reason == "the circuit is half-open, and all its probes are under way"
            await asyncio.sleep(3.5)  # both probes have failed at 32: open until 92
            service.up = True
        assert service.calls == [0.0] * 2 + [31.0] * 2 + [92.0] * 2 + [93.0] * 2
        assert await failed(*first, *later[:2]) == [ConnectionError] * 4
        assert [task.result() for task in later[2:]] == ["answer"] * 4

    run(main())


def test_a_probe_that_never_ends_does_not_hold_it_for_ever() -> None:
    """Others have their turn after its time-out and one more opening."""

    async def main() -> None:
        breaker = CircuitBreakerStrategy(
            open_seconds=10, half_open_max_calls=1, half_open_timeout_seconds=5, when_open="wait"
        )
        service = Service()
        async with TaskManager([breaker]) as manager:
            breaker.trip()
            hangs = manager.submit(asyncio.sleep, 10**6)
            await asyncio.sleep(11)
            waits = manager.submit(service)
            await asyncio.sleep(6)
            assert manager.explain(waits).reason == "the circuit is open"
            assert await waits == "answer"
            assert service.calls == [25.0]  # the probe went at 10, timed out at 15
            assert breaker.state() is CLOSED
            hangs.cancel()

    run(main())


def test_cancelled_and_ignored_attempts_return_their_permit() -> None:
    """Also one that is cancelled before its first step."""

    async def main() -> None:
        service = Service(lasts=1.0)
        breaker = CircuitBreakerStrategy(half_open_max_calls=1, ignore=KeyError, open_seconds=10)

        async def ignored() -> str:
            raise KeyError

        async with TaskManager(breaker) as manager:
            breaker.trip()
            await asyncio.sleep(10)
            for delay in (0.0, 0.5):
                probe = manager.submit(service)
                await asyncio.sleep(delay)
                probe.cancel()
                await probe.wait()
                assert breaker.state() is HALF_OPEN
            probe = manager.submit(ignored)
            assert await failed(probe) == [KeyError]
            assert breaker.state() is HALF_OPEN
            assert await manager.submit(service) == "answer"
            assert breaker.state() is CLOSED

    run(main())


@pytest.mark.parametrize(
    ("settings", "error", "counts"),
    [
        ({}, OSError(), (1, 1)),
        ({"record": OSError}, ConnectionError(), (1, 1)),
        ({"record": ["OSError"]}, ValueError(), (1, 0)),  # the service has answered
        ({"record": lambda error: "busy" in str(error)}, ValueError("busy"), (1, 1)),
        ({"ignore": "builtins:ValueError"}, ValueError(), (0, 0)),
        ({"ignore": lambda error: True}, OSError(), (0, 0)),
        ({}, QueueFullError("ours"), (0, 0)),  # a refusal is none of the service's
        ({}, HookError("ours"), (0, 0)),
        ({"record": lambda error: 1 / 0}, OSError(), (0, 0)),  # logged
    ],
)
def test_what_counts(settings: Any, error: BaseException, counts: Tuple[int, int]) -> None:
    async def main() -> None:
        breaker = CircuitBreakerStrategy(**settings)

        async def work() -> None:
            raise error

        async with TaskManager(breaker) as manager:
            await failed(manager.submit(work))
        seen = breaker.snapshot()
        assert (seen.calls, seen.failures) == counts
        kept = breaker._breakers.get(None)
        assert kept is not None and kept.running == 0

    run(main())


def test_slow_calls_open_it() -> None:
    """Strictly longer than slow_call_seconds; the time in the queue is not in it."""

    async def main() -> None:
        breaker = CircuitBreakerStrategy(
            minimum_calls=4, slow_call_seconds=1.0, slow_call_rate_threshold=0.5, failure_rate_threshold=1.0
        )
        async with TaskManager([breaker, ConcurrentLimitStrategy(1)]) as manager:
            tasks = [manager.submit(asyncio.sleep, seconds) for seconds in (1.0, 1.0, 1.5, 1.5, 0.0)]
            for task in tasks[:4]:
                await task
            assert await failed(tasks[4]) == [CircuitOpenError]
            assert "0 of the last 4 calls failed, 2 were slow" in str(tasks[4].exception())
            assert tasks[4].exception().slow_call_rate == 0.5  # type: ignore[union-attr]

    run(main())


def test_an_attempt_begun_before_does_not_count_after() -> None:
    """Twenty calls are under way when it opens; their failures, after it has closed again, are of another time."""

    async def main() -> None:
        breaker = CircuitBreakerStrategy(consecutive_failures=2, open_seconds=1, half_open_max_calls=1)
        bad, slow, good = Service(), Service(lasts=5.0), Service()
        bad.up = slow.up = False
        async with TaskManager(breaker) as manager:
            old = [manager.submit(slow) for _ in range(20)]
            await failed(*[manager.submit(bad) for _ in range(2)])
            await asyncio.sleep(1)
            await manager.submit(good)
            assert breaker.state() is CLOSED
            await failed(*old)
            assert breaker.state() is CLOSED
            assert breaker.snapshot().calls == 0

    run(main())


def test_trip_and_reset_by_hand_make_the_manager_look_again() -> None:
    """Queued tasks fail at once, and waiting ones go at once, in every manager that shares the breaker."""

    async def main() -> None:
        loop, service = asyncio.get_running_loop(), Service()
        for when_open in ("reject", "wait"):
            breaker = CircuitBreakerStrategy(when_open=when_open)
            limits = [ConcurrentLimitStrategy(1), ConcurrentLimitStrategy(1)]
            managers = [TaskManager([limit, breaker]) for limit in limits]
            async with managers[0], managers[1]:
                began = loop.time()
                running = [manager.submit(asyncio.sleep, 100) for manager in managers]
                await asyncio.sleep(1)
                queued = [manager.submit(service) for manager in managers]
                await asyncio.sleep(1)
                breaker.trip()
                if when_open == "reject":
                    assert await failed(*queued) == [CircuitOpenError] * 2
                    assert loop.time() == began + 2
                for task in running:
                    task.cancel()
                await asyncio.sleep(1)
                if when_open == "wait":
                    assert not any(task.done() for task in queued)
                    breaker.reset()
                    assert [await task for task in queued] == ["answer"] * 2
                    assert loop.time() == began + 3
                breaker.reset()

    run(main())


def test_it_can_be_tripped_while_the_manager_is_stopped() -> None:
    async def main() -> None:
        breaker = CircuitBreakerStrategy(when_open="wait")
        manager = TaskManager(breaker)
        breaker.trip()
        task = manager.submit(Service())
        await manager.idle()
        await asyncio.sleep(1)
        await manager.stop()
        breaker.reset()
        await manager.idle()
        await asyncio.sleep(0.001)
        assert task.result() == "answer"
        await manager.aclose()

    run(main())
    CircuitBreakerStrategy().trip()  # without any loop


def test_managers_that_share_it_hear_of_each_other() -> None:
    """The second one has a task that waits; the probe of the first one lets it go in the same instant."""

    async def main() -> None:
        breaker = CircuitBreakerStrategy(when_open="wait", open_seconds=10, half_open_max_calls=1)
        one, two, service = TaskManager(breaker), TaskManager(breaker), Service(lasts=2.0)
        async with one, two:
            breaker.trip()
            await asyncio.sleep(10)
            probe = one.submit(service)
            await asyncio.sleep(1)
            waits = two.submit(service)
            await probe
            await waits
        assert service.calls == [10.0, 12.0]

    run(main())


def test_a_place_that_comes_back_is_taken_in_the_other_manager() -> None:
    """At once, not when the probe that was cancelled would have taken too long."""

    async def main() -> None:
        breaker = CircuitBreakerStrategy(when_open="wait", open_seconds=10, half_open_max_calls=1)
        one, two, service = TaskManager(breaker), TaskManager(breaker), Service()
        async with one, two:
            breaker.trip()
            await asyncio.sleep(10)
            probe = one.submit(asyncio.sleep, 5)
            await asyncio.sleep(1)
            waits = two.submit(service)
            await asyncio.sleep(1)
            probe.cancel()
            await waits
        assert service.calls == [12.0]

    run(main())


def test_a_window_smaller_than_the_minimum_is_enough() -> None:
    async def main() -> None:
        breaker, service = CircuitBreakerStrategy(minimum_calls=10, window_size=3), Service()
        service.up = False
        async with TaskManager(breaker) as manager:
            for state in (CLOSED, CLOSED, OPEN):
                await failed(manager.submit(service))
                assert breaker.state() is state

    run(main())


def test_tripping_it_after_its_time_is_one_more_opening() -> None:
    """By then it is half-open, whether anything has started or not."""
    changes: List[Any] = []

    async def main() -> float:
        breaker = CircuitBreakerStrategy(
            open_seconds=10,
            open_multiplier=2,
            when_open="wait",
            on_state_change=lambda key, before, after: changes.append(after),
        )
        breaker.trip()
        await asyncio.sleep(10)
        breaker.trip()
        async with TaskManager(breaker) as manager:
            service = Service()
            await manager.submit(service)
        return service.calls[0]

    assert run(main()) == 30.0
    assert changes == [OPEN, HALF_OPEN, OPEN, HALF_OPEN]


def test_trip_and_reset_of_one_key_and_of_all() -> None:
    breaker = CircuitBreakerStrategy(key="service")
    breaker.trip("a")
    breaker.trip("b")
    breaker.reset("a")
    assert [breaker.state(key) for key in "abc"] == [CLOSED, OPEN, CLOSED]
    breaker.trip()
    assert [breaker.state(key) for key in "abc"] == [OPEN, OPEN, CLOSED]
    breaker.reset()
    assert [breaker.state(key) for key in "abc"] == [CLOSED, CLOSED, CLOSED]


def test_changes_of_state_are_told_and_who_is_told_may_fail_or_call_back(caplog: Any) -> None:
    """What it raises is logged, and changes nothing; a reset in it is done."""
    told: List[Any] = []

    async def main() -> None:
        def on_state_change(key: Any, before: State, after: State) -> None:
            told.append((asyncio.get_running_loop().time(), key, before, after))
            if after is HALF_OPEN:
                breaker.reset("a")
            raise RuntimeError("harmless")

        breaker = CircuitBreakerStrategy(
            consecutive_failures=1, open_seconds=2, key="service", on_state_change=on_state_change
        )
        service = Service()
        service.up = False
        async with TaskManager(breaker) as manager:
            await failed(manager.add_task(service, {"service": "a"}))
            await asyncio.sleep(2)
            service.up = True
            assert await manager.add_task(service, {"service": "a"}) == "answer"
            assert breaker.state("a") is CLOSED
            assert breaker.snapshot("a").calls == 0  # the probe was of the generation before the reset

    with caplog.at_level(logging.ERROR):
        run(main())
    assert told == [(0.0, "a", CLOSED, OPEN), (2.0, "a", OPEN, HALF_OPEN), (2.0, "a", HALF_OPEN, CLOSED)]
    assert [record.message for record in caplog.records] == ["on_state_change raised"] * 3


def test_an_async_callback_is_refused() -> None:
    async def on_state_change(key: Any, before: State, after: State) -> None:
        return None

    with pytest.raises(SettingError, match="on_state_change must be a plain function"):
        CircuitBreakerStrategy(on_state_change=on_state_change)  # type: ignore[arg-type]


def test_who_waits_as_long_as_told_is_let_through() -> None:
    """Not a rounding error too early, whatever the clock shows."""

    async def main() -> None:
        for n in range(200):
            await asyncio.sleep(0.1 + n / 7)
            breaker = CircuitBreakerStrategy(open_seconds=0.3 + n / 13, half_open_max_calls=1)
            async with TaskManager(breaker) as manager:
                breaker.trip()
                await asyncio.sleep(n / 1300)
                error = await refused(manager.submit(Service()))
                assert error.retry_after is not None
                await asyncio.sleep(error.retry_after)
                assert await manager.submit(Service()) == "answer"

    run(main())


def test_a_refused_task_can_be_run_again() -> None:
    """What ``atm-retry`` does: they come back when the first probes may go; those that find no place among these, when
    they are sure to be decided."""

    async def main() -> None:
        service = Service()
        breaker = CircuitBreakerStrategy(open_seconds=7, half_open_max_calls=2)
        async with TaskManager([breaker, RetryOnce()]) as manager:
            manager.pause()
            tasks = [manager.submit(service) for _ in range(5)]
            breaker.trip()
            manager.resume()
            assert [await task for task in tasks] == ["answer"] * 5
        assert service.calls == [7.0] * 2 + [14.0] * 3

    run(main())


def test_idle_keys_are_forgotten_and_busy_ones_are_not() -> None:
    """Thirty thousand keys in half a minute: at most ten thousand stay, and the open one is still known."""

    async def main() -> Dict[str, Any]:
        breaker = CircuitBreakerStrategy(consecutive_failures=1, open_seconds=1000, max_open_seconds=1000, key="n")
        async with TaskManager(breaker) as manager:
            breaker.trip("open")
            for start in range(0, 30_000, 1000):
                await asyncio.sleep(1)
                for n in range(start, start + 1000):
                    manager.add_task(nothing, {"n": n})
                await asyncio.sleep(0)
        assert breaker.state("open") is OPEN
        return breaker.stats()

    async def nothing() -> None:
        return None

    stats = run(main())
    assert stats["keys"] <= 10_001
    assert stats["open"] == 1


def test_clean_keys_go_soon() -> None:
    async def nothing() -> None:
        return None

    async def main() -> int:
        breaker = CircuitBreakerStrategy(open_seconds=10, key="n")
        async with TaskManager(breaker) as manager:
            for n in range(1000):
                manager.add_task(nothing, {"n": n})
                await asyncio.sleep(1)
            return int(breaker.stats()["keys"])

    assert run(main()) <= 20


def test_nothing_is_kept_of_a_task() -> None:
    async def main() -> List[Any]:
        breaker = CircuitBreakerStrategy(consecutive_failures=2)
        service = Service()
        service.up = False
        async with TaskManager(breaker) as manager:
            tasks = [manager.submit(service) for _ in range(4)]
            await failed(*tasks)
            handles = [weakref.ref(task) for task in tasks]
            del tasks
            await asyncio.sleep(0)
            gc.collect()
            return [handle() for handle in handles]

    assert run(main()) == [None] * 4


def test_by_hand() -> None:
    """Through the four methods each end counts as a success, as they know no outcome."""

    async def main() -> None:
        breaker = CircuitBreakerStrategy(when_open="wait", half_open_max_calls=1, open_seconds=10)
        task = Task(nothing)
        breaker.trip()
        breaker.add_task(task)
        assert breaker.get_next_task() is None
        assert await breaker.get_sleep_interval() == 10.0
        await asyncio.sleep(10)
        assert breaker.get_next_task() is task
        await breaker.on_task_done()
        assert breaker.state() is CLOSED

    async def nothing() -> None:
        return None

    run(main())


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, 1.0, 3.0]),
            st.sampled_from([0.0, 0.25, 2.0]),
            st.sampled_from(["up", "up", "down"]),
            st.sampled_from([None, None, None, 0.0, 0.5]),
        ),
        max_size=25,
    ),
    when_open=st.sampled_from(["reject", "wait"]),
    key=st.sampled_from([None, "service"]),
)
def test_every_promise_holds_together(pieces: List[Any], when_open: str, key: Any) -> None:
    """Random arrivals, durations, failures and cancellations, with and without keys, beside a limit and a window: no
    task is lost, none starts while its breaker is open, and everything is given back."""
    recorder, limit = Recorder(), ConcurrentLimitStrategy(3)
    breaker = CircuitBreakerStrategy(
        minimum_calls=2, open_seconds=2.0, half_open_max_calls=2, when_open=when_open, key=key, window_size=4
    )
    states: List[State] = []

    class Watch:
        @hookimpl(tryfirst=True)
        def atm_started(self, task: Task[Any]) -> None:
            states.append(breaker.state(task.metadata["service"] if key else None))

    async def work(lasts: float, how: str) -> None:
        await asyncio.sleep(lasts)
        if how == "down":
            raise ConnectionError

    async def main() -> List[Task[Any]]:
        tasks: List[Task[Any]] = []
        async with TaskManager([breaker, limit, FixedWindowStrategy(5, 1.0), Watch(), recorder]) as manager:
            for n, (pause, lasts, how, cancelled) in enumerate(pieces):
                await asyncio.sleep(pause)
                task = manager.add_task(functools.partial(work, lasts, how), {"service": n % 2})
                tasks.append(task)
                if cancelled is not None:
                    asyncio.get_running_loop().call_later(cancelled, task.cancel)
        return tasks

    for task in run(main()):
        assert task.done()
        if not task.cancelled() and task.exception() is not None:
            refusals = (CircuitOpenError,) if when_open == "reject" else ()
            assert isinstance(task.exception(), (ConnectionError, *refusals))
    recorder.max_running(3)
    recorder.all_settled_once()
    recorder.everything_given_back()
    assert OPEN not in states
    assert breaker.stats()["running"] == limit.used() == 0
