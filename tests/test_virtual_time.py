"""Virtual time: the clock's digits, the order of timers, the end of what cannot go on, the walls around."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, Generator, Iterator, List, Tuple

import pytest

import atm_core.testing
from atm_core.testing import virtual_time
from atm_core.testing._virtual_time import REAL_IO_METHODS, last_place
from atm_core.testing.virtual_time import DeadlockError, RealIOError, VirtualTimeLoop, run

unix_only = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs Unix signals")

# The largest jump that asyncio's own loop makes at once.
A_DAY = 24 * 3600


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail the test if asyncio logged anything, be it when what is left over is collected."""
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        yield
        gc.collect()
    records = caplog.get_records("call") + caplog.records
    assert [record.getMessage() for record in records if record.name == "asyncio"] == []


@pytest.fixture
def keep() -> Callable[[Any], None]:
    """asyncio itself does not hold a task that only waits."""
    kept: List[Any] = []
    return kept.append


def now() -> float:
    return asyncio.get_event_loop().time()


async def never() -> None:
    await asyncio.get_event_loop().create_future()  # the line of never()


def line_of(text: str) -> str:
    """Where in this file ``text`` stands, as an error names it."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [number] = [index for index, line in enumerate(lines, 1) if line.rstrip().endswith("# " + text)]
    return f"{__file__}:{number}"


def next_float(value: float) -> float:
    return value + last_place(value)


# --- the clock ---


def test_the_clock_starts_at_zero(loop: VirtualTimeLoop) -> None:
    assert loop.time() == 0.0


def test_a_sleep_takes_exactly_its_seconds() -> None:
    async def main() -> List[float]:
        times = []
        for seconds in (0.1, 0.2, 1e-9, 3600, 1 / 3):
            await asyncio.sleep(seconds)
            times.append(now())
        return times

    expected = []
    at = 0.0
    for seconds in (0.1, 0.2, 1e-9, 3600, 1 / 3):
        at += seconds
        expected.append(at)
    assert run(main()) == expected


def test_a_jump_may_be_longer_than_a_day() -> None:
    async def main() -> Tuple[float, int]:
        turns = 0
        loop = asyncio.get_event_loop()
        selector: Any = loop._selector  # type: ignore[attr-defined]
        select = selector.select

        def counted(timeout: Any = None) -> Any:
            nonlocal turns
            turns += 1
            return select(timeout)

        selector.select = counted
        await asyncio.sleep(10 * A_DAY)
        return now(), turns

    assert run(main()) == (10 * A_DAY, 2)  # the jump, and the turn in which the task goes on


def test_an_hour_of_polling_every_second_ends_at_the_hour() -> None:
    async def main() -> float:
        for _ in range(3600):
            await asyncio.sleep(1)
        return now()

    assert run(main()) == 3600.0


@pytest.mark.parametrize("at", [0.0, 5e-324, 1e-300, 0.1, 1.0, 1.5, 86400.0, 1.7e9, 2.0**53])
def test_timers_one_float_apart_fire_in_jumps_of_their_own(loop: VirtualTimeLoop, at: float) -> None:
    whens = [at, next_float(at), next_float(next_float(at))]
    assert len(set(whens)) == 3
    seen: List[Tuple[float, float]] = []
    turns: List[int] = []
    for when in reversed(whens):
        loop.call_at(when, lambda when=when: seen.append((when, loop.time())))  # type: ignore[misc]
        loop.call_at(when, lambda: turns.append(len(seen)))
    loop.call_at(whens[-1] + 1 + whens[-1], loop.stop)
    loop.run_forever()
    assert seen == [(when, when) for when in whens]
    assert turns == [1, 2, 3]


@pytest.mark.parametrize(
    "value", [5e-324, 2.3e-308, 1e-9, 0.5, 1 - 2**-53, 1.0, 1.1, 86400.0, 1.7e9, 2.0**60]
)
def test_the_last_place_is_the_smallest_step(value: float) -> None:
    assert value + last_place(value) > value
    assert value + last_place(value) / 2 in (value, value + last_place(value))
    if hasattr(math, "ulp"):
        assert last_place(value) == math.ulp(value)


def test_the_last_place_of_zero_is_the_smallest_float() -> None:
    assert last_place(0.0) == 5e-324


def test_a_sleep_too_short_for_the_clock_still_ends() -> None:
    async def main() -> float:
        await asyncio.sleep(1e9)
        await asyncio.sleep(1e-9)
        return now()

    assert run(main()) == 1e9


def test_a_past_time_fires_without_turning_the_clock_back(loop: VirtualTimeLoop) -> None:
    seen = []

    def later() -> None:
        loop.call_at(2.0, lambda: seen.append(("two", loop.time())))
        loop.call_at(1.0, lambda: seen.append(("one", loop.time())))
        loop.call_later(1, loop.stop)

    loop.call_at(5.0, later)
    loop.run_forever()
    assert seen == [("one", 5.0), ("two", 5.0)]


def test_the_time_is_a_float_even_for_a_timer_at_an_integer(loop: VirtualTimeLoop) -> None:
    loop.call_at(5, loop.stop)
    loop.run_forever()
    assert repr(loop.time()) == "5.0"


@pytest.mark.parametrize("make", [math.nan, float("-nan")])
def test_nan_is_no_time(loop: VirtualTimeLoop, make: float) -> None:
    with pytest.raises(ValueError, match="when must be a time in seconds, got nan"):
        loop.call_at(make, print)


def test_none_is_no_time(loop: VirtualTimeLoop) -> None:
    with pytest.raises(TypeError):
        loop.call_at(None, print)  # type: ignore[arg-type]


def test_the_clock_stands_still_while_something_is_ready() -> None:
    async def main() -> float:
        asyncio.get_event_loop().call_later(1e-9, print)
        for _ in range(1000):
            await asyncio.sleep(0)
        return now()

    assert run(main()) == 0.0


def test_time_goes_on_from_where_the_last_run_left_it(loop: VirtualTimeLoop) -> None:
    loop.run_until_complete(asyncio.sleep(2))
    loop.run_until_complete(asyncio.sleep(3))
    assert loop.time() == 5.0


# --- order ---


def test_timers_of_one_time_fire_in_the_order_in_which_they_were_set(loop: VirtualTimeLoop) -> None:
    fired: List[int] = []
    for number in range(500):
        loop.call_at(1.0 + number % 3, fired.append, number)
    loop.call_at(4.0, loop.stop)
    loop.run_forever()
    assert fired == sorted(range(500), key=lambda number: (number % 3, number))


def test_order_survives_the_removal_of_many_cancelled_timers(loop: VirtualTimeLoop) -> None:
    """asyncio rebuilds its heap when more than half of over a hundred timers are cancelled."""
    fired: List[int] = []
    handles = [loop.call_at(1.0, fired.append, number) for number in range(1000)]
    for number, handle in enumerate(handles):
        if number % 5:
            handle.cancel()
    loop.call_at(2.0, loop.stop)
    loop.run_forever()
    assert fired == list(range(0, 1000, 5))


def test_cancelled_timers_neither_fire_nor_stop_the_clock(loop: VirtualTimeLoop) -> None:
    times: List[float] = []
    handles = [loop.call_at(at, times.append, at) for at in (1.0, 2.0, 3.0)]
    for handle in handles:
        handle.cancel()
    loop.call_at(4.0, lambda: (times.append(loop.time()), loop.stop()))  # type: ignore[func-returns-value]
    loop.run_forever()
    assert times == [4.0]


def test_only_cancelled_timers_are_no_timers() -> None:
    async def main() -> None:
        asyncio.get_event_loop().call_later(1, print).cancel()
        await never()

    with pytest.raises(DeadlockError):
        run(main())


def test_two_runs_see_the_same(quiet: None) -> None:
    async def worker(number: int, queue: asyncio.Queue[int], log: List[Tuple[float, int, int]]) -> None:
        while True:
            item = await queue.get()
            await asyncio.sleep(item * 0.1 / (number + 1))
            log.append((now(), number, item))
            queue.task_done()

    async def main() -> List[Tuple[float, int, int]]:
        log: List[Tuple[float, int, int]] = []
        queue: asyncio.Queue[int] = asyncio.Queue()
        workers = [asyncio.ensure_future(worker(number, queue, log)) for number in range(7)]
        for item in range(200):
            queue.put_nowait(item * 7919 % 23)
            await asyncio.sleep(item % 3 * 0.01)
        await queue.join()
        assert not any(task.done() for task in workers)
        return log

    first = run(main())
    assert len(first) == 200
    assert run(main()) == first


# --- the wall clock ---


def test_the_wall_clock_starts_at_zero_and_follows_the_loop(loop: VirtualTimeLoop) -> None:
    assert loop.wall_time() == 0.0
    loop.run_until_complete(asyncio.sleep(90))
    assert loop.wall_time() == 90.0


def test_the_wall_clock_jumps_alone(loop: VirtualTimeLoop) -> None:
    seen = []
    loop.call_at(10.0, lambda: seen.append((loop.time(), loop.wall_time())))
    loop.call_at(20.0, loop.stop)
    loop.jump_wall_clock(3600)
    loop.jump_wall_clock(-7200.5)
    assert (loop.time(), loop.wall_time()) == (0.0, -3600.5)
    loop.run_forever()
    assert seen == [(10.0, -3590.5)]


def test_run_gives_the_loop_its_wall_clock() -> None:
    async def main() -> float:
        loop = asyncio.get_event_loop()
        assert isinstance(loop, VirtualTimeLoop)
        await asyncio.sleep(0.5)
        return loop.wall_time()

    assert run(main(), wall_start=1_700_000_000) == 1_700_000_000.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_wall_times_are_finite(loop: VirtualTimeLoop, value: float) -> None:
    with pytest.raises(ValueError, match=f"wall_start must be a finite number of seconds, got {value!r}"):
        VirtualTimeLoop(wall_start=value)
    with pytest.raises(ValueError, match=f"^seconds must be a finite number of seconds, got {value!r}"):
        loop.jump_wall_clock(value)


@pytest.mark.parametrize("value", [True, "1", None])
def test_wall_times_are_numbers(loop: VirtualTimeLoop, value: Any) -> None:
    with pytest.raises(TypeError, match=f"wall_start must be a number of seconds, got {value!r}"):
        VirtualTimeLoop(wall_start=value)
    with pytest.raises(TypeError, match=f"^seconds must be a number of seconds, got {value!r}"):
        loop.jump_wall_clock(value)
    gc.collect()  # A loop that was refused must not complain of being unclosed.


# --- asyncio on top ---


def test_wait_for_times_out_at_its_second() -> None:
    async def main() -> float:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(never(), 2.5)
        return now()

    assert run(main()) == 2.5


def test_wait_for_leaves_what_is_in_time() -> None:
    async def main() -> Tuple[str, float]:
        return await asyncio.wait_for(asyncio.sleep(1, "done"), 2), now()

    assert run(main()) == ("done", 1.0)


if sys.version_info >= (3, 11):

    def test_timeout_times_out_at_its_second() -> None:
        async def main() -> float:
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(2.5):
                    await never()
            return now()

        assert run(main()) == 2.5


def test_children_sleep_side_by_side() -> None:
    async def child(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return now()

    async def main() -> Tuple[List[float], float]:
        return list(await asyncio.gather(child(3), child(1), child(2))), now()

    assert run(main()) == ([3.0, 1.0, 2.0], 3.0)


def test_locks_queues_and_events_hand_over_at_the_same_time() -> None:
    async def main() -> List[Tuple[str, float]]:
        log: List[Tuple[str, float]] = []
        queue: asyncio.Queue[str] = asyncio.Queue(1)
        lock, event = asyncio.Lock(), asyncio.Event()

        async def getter() -> None:
            log.append((await queue.get(), now()))
            async with lock:
                log.append(("locked", now()))
            event.set()

        async def locker() -> None:
            async with lock:
                await asyncio.sleep(4)

        tasks = [asyncio.ensure_future(getter()), asyncio.ensure_future(locker())]
        await asyncio.sleep(1)
        await queue.put("item")
        await event.wait()
        log.append(("event", now()))
        await asyncio.gather(*tasks)
        return log

    assert run(main()) == [("item", 1.0), ("locked", 4.0), ("event", 4.0)]


def test_callbacks_run_in_the_context_that_set_them(loop: VirtualTimeLoop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")
    seen: List[str] = []
    context = contextvars.copy_context()
    context.run(variable.set, "inside")
    loop.call_at(1, lambda: seen.append(variable.get()), context=context)
    loop.call_at(2, lambda: seen.append(variable.get()))
    loop.call_at(3, loop.stop)
    loop.run_forever()
    assert seen == ["inside", "outside"]


def test_debug_mode_takes_virtual_seconds_for_no_slowness(
    monkeypatch: pytest.MonkeyPatch, quiet: None
) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")

    async def main() -> Tuple[bool, float]:
        await asyncio.gather(asyncio.sleep(10), asyncio.sleep(2 * A_DAY))
        return asyncio.get_event_loop().get_debug(), now()

    assert run(main()) == (True, 2.0 * A_DAY)


def test_debug_mode_names_the_line_that_set_a_timer(loop: VirtualTimeLoop) -> None:
    loop.set_debug(True)
    at = loop.call_at(1, print)  # sets a timer at
    later = loop.call_later(1, print)  # sets a timer later
    assert f"created at {line_of('sets a timer at')}" in repr(at)
    assert f"created at {line_of('sets a timer later')}" in repr(later)


def test_debug_mode_names_the_line_that_made_a_task(loop: VirtualTimeLoop) -> None:
    loop.set_debug(True)
    task = loop.create_task(asyncio.sleep(1))  # makes a task
    assert f"created at {line_of('makes a task')}" in repr(task)
    loop.run_until_complete(task)


def test_debug_mode_refuses_what_is_no_callback(loop: VirtualTimeLoop) -> None:
    loop.set_debug(True)
    with pytest.raises(TypeError):
        loop.call_at(1, never)


def test_a_closed_loop_takes_no_timers(loop: VirtualTimeLoop) -> None:
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_at(1, print)


def test_a_loop_can_be_closed_twice(loop: VirtualTimeLoop) -> None:
    loop.close()
    loop.close()
    assert loop.is_closed()


# --- run ---


def test_run_returns_the_result() -> None:
    assert run(asyncio.sleep(1, "result")) == "result"


def test_run_raises_what_the_coroutine_raises(quiet: None) -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("from main")

    with pytest.raises(LookupError, match="from main"):
        run(main())


def test_run_refuses_to_start_inside_a_running_loop() -> None:
    async def main() -> None:
        inner = never()
        try:
            with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
                run(inner)
        finally:
            inner.close()

    run(main())


@pytest.mark.parametrize("value", [None, never, 5])
def test_run_refuses_what_is_no_coroutine(value: Any) -> None:
    with pytest.raises(ValueError, match="a coroutine was expected, got"):
        run(value)


def test_run_leaves_no_loop_behind() -> None:
    loops = []

    async def main() -> None:
        loops.append(asyncio.get_event_loop())

    run(main())
    assert loops[0].is_closed()
    assert asyncio._get_running_loop() is None


def test_leftover_tasks_are_cancelled_and_awaited_to_their_end(
    quiet: None, keep: Callable[[Any], None]
) -> None:
    log = []

    async def leftover(name: str, cleanup_seconds: float) -> None:
        try:
            await never()
        except asyncio.CancelledError:
            log.append((name, "cancelled", now()))
            await asyncio.sleep(cleanup_seconds)
            log.append((name, "ended", now()))
            raise

    async def main() -> str:
        for name, seconds in (("a", 3), ("b", 1)):
            keep(asyncio.ensure_future(leftover(name, seconds)))
        await asyncio.sleep(10)
        return "result"

    assert run(main()) == "result"
    assert log == [
        ("a", "cancelled", 10.0),
        ("b", "cancelled", 10.0),
        ("b", "ended", 11.0),
        ("a", "ended", 13.0),
    ]


def test_leftover_tasks_are_cancelled_in_the_order_in_which_they_were_made(
    quiet: None, keep: Callable[[Any], None]
) -> None:
    log: List[int] = []

    async def leftover(number: int) -> None:
        try:
            await never()
        finally:
            log.append(number)

    async def main() -> None:
        for number in range(50):
            keep(asyncio.ensure_future(leftover(number)))
        await asyncio.sleep(1)

    run(main())
    assert log == list(range(50))


def test_a_leftover_task_that_fails_is_reported(
    caplog: pytest.LogCaptureFixture, keep: Callable[[Any], None]
) -> None:
    async def leftover() -> None:
        try:
            await never()
        finally:
            raise LookupError("from the leftover")

    async def main() -> None:
        keep(asyncio.ensure_future(leftover()))
        await asyncio.sleep(1)

    run(main())
    [record] = caplog.records
    assert "unhandled exception while a virtual-time loop cancelled" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


def test_asynchronous_generators_are_closed(quiet: None) -> None:
    log = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(1)
            log.append(now())

    async def main() -> Any:
        generator = numbers()
        await generator.__anext__()
        await asyncio.sleep(5)
        return generator

    assert run(main()) is not None
    assert log == [6.0]


def test_tasks_end_before_the_generators_that_they_use_are_closed(
    quiet: None, keep: Callable[[Any], None]
) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        await never()

    async def reader() -> None:
        async for _ in numbers():
            pass

    async def main() -> None:
        keep(asyncio.ensure_future(reader()))
        await asyncio.sleep(1)

    run(main())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_the_run_from_a_task(
    error: type, quiet: None, keep: Callable[[Any], None]
) -> None:
    log = []

    async def bystander() -> None:
        try:
            await never()
        finally:
            log.append(now())

    async def main() -> None:
        keep(asyncio.ensure_future(bystander()))
        await asyncio.sleep(1)
        raise error()

    with pytest.raises(error):
        run(main())
    assert log == [1.0]


def test_what_ends_the_program_ends_the_run_from_a_timer(quiet: None) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        asyncio.get_event_loop().call_later(1, interrupt)
        await never()

    with pytest.raises(KeyboardInterrupt):
        run(main())


@pytest.mark.parametrize("allow_io", [False, True])
def test_ctrl_c_ends_a_program_that_only_jumps(allow_io: bool, quiet: None) -> None:
    async def main() -> None:
        turns = 0
        while True:
            await asyncio.sleep(1)
            turns += 1
            if turns == 100:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(main(), allow_io=allow_io)


# --- deadlocks ---


def deadlock(main: Callable[[], Any], **settings: Any) -> str:
    with pytest.raises(DeadlockError) as caught:
        run(main(), **settings)
    return str(caught.value)


def test_waiting_for_what_never_comes_is_an_error_that_names_the_line(quiet: None) -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        await never()

    message = deadlock(main)
    assert message.startswith(
        "nothing is ready to run and no timer is set, so this can never come: 1 task waits\n"
    )
    assert f"{main.__qualname__}() at {line_of('the line of never()')} in never" in message


def test_a_deadlock_names_every_task(quiet: None) -> None:
    async def one(lock: asyncio.Lock) -> None:
        async with lock:  # one waits here
            pass

    async def two(event: asyncio.Event) -> None:
        await event.wait()  # two waits here

    async def main() -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        tasks = [asyncio.ensure_future(one(lock)), asyncio.ensure_future(two(asyncio.Event()))]
        if sys.version_info >= (3, 8):
            for task, name in zip(tasks, ("first", "second")):
                task.set_name(name)
        await asyncio.gather(*tasks)  # main waits here

    message = deadlock(main)
    assert "3 tasks wait\n" in message
    lines = message.splitlines()[1:]
    assert len(lines) == 3
    for coroutine, text in ((one, "one waits here"), (two, "two waits here"), (main, "main waits here")):
        [line] = [line for line in lines if f"{coroutine.__qualname__}()" in line]
        assert f"at {line_of(text)} in {coroutine.__name__}" in line
    if sys.version_info >= (3, 8):
        assert any(line.startswith("  first: ") and "one()" in line for line in lines)
        assert any(line.startswith("  second: ") and "two()" in line for line in lines)


def test_a_deadlock_in_asyncio_names_the_innermost_line_and_the_one_that_led_there(quiet: None) -> None:
    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        await queue.get()  # gets from a queue

    message = deadlock(main)
    assert f"{os.sep}queues.py:" in message
    assert f" in get, awaited at {line_of('gets from a queue')} in main" in message


def test_a_deadlock_is_followed_into_asynchronous_generators(quiet: None) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        await never()

    async def main() -> None:
        async for _ in numbers():
            pass

    assert f"at {line_of('the line of never()')} in never" in deadlock(main)


def test_a_deadlock_is_followed_into_awaitable_objects(quiet: None) -> None:
    class Wrapped:
        def __await__(self) -> Generator[Any, None, None]:
            return never().__await__()

    class Own:
        def __await__(self) -> Generator[Any, None, None]:
            yield from asyncio.get_event_loop().create_future().__await__()  # waits in __await__

    async def main(awaitable: Awaitable[None]) -> None:
        await awaitable

    assert f"at {line_of('the line of never()')} in never" in deadlock(lambda: main(Wrapped()))
    assert f"at {line_of('waits in __await__')} in __await__" in deadlock(lambda: main(Own()))


def test_a_deadlock_names_tasks_in_the_order_in_which_they_were_made(quiet: None) -> None:
    async def a() -> None:
        await never()

    async def b() -> None:
        await never()

    async def main() -> None:
        await asyncio.gather(*[asyncio.ensure_future(coroutine()) for coroutine in (b, a) * 20])

    lines = deadlock(main).splitlines()[1:]
    assert [line.split("()")[0].rsplit(".", 1)[1] for line in lines] == ["main"] + ["b", "a"] * 20


def test_a_deadlock_names_tasks_made_without_the_loop_last_and_by_line(quiet: None) -> None:
    async def a() -> None:
        await never()

    async def b() -> None:
        await never()

    async def main() -> None:
        tasks: List[Any] = [asyncio.Task(coroutine()) for coroutine in (b, a) * 20]
        if sys.version_info >= (3, 8):
            for task in tasks:
                task.set_name("the same")
        await asyncio.gather(*tasks)

    lines = deadlock(main).splitlines()[1:]
    names = [line.split("()")[0].rsplit(".", 1)[1] for line in lines]
    assert names == ["main"] + ["a"] * 20 + ["b"] * 20


@pytest.mark.skipif(sys.version_info < (3, 8), reason="tasks have names from Python 3.8")
def test_a_deadlock_counts_tasks_made_without_the_loop(quiet: None) -> None:
    async def main() -> None:
        tasks: List[Any] = [asyncio.Task(never()) for _ in range(12)]
        for number, task in enumerate(tasks):
            task.set_name(f"name-{number}")
        await asyncio.gather(*tasks)

    names = [line.split(":")[0].strip() for line in deadlock(main).splitlines()[2:]]
    assert names == [f"name-{number}" for number in range(12)]


@pytest.mark.parametrize("allow_io", [False, True])
def test_a_timer_at_infinity_never_comes(allow_io: bool, quiet: None) -> None:
    async def main() -> None:
        await asyncio.sleep(math.inf)

    assert "in sleep, awaited at" in deadlock(main, allow_io=allow_io)


def test_a_future_without_a_task_can_deadlock(loop: VirtualTimeLoop) -> None:
    with pytest.raises(DeadlockError, match="no task is left that could go on"):
        loop.run_until_complete(loop.create_future())


def test_a_loop_that_runs_for_ever_with_nothing_to_do_deadlocks(loop: VirtualTimeLoop) -> None:
    loop.call_later(3, int)
    with pytest.raises(DeadlockError):
        loop.run_forever()
    assert loop.time() == 3.0
    assert not loop.is_running()


def test_a_loop_can_go_on_after_a_deadlock(loop: VirtualTimeLoop) -> None:
    future = loop.create_future()
    with pytest.raises(DeadlockError):
        loop.run_until_complete(future)
    loop.call_later(1, future.set_result, "came")
    assert loop.run_until_complete(future) == "came"


def test_after_a_deadlock_everything_is_cleaned_up(quiet: None) -> None:
    log = []

    async def child(number: int) -> None:
        try:
            await never()
        finally:
            await asyncio.sleep(number)
            log.append((number, now()))

    async def main() -> None:
        await asyncio.gather(child(1), child(2))

    deadlock(main)
    assert log == [(1, 1.0), (2, 2.0)]


def test_what_waits_again_when_cancelled_is_cancelled_again(quiet: None, keep: Callable[[Any], None]) -> None:
    log = []

    async def stubborn() -> None:
        for attempt in range(3):
            try:
                await never()
            except asyncio.CancelledError:
                log.append(attempt)

    async def failing() -> None:
        try:
            await never()
        finally:
            await stubborn()

    async def main() -> str:
        keep(asyncio.ensure_future(stubborn()))
        keep(asyncio.ensure_future(failing()))
        await asyncio.sleep(1)
        return "result"

    assert run(main()) == "result"
    assert sorted(log) == [0, 0, 1, 1, 2, 2]


def test_what_never_ends_when_cancelled_is_a_deadlock_that_names_it(
    quiet: None, keep: Callable[[Any], None]
) -> None:
    async def immortal() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await never()

    async def main() -> None:
        keep(asyncio.ensure_future(immortal()))
        await asyncio.sleep(1)

    assert immortal.__qualname__ in deadlock(main)


def test_a_generator_that_hangs_when_closed_is_a_deadlock(quiet: None) -> None:
    log = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            try:
                await never()
            finally:
                log.append("closed")

    async def main() -> Any:
        generator = numbers()
        await generator.__anext__()
        return generator

    assert "in never" in deadlock(main)
    assert log == ["closed"]


# --- what is real ---


@pytest.mark.parametrize("name", [name for name in REAL_IO_METHODS if hasattr(VirtualTimeLoop, name)])
def test_real_io_is_refused_when_it_is_called(loop: VirtualTimeLoop, name: str) -> None:
    with pytest.raises(RealIOError, match=rf"^{name}\(\) reaches out of virtual time: .*allow_io=True"):
        getattr(loop, name)("anything", of="any", kind=True)


def test_no_io_method_of_asyncio_is_forgotten() -> None:
    """A method with a telling name that a new Python adds must be sorted into one of these."""
    harmless = {"remove_reader", "remove_writer", "remove_signal_handler", "add_signal_handler"}
    telling = (
        "sock_",
        "create_",
        "connect_",
        "subprocess_",
        "add_",
        "get",
        "send",
        "start_",
        "remove_",
        "run_in",
    )
    names = {name for name in dir(asyncio.SelectorEventLoop) if name.startswith(telling)}
    names -= {"create_future", "create_task", "get_debug", "get_exception_handler", "get_task_factory"}
    assert names - set(REAL_IO_METHODS) == harmless & names


@unix_only
def test_signals_are_refused(loop: VirtualTimeLoop) -> None:
    with pytest.raises(RealIOError, match="add_signal_handler"):
        loop.add_signal_handler(signal.SIGUSR1, print)
    assert not loop.remove_signal_handler(signal.SIGUSR1)


@unix_only
def test_a_child_watcher_may_attach_itself(loop: VirtualTimeLoop) -> None:
    loop.add_signal_handler(signal.SIGCHLD, print)
    assert not loop.remove_signal_handler(signal.SIGCHLD)


def test_asyncio_functions_over_real_io_are_refused() -> None:
    async def main() -> None:
        with pytest.raises(RealIOError, match=r"create_connection\(\)"):
            await asyncio.open_connection("127.0.0.1", 9)
        with pytest.raises(RealIOError, match=r"create_server\(\)"):
            await asyncio.start_server(print, "127.0.0.1", 0)
        with pytest.raises(RealIOError, match=r"subprocess_exec\(\)"):
            await asyncio.create_subprocess_exec(sys.executable)
        with pytest.raises(RealIOError, match=r"run_in_executor\(\)"):
            await asyncio.get_event_loop().run_in_executor(None, print)
        if sys.version_info >= (3, 9):
            with pytest.raises(RealIOError, match=r"run_in_executor\(\)"):
                await asyncio.to_thread(print)

    run(main())


def test_transports_made_behind_the_loop_are_refused(loop: VirtualTimeLoop) -> None:
    ours, theirs = socket.socketpair()
    internals: Any = loop
    with ours, theirs:
        with pytest.raises(RealIOError, match=r"add_reader\(\)"):
            internals._add_reader(ours.fileno(), print)
        with pytest.raises(RealIOError, match=r"add_writer\(\)"):
            internals._add_writer(ours.fileno(), print)
        assert not loop.remove_reader(ours.fileno())
        assert not loop.remove_writer(ours.fileno())


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_a_loop_without_io_owns_no_file_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    loop = VirtualTimeLoop()
    during = len(os.listdir("/proc/self/fd"))
    loop.close()
    assert during == before


def test_calls_come_in_from_the_loop_and_from_other_threads() -> None:
    async def main() -> List[str]:
        loop = asyncio.get_event_loop()
        log: List[str] = []
        loop.call_soon_threadsafe(log.append, "same")
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(log.append, "other"))
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        return log

    assert run(main()) == ["same", "other"]


def test_a_call_from_a_thread_comes_before_the_next_jump(loop: VirtualTimeLoop) -> None:
    """It may arrive when the loop has already found nothing to run."""
    log = []
    internals: Any = loop
    jump = internals._selector._wait

    def wait(inner: Any) -> Any:
        internals._selector._wait = jump
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(lambda: log.append(loop.time()),))
        thread.start()
        thread.join()
        return jump(inner)

    internals._selector._wait = wait
    loop.run_until_complete(asyncio.sleep(1))
    assert log == [0.0]


def test_a_thread_may_answer_while_timers_tick() -> None:
    async def main() -> str:
        loop = asyncio.get_event_loop()
        answer: asyncio.Future[str] = loop.create_future()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(answer.set_result, "answer"))
        thread.start()
        while not answer.done():
            await asyncio.sleep(1)
        thread.join()
        return answer.result()

    assert run(main()) == "answer"


# --- real I/O, allowed ---


def work() -> int:
    """Take real time without a sleep."""
    return sum(range(300_000))


def test_the_clock_stands_still_while_an_executor_works(quiet: None) -> None:
    async def main() -> List[Tuple[str, float]]:
        log = []
        loop = asyncio.get_event_loop()
        loop.call_later(1e-9, lambda: log.append(("timer", now())))
        assert await loop.run_in_executor(None, work) == work()
        log.append(("job", now()))
        await asyncio.sleep(1)
        return log

    assert run(main(), allow_io=True) == [("job", 0.0), ("timer", 1e-9)]


def test_jobs_without_timers_are_waited_for(quiet: None) -> None:
    async def main() -> Any:
        loop = asyncio.get_event_loop()
        return await asyncio.gather(*[loop.run_in_executor(None, work) for _ in range(5)])

    assert run(main(), allow_io=True) == [work()] * 5


def test_a_job_that_fails_or_is_cancelled_lets_time_go_on(quiet: None) -> None:
    def fail() -> None:
        raise LookupError("from the job")

    async def main() -> float:
        loop = asyncio.get_event_loop()
        with pytest.raises(LookupError, match="from the job"):
            await loop.run_in_executor(None, fail)
        loop.run_in_executor(None, work).cancel()
        await asyncio.sleep(1)
        return now()

    assert run(main(), allow_io=True) == 1.0


def test_a_job_may_wait_for_a_timer_of_the_loop(quiet: None) -> None:
    async def main() -> List[Tuple[float, float]]:
        loop = asyncio.get_event_loop()

        async def until(seconds: float) -> float:
            await asyncio.sleep(seconds)
            return now()

        def ask(seconds: float) -> Tuple[float, float]:
            first = asyncio.run_coroutine_threadsafe(until(seconds), loop).result()
            work()
            return first, asyncio.run_coroutine_threadsafe(until(seconds), loop).result()

        pool = ThreadPoolExecutor(2)
        try:
            return await asyncio.gather(*(loop.run_in_executor(pool, ask, seconds) for seconds in (5.0, 60.0)))
        finally:
            pool.shutdown()

    for _ in range(20):
        assert run(main(), allow_io=True) == [(5.0, 10.0), (60.0, 120.0)]


def test_while_one_job_works_the_clock_stands_still_though_another_waits(quiet: None) -> None:
    async def main() -> List[str]:
        log = []
        loop = asyncio.get_event_loop()
        asked = threading.Event()

        async def second() -> None:
            asked.set()
            await asyncio.sleep(1.0)
            log.append("a second")

        def works() -> None:
            asked.wait()
            work()

        waits = loop.run_in_executor(None, lambda: asyncio.run_coroutine_threadsafe(second(), loop).result())
        await loop.run_in_executor(None, works)
        log.append("work")
        await waits
        return log

    assert run(main(), allow_io=True) == ["work", "a second"]


def test_a_job_that_waits_for_what_never_comes_is_a_deadlock(quiet: None) -> None:
    async def main() -> None:
        loop = asyncio.get_event_loop()
        await loop.run_in_executor(None, lambda: asyncio.run_coroutine_threadsafe(never(), loop).result())

    assert "in never" in deadlock(main, allow_io=True)


def test_a_deadlock_is_still_one_after_the_jobs(quiet: None) -> None:
    async def main() -> None:
        await asyncio.get_event_loop().run_in_executor(None, work)
        await never()

    assert "in never" in deadlock(main, allow_io=True)


@pytest.mark.skipif(sys.version_info < (3, 9), reason="asyncio ends the executor from Python 3.9")
def test_the_thread_pool_is_closed_and_awaited(quiet: None) -> None:
    waited = []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, **options: Any) -> None:
            waited.append(wait)
            super().shutdown(wait, **options)

    async def main() -> int:
        loop = asyncio.get_event_loop()
        loop.set_default_executor(Pool(1))
        return await loop.run_in_executor(None, work)

    assert run(main(), allow_io=True) == work()
    assert waited[0] is True


def test_an_executor_of_ones_own_may_be_the_default(quiet: None) -> None:
    async def main() -> str:
        loop = asyncio.get_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="own"))
        return (await loop.run_in_executor(None, threading.current_thread)).name

    assert run(main(), allow_io=True).startswith("own")


def test_sockets_are_asked_before_each_jump(quiet: None) -> None:
    async def main() -> List[Tuple[bytes, float]]:
        loop = asyncio.get_event_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            got = []
            for number, at in enumerate((5.0, 7.0)):
                loop.call_at(at, theirs.send, b"%d" % number)
                loop.call_at(at + 1e-9, int)
                got.append((await loop.sock_recv(ours, 10), now()))
        return got

    assert run(main(), allow_io=True) == [(b"0", 5.0), (b"1", 7.0)]


def test_a_timeout_around_a_silent_socket_ends_in_virtual_time(quiet: None) -> None:
    async def main() -> float:
        loop = asyncio.get_event_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(loop.sock_recv(ours, 10), 3600)
        return now()

    assert run(main(), allow_io=True) == 3600.0


def test_with_no_timer_left_a_socket_is_really_waited_for(quiet: None) -> None:
    ours, theirs = socket.socketpair()

    async def main() -> bytes:
        ours.setblocking(False)
        thread = threading.Timer(0.02, theirs.send, (b"late",))
        thread.start()
        data = await asyncio.get_event_loop().sock_recv(ours, 10)
        thread.join()
        return data

    with ours, theirs:
        assert run(main(), allow_io=True) == b"late"


def test_streams_work_over_a_real_connection(quiet: None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async def main() -> bytes:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        assert server.sockets
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return answer

    assert run(main(), allow_io=True) == b"HELLO\n"


@unix_only
def test_subprocesses_are_really_waited_for(quiet: None) -> None:
    async def main() -> Tuple[int, bytes]:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
        code = await process.wait()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('hello', end='')", stdout=subprocess.PIPE
        )
        return code, (await process.communicate())[0]

    assert run(main(), allow_io=True) == (3, b"hello")


@unix_only
def test_signals_are_really_waited_for(quiet: None) -> None:
    async def main() -> float:
        loop = asyncio.get_event_loop()
        came: asyncio.Future[float] = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, lambda: came.set_result(now()))
        thread = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        thread.start()
        await came
        thread.join()
        loop.remove_signal_handler(signal.SIGUSR1)
        return came.result()

    assert run(main(), allow_io=True) == 0.0


@unix_only
def test_ctrl_c_interrupts_a_real_wait(quiet: None) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
            await asyncio.get_event_loop().sock_recv(ours, 10)

    with pytest.raises(KeyboardInterrupt):
        run(main(), allow_io=True)


# --- policies, and pytest ---


def test_the_policy_makes_virtual_loops() -> None:
    policy = virtual_time.VirtualTimePolicy(wall_start=5.0, allow_io=True)
    assert isinstance(policy, asyncio.DefaultEventLoopPolicy)
    loop = policy.new_event_loop()
    try:
        assert isinstance(loop, VirtualTimeLoop)
        assert loop.wall_time() == 5.0
        assert loop.run_until_complete(loop.run_in_executor(None, work)) == work()
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_the_policy_refuses_io_by_default() -> None:
    loop = virtual_time.VirtualTimePolicy().new_event_loop()
    with pytest.raises(RealIOError):
        loop.run_in_executor(None, work)
    loop.close()


def test_the_policy_is_one_class_under_a_name_of_its_own() -> None:
    assert virtual_time.VirtualTimePolicy is virtual_time.VirtualTimePolicy
    assert repr(virtual_time.VirtualTimePolicy) == f"<class '{virtual_time.__name__}.VirtualTimePolicy'>"


def test_other_missing_names_stay_missing() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'VirtualTimePolice'"):
        getattr(virtual_time, "VirtualTimePolice")  # noqa: B009


def test_all_that_is_named_public_is_there() -> None:
    assert all(hasattr(virtual_time, name) for name in virtual_time.__all__)


def subprocess_environment() -> Dict[str, str]:
    environment = dict(os.environ, PYTHONPATH=str(Path(atm_core.testing.__file__).parents[2]))
    environment.pop("PYTEST_ADDOPTS", None)
    return environment


def test_virtual_time_needs_no_pytest() -> None:
    code = "import sys, atm_core.testing.virtual_time; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=subprocess_environment())


def run_pytest(directory: Path, files: Dict[str, str]) -> str:
    """Run pytest on the files in a process of its own, with warnings as errors; return what it says."""
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pytest.ini", "-W", "error"]
    done = subprocess.run(
        command,
        cwd=str(directory),
        env=subprocess_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = done.stdout.decode()
    assert done.returncode in (0, 1), output
    return output


def test_the_fixture_gives_a_loop_and_cleans_it_up(tmp_path: Path) -> None:
    output = run_pytest(
        tmp_path,
        {
            "pytest.ini": "[pytest]\naddopts = -p no:asyncio\n",
            "conftest.py": 'pytest_plugins = ["atm_core.testing.pytest_plugin"]\n',
            "test_sample.py": """
