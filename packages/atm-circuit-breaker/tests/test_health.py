"""Health checks: they run only while it is open, heal it, and are harmless whatever they do."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any, List, Tuple

import pytest
from atm_circuit_breaker import CircuitBreakerStrategy, State

from atm_core import TaskManager
from atm_core.testing import DeadlockError, run

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class Check:
    """Answers what it is given, in turn; exceptions are raised, numbers are how long it takes first."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: List[Tuple[float, Any]] = []

    async def __call__(self, *key: Any) -> Any:
        self.asked.append((asyncio.get_running_loop().time(), *key))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        if type(answer) is float:
            await asyncio.sleep(answer)
            return True
        return answer


def watched(check: Any, **settings: Any) -> List[Tuple[float, str]]:
    """The changes of state of a breaker that is tripped at 1.0, until a while after its opening is over."""

    async def main() -> List[Tuple[float, str]]:
        loop = asyncio.get_running_loop()
        changes: List[Tuple[float, str]] = []
        breaker = CircuitBreakerStrategy(
            **{"open_seconds": 30, **settings},
            health_check=check,
            on_state_change=lambda key, before, after: changes.append((loop.time(), after.value)),
        )
        async with TaskManager(breaker):
            await asyncio.sleep(1)
            breaker.trip()
            await asyncio.sleep(100)
            changes.append((loop.time(), breaker.state().value))
        await asyncio.sleep(0)  # the manager ends a turn later
        assert len(asyncio.all_tasks()) == 1
        return changes

    return run(main())


@pytest.mark.parametrize("answer", [True, "closed", CLOSED])
def test_it_closes(answer: Any) -> None:
    """At the first good answer; it is asked every interval from the opening on, and not after."""
    check = Check(False, None, "open", answer)
    assert watched(check) == [(1.0, "open"), (21.0, "closed"), (101.0, "closed")]
    assert [at for at, *_ in check.asked] == [6.0, 11.0, 16.0, 21.0]


@pytest.mark.parametrize("answer", ["half_open", HALF_OPEN])
def test_it_half_opens(answer: Any) -> None:
    check = Check(answer)
    assert watched(check, health_check_interval_seconds=2) == [(1.0, "open"), (3.0, "half_open"), (101.0, "half_open")]
    assert len(check.asked) == 1


@pytest.mark.parametrize(
    "answer", [OSError("down"), asyncio.CancelledError(), 10.0, 10.0**9, "fine", 1], ids=repr
)
def test_what_goes_wrong_in_it_is_harmless(answer: Any, caplog: Any) -> None:
    """Errors, cancellation, a hang, an answer that is none: it stays open until its time is over, and it is logged."""
    check = Check(answer)
    with caplog.at_level(logging.WARNING):
        assert watched(check) == [(1.0, "open"), (101.0, "half_open")]
    assert check.asked
    assert len(caplog.records) == len(check.asked)


def test_a_function_that_is_not_async_is_harmless() -> None:
    assert watched(lambda: True) == [(1.0, "open"), (101.0, "half_open")]


def test_a_check_that_ignores_its_cancellation_is_harmless(caplog: Any) -> None:
    """Neither the next check nor the end of the manager waits for it."""

    async def stubborn() -> bool:
        for _ in range(3):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                pass
        return True

    async def main() -> float:
        breaker = CircuitBreakerStrategy(open_seconds=12, health_check=stubborn)
        async with TaskManager(breaker):
            breaker.trip()
            await asyncio.sleep(12)
            assert breaker.state() is HALF_OPEN
            began = asyncio.get_running_loop().time()
        return asyncio.get_running_loop().time() - began

    with caplog.at_level(logging.WARNING):
        assert run(main()) <= 1.0


