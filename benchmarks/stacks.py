"""Retry, breaker and limits around one call, by peers put together by hand, and by ours.

By hand the order is: each attempt passes the breaker, then takes a slot, then waits for the rate, then calls.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Awaitable, Callable, List, Tuple

from atm_circuit_breaker import CircuitBreakerStrategy
from atm_retry import RetryStrategy
from atm_sliding_window import SlidingWindowStrategy

from atm_core import ConcurrentLimitStrategy, TaskManager
from benchmarks.measure import Size, Table, Way, compare, peer, say
from benchmarks.overhead import later
from benchmarks.work import SEMAPHORE, noop, semaphore

__all__ = ["tables"]

LIMIT, MANY, ATTEMPTS = 100, 10**9, 3
WHOLE, RETRY, BREAKER = "atm, retry + breaker + limit + rate", "atm, retry", "atm, circuit_breaker"
GATHER, SUCCEED = "gather", "all succeed"
Call = Callable[[int], Awaitable[int]]
Wrap = Callable[[Call], Call]


class Flaky:
    """Every tenth call fails the first time."""

    def __init__(self) -> None:
        self.failed: set[int] = set()

    async def __call__(self, number: int) -> int:
        if number % 10 == 0 and number not in self.failed:
            self.failed.add(number)
            raise ConnectionError(number)
        return number


def _tenacity(call: Call) -> Call:
    tenacity = peer("tenacity")
    decorate = tenacity.retry(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_none(),
        retry=tenacity.retry_if_exception_type(ConnectionError),
        reraise=True,
    )

    async def plain(number: int) -> int:  # it looks for a coroutine function
        return await call(number)

    found: Call = decorate(plain)
    return found


def _stamina(call: Call) -> Call:
    stamina = peer("stamina")
    stamina.instrumentation.set_on_retry_hooks([])  # no log line a retry, as nobody else here writes one
    decorate = stamina.retry(on=ConnectionError, attempts=ATTEMPTS, wait_initial=0, wait_max=0, wait_jitter=0)

    async def plain(number: int) -> int:
        return await call(number)

    found: Call = decorate(plain)
    return found


def _purgatory(call: Call) -> Call:
    breakers = peer("purgatory").AsyncCircuitBreakerFactory(default_threshold=MANY)

    async def guarded(number: int) -> int:
        async with await breakers.get_breaker("service"):
            return await call(number)

    return guarded


def _aiobreaker(call: Call) -> Call:
    breaker = peer("aiobreaker").CircuitBreaker(fail_max=MANY, timeout_duration=timedelta(seconds=30))

    async def guarded(number: int) -> int:
        found: int = await breaker.call_async(call, number)
        return found

    return guarded


def _limited(call: Call) -> Call:
    slots, rate = asyncio.Semaphore(LIMIT), peer("aiolimiter").AsyncLimiter(MANY, 1.0)

    async def limited(number: int) -> int:
        async with slots, rate:
            return await call(number)

    return limited


def _hand(call: Callable[[], Call], *around: Wrap) -> Callable[[int], Any]:
    """All at once, the last wrapper outermost."""

    async def run(n: int) -> List[int]:
        wrapped = call()
        for wrap in around:
            wrapped = wrap(wrapped)
        return await asyncio.gather(*[wrapped(i) for i in range(n)])

    return later(lambda: run)


def _ours(call: Callable[[], Call], strategies: Callable[[], List[Any]]) -> Callable[[int], Any]:
    async def run(n: int) -> List[int]:
        work = call()
        async with TaskManager(strategies()) as manager:
            tasks = [manager.submit(work, i) for i in range(n)]
        return [task.result() for task in tasks]

    return run


def _retry() -> RetryStrategy:
    return RetryStrategy(ATTEMPTS, backoff=lambda attempt: 0.0, jitter="none", retry_on=(ConnectionError,))


def _whole() -> List[Any]:
    rate = SlidingWindowStrategy(MANY, 1.0, algorithm="gcra")
    return [_retry(), CircuitBreakerStrategy(), ConcurrentLimitStrategy(LIMIT), rate]


def _stacks(call: Callable[[], Call]) -> List[Way]:
    held = "a slot is held while the rate is awaited"
    return [
        Way(SEMAPHORE, semaphore(noop, LIMIT), note="one limit alone, on work that succeeds, to compare with"),
        Way("tenacity + purgatory + limits", _hand(call, _limited, _purgatory, _tenacity), note=held),
        Way("tenacity + aiobreaker + limits", _hand(call, _limited, _aiobreaker, _tenacity), note=held),
        Way("stamina + purgatory + limits", _hand(call, _limited, _purgatory, _stamina), note=held),
        Way("stamina + aiobreaker + limits", _hand(call, _limited, _aiobreaker, _stamina), note=held),
        Way(WHOLE, _ours(call, _whole), True),
    ]


def _retries(call: Callable[[], Call]) -> List[Way]:
    return [
        Way(GATHER, _hand(lambda: noop), note="no retry"),
        Way("tenacity", _hand(call, _tenacity)),
        Way("stamina", _hand(call, _stamina)),
        Way(RETRY, _ours(call, lambda: [_retry()]), True),
    ]


def _breakers(call: Callable[[], Call]) -> List[Way]:
    note = "a decorator, without a task or a queue; counts failures in a row, not their rate, and no slow calls"
    return [
        Way(GATHER, _hand(call), note="no breaker"),
        Way("purgatory", _hand(call, _purgatory), note=note),
        Way("aiobreaker", _hand(call, _aiobreaker), note=note),
        Way(BREAKER, _ours(call, lambda: [CircuitBreakerStrategy()]), True),
    ]


def tables(size: Size) -> List[Table]:
    """The stack, and its parts alone, around calls of which none fails, and of which each tenth fails once."""
    n, rounds = size.of(20_000, 100), size.repeat(3)
    whole = Table("stacks, all together", [], SEMAPHORE, WHOLE)
    retry = Table("stacks, a retry alone", [], GATHER, RETRY)
    breaker = Table("stacks, a breaker alone", [], GATHER, BREAKER)
    calls: List[Tuple[str, Callable[[], Call]]] = [(SUCCEED, lambda: noop), ("each tenth fails once", Flaky)]
    for label, call in calls:
        for table, ways in ((whole, _stacks(call)), (retry, _retries(call)), (breaker, _breakers(call))):
            if table is breaker and label != SUCCEED:
                continue  # without a retry it would fail
            say(f"{table.name}: {label}")
            table.put_all(table.column(label), ways, compare(ways, n, rounds))
    return [whole, retry, breaker]