import asyncio

seen = {}


def test_a_day(virtual_loop):
    seen["loop"] = virtual_loop
    assert asyncio.get_event_loop() is virtual_loop
    seen["left"] = virtual_loop.create_task(asyncio.sleep(1e6))
    virtual_loop.run_until_complete(asyncio.sleep(24 * 3600))
    assert virtual_loop.time() == 86400.0


def test_it_was_cleaned_up():
    assert seen["left"].cancelled()
    assert seen["loop"].is_closed()


def test_a_new_loop_for_every_test(virtual_loop):
    assert virtual_loop is not seen["loop"]
    assert virtual_loop.time() == 0.0


def test_one_may_close_it(virtual_loop):
    virtual_loop.close()
""",
        },
    )
    assert "4 passed" in output


def test_the_plugin_does_not_load_itself(tmp_path: Path) -> None:
    output = run_pytest(
        tmp_path,
        {
            "pytest.ini": "[pytest]\naddopts = -p no:asyncio\n",
            "test_sample.py": "def test_one(virtual_loop): pass\n",
        },
    )
    assert "fixture 'virtual_loop' not found" in output


CONFTESTS: List[Tuple[Tuple[int, int], str]] = [
    (
        (1, 4),
        """
import pytest
from atm_core.testing.virtual_time import VirtualTimeLoop