def test_a_check_out_of_time_is_cancelled_and_what_it_raises_then_is_seen() -> None:
    ended: List[float] = []

    async def check() -> None:
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            ended.append(asyncio.get_running_loop().time())
            raise OSError("too late") from None

    async def main() -> List[Any]:
        complaints: List[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        breaker = CircuitBreakerStrategy(open_seconds=12, health_check=check)
        async with TaskManager(breaker):
            breaker.trip()
            await asyncio.sleep(20)
        gc.collect()
        return complaints

    assert run(main()) == []
    assert ended == [10.0]


def test_an_answer_after_the_opening_is_not_heard() -> None:
    """The check began while it was open; by its end probes decide."""
    assert watched(Check(4.0), open_seconds=7) == [(1.0, "open"), (101.0, "half_open")]


def test_one_that_opens_again_is_asked_once_an_interval() -> None:
    async def main() -> List[Any]:
        check = Check(False)
        breaker = CircuitBreakerStrategy(health_check=check)
        async with TaskManager(breaker):
            breaker.trip()
            await asyncio.sleep(1)
            breaker.reset()
            await asyncio.sleep(1)
            breaker.trip()
            await asyncio.sleep(10)
        return check.asked

    assert run(main()) == [(5.0,), (10.0,)]


def test_each_key_has_its_own() -> None:
    """One that hangs does not keep the others from being asked."""

    async def main() -> None:
        asked: List[Any] = []

        async def check(key: str) -> bool:
            asked.append(key)
            if key == "hangs":
                await asyncio.sleep(1e6)
            return key == "up"

        breaker = CircuitBreakerStrategy(key="service", health_check=check, health_check_interval_seconds=1)
        async with TaskManager(breaker):
            for key in ("hangs", "up", "down"):
                breaker.trip(key)
            await asyncio.sleep(3.5)
            assert [breaker.state(key) for key in ("hangs", "up", "down")] == [OPEN, CLOSED, OPEN]
        assert sorted(asked) == ["down"] * 3 + ["hangs"] * 2 + ["up"]

    run(main())


def test_waiting_tasks_go_when_it_heals() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def work() -> float:
            return loop.time()

        breaker = CircuitBreakerStrategy(when_open="wait", health_check=Check(True))
        async with TaskManager(breaker) as manager:
            breaker.trip()
            assert await manager.submit(work) == 5.0

    run(main())


def test_it_goes_on_after_a_stop() -> None:
    """It ends with the last manager, and begins again with the first, for what is open by then."""

    async def main() -> None:
        check = Check(False)
        breaker = CircuitBreakerStrategy(open_seconds=1000, max_open_seconds=1000, health_check=check)
        one, two = TaskManager(breaker), TaskManager(breaker)
        breaker.trip()
        await one.idle()
        await two.idle()
        await asyncio.sleep(5.5)
        assert breaker._health is not None and len(breaker._health._tasks) == 2  # one for all keys, one for this
        await one.aclose()
        await asyncio.sleep(5)
        await two.stop()
        assert [at for at, *_ in check.asked] == [5.0, 10.0]
        await asyncio.sleep(100)
        await two.idle()
        await asyncio.sleep(5.5)
        assert len(check.asked) == 3
        await two.aclose()
        await asyncio.sleep(0)  # the manager ends a turn later
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_a_stop_in_the_instant_of_an_opening_leaves_nothing_behind() -> None:
    """What is to watch the key has not begun yet; after the next start the key is watched again."""

    async def main() -> None:
        check = Check(False)
        breaker = CircuitBreakerStrategy(health_check=check)
        manager = TaskManager(breaker)
        await manager.idle()
        await asyncio.sleep(1)
        breaker.trip()
        assert breaker._health is not None
        while not breaker._health._watched:
            await asyncio.sleep(0)
        await manager.stop()
        await manager.idle()
        await asyncio.sleep(5.5)
        assert [at for at, *_ in check.asked] == [6.0]
        await manager.aclose()

    run(main())


def test_nothing_wakes_while_nothing_is_open() -> None:
    """With nothing to do the loop has no timer at all."""

    async def main() -> None:
        breaker = CircuitBreakerStrategy(health_check=Check(True))
        async with TaskManager(breaker):
            breaker.trip()
            await asyncio.sleep(20)
            assert breaker.state() is CLOSED
            await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError):
        run(main())


def test_a_dotted_name() -> None:
    assert CircuitBreakerStrategy(health_check="asyncio:sleep")._health is not None