@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(config, item):
    return {"virtual": VirtualTimeLoop}
""",
    ),
    (
        (0, 23),
        """
import pytest
from atm_core.testing.virtual_time import VirtualTimePolicy

@pytest.fixture(scope="session")
def event_loop_policy():
    return VirtualTimePolicy()
""",
    ),
    (
        (0, 0),
        """
import pytest
from atm_core.testing.virtual_time import VirtualTimeLoop

@pytest.fixture
def event_loop():
    loop = VirtualTimeLoop()
    yield loop
    loop.close()
""",
    ),
]


def test_pytest_asyncio_runs_its_tests_in_virtual_time(tmp_path: Path) -> None:
    import pytest_asyncio

    major, minor = (int(part) for part in vars(pytest_asyncio)["__version__"].split(".")[:2])
    conftest = next(text for since, text in CONFTESTS if (major, minor) >= since)
    settings = ["[pytest]", "asyncio_mode = strict"]
    if (major, minor) >= (0, 24):
        settings.append("asyncio_default_fixture_loop_scope = function")
    output = run_pytest(
        tmp_path,
        {
            "pytest.ini": "\n".join(settings),
            "conftest.py": conftest,
            "test_sample.py": """
import asyncio

import pytest
import pytest_asyncio

from atm_core.testing.virtual_time import RealIOError


@pytest_asyncio.fixture
async def started():
    await asyncio.sleep(60)
    yield asyncio.get_event_loop().time()
    await asyncio.sleep(60)


@pytest.mark.asyncio
async def test_a_day(started):
    assert started == 60.0
    await asyncio.sleep(24 * 3600)
    assert asyncio.get_event_loop().time() == 86460.0


@pytest.mark.asyncio
async def test_no_io():
    with pytest.raises(RealIOError):
        await asyncio.open_connection("127.0.0.1", 9)


@pytest.mark.asyncio
async def test_a_deadlock():
    await asyncio.Event().wait()
""",
        },
    )
    assert "1 failed, 2 passed" in output, output
    assert "error" not in output.splitlines()[-1], output
    assert "DeadlockError: nothing is ready to run" in output


def test_the_documented_conftests_are_those_tested() -> None:
    plugin = Path(atm_core.testing.__file__).with_name("pytest_plugin.py").read_text(encoding="utf-8")
    for _, conftest in CONFTESTS:
        for line in filter(None, conftest.splitlines()):
            assert f"    {line}\n" in plugin


def test_the_docstring_tells_the_truth() -> None:
    assert virtual_time.__doc__ is not None
    example = virtual_time.__doc__.split("::\n", 1)[1].split("\n\nWhat is real")[0]
    code = "\n".join(line[4:] for line in example.splitlines())
    exec(compile(code, "docstring", "exec"), {})
