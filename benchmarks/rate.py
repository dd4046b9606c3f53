"""Rates: how near to what is allowed, how often above it, how evenly, at what cost.

All tasks are at hand at once, and each notes when its work begins. The first two windows are left out of the rate and
the jitter, since there a burst may come that is not the steady state.
"""

from __future__ import annotations

import asyncio
import functools
import time
from datetime import timedelta
from typing import Any, Awaitable, Callable, Dict, List, NamedTuple, Optional

from atm_sliding_window import SlidingWindowStrategy

from atm_core import FixedWindowStrategy, TaskManager
from benchmarks.measure import HIGHER, NotPossible, Size, Table, Way, compare, peer, say, why_not
from benchmarks.work import noop

__all__ = ["limiters", "tables"]

NEVER_FULL = 10**9
#: A start is noted this much later than it was let through, at most; so much is each window counted short.
NOTED_LATER = 1e-4


class Limiter(NamedTuple):
    """How to wait for one start, and what to do at the end."""

    acquire: Callable[[], Awaitable[Any]]
    close: Callable[[], Any] = lambda: None


def _aiolimiter(most: int, window: float) -> Limiter:
    return Limiter(peer("aiolimiter").AsyncLimiter(most, window).acquire)


def _throttle(most: int, window: float) -> Limiter:
    return Limiter(peer("asyncio_throttle").Throttler(rate_limit=most, period=window).acquire)


def _asynciolimiter(kind: str, most: int, window: float) -> Limiter:
    options = {"capacity": most} if kind == "LeakyBucketLimiter" else {}
    limiter = getattr(peer("asynciolimiter"), kind)(most / window, **options)
    return Limiter(limiter.wait, limiter.close)


def _pyrate(most: int, window: float) -> Limiter:
    pyrate = peer("pyrate_limiter")
    limiter = pyrate.Limiter(pyrate.Rate(most, int(window * 1000)))
    return Limiter(lambda: limiter.try_acquire_async("all"), limiter.close)


def _throttled(kind: str, most: int, window: float) -> Limiter:
    throttled = peer("throttled.asyncio")
    if window < 1:
        raise NotPossible("its periods are whole seconds")
    quota = peer("throttled.rate_limiter").per_duration(timedelta(seconds=window), limit=most, burst=most)
    throttle = throttled.Throttled(
        key="all", using=kind, quota=quota, store=throttled.store.MemoryStore(), timeout=3600.0
    )
    return Limiter(throttle.limit)


def _limits(kind: str, most: int, window: float) -> Limiter:
    limits = peer("limits")
    if window < 1:
        raise NotPossible("its windows are whole seconds")
    aio = peer("limits.aio")
    item = limits.RateLimitItemPerSecond(most, int(window))
    limiter = getattr(aio.strategies, kind)(peer("limits.aio.storage").MemoryStorage())

    async def acquire() -> None:
        while not await limiter.hit(item, "all"):
            opens_at = (await limiter.get_window_stats(item, "all")).reset_time
            await asyncio.sleep(max(0.001, opens_at - time.time()))

    return Limiter(acquire)


Make = Callable[[int, float], Limiter]
PEERS: Dict[str, Any] = {
    "aiolimiter": (_aiolimiter, "its bucket refills while it empties, so up to twice the number starts in a window"),
    "asyncio-throttle": (_throttle, "each waiting task polls every 10 ms"),
    "asynciolimiter Limiter": (
        functools.partial(_asynciolimiter, "Limiter"),
        "evenly spaced, no burst beyond 5 to catch up",
    ),
    "asynciolimiter StrictLimiter": (
        functools.partial(_asynciolimiter, "StrictLimiter"),
        "evenly spaced, never catches up",
    ),
    "asynciolimiter LeakyBucketLimiter": (
        functools.partial(_asynciolimiter, "LeakyBucketLimiter"),
        "as aiolimiter",
    ),
    "pyrate-limiter": (_pyrate, "waits 50 ms longer than it must, with its lock held, and runs a thread"),
    "throttled-py token bucket": (functools.partial(_throttled, "token_bucket"), "each waiting task polls"),
    "throttled-py gcra": (functools.partial(_throttled, "gcra"), "each waiting task polls"),
    "limits fixed": (functools.partial(_limits, "FixedWindowRateLimiter"), "cannot wait: a loop around it does"),
    "limits moving": (functools.partial(_limits, "MovingWindowRateLimiter"), "cannot wait: a loop around it does"),
}

OURS: Dict[str, Callable[[int, float], Any]] = {
    "atm, sliding_window log": SlidingWindowStrategy,
    "atm, sliding_window gcra": functools.partial(SlidingWindowStrategy, algorithm="gcra"),
    "atm, sliding_window gcra, burst 8": functools.partial(SlidingWindowStrategy, algorithm="gcra", burst=8),
    "atm, sliding_window counter": functools.partial(SlidingWindowStrategy, algorithm="counter"),
    "atm, fixed_window": FixedWindowStrategy,
}
NOTES = {
    "atm, sliding_window log": "never above, in any window",
    "atm, sliding_window gcra": "up to twice the number in a window, by definition",
    "atm, sliding_window gcra, burst 8": "evenly spaced, 7 above at most",
    "atm, sliding_window counter": "approximate, two numbers a key",
    "atm, fixed_window": "up to twice the number across an edge, less one, by definition",
}
AIOMETER = "evenly spaced; one start a loop turn, never catches up"


async def _by_peer(make: Make, most: int, window: float, n: int, mark: Callable[[], None]) -> None:
    limiter = make(most, window)

    async def one() -> None:
        await limiter.acquire()
        mark()

    try:
        await asyncio.gather(*[one() for _ in range(n)])
    finally:
        limiter.close()


async def _by_aiometer(most: int, window: float, n: int, mark: Callable[[], None]) -> None:
    async def one(_: int) -> None:
        mark()

    await peer("aiometer").run_on_each(one, range(n), max_per_second=most / window)


async def _by_us(make: Callable[[int, float], Any], most: int, window: float, n: int, mark: Callable[[], None]) -> None:
    async def one() -> None:
        mark()

    async with TaskManager(make(most, window)) as manager:
        for _ in range(n):
            manager.submit(one)


def limiters() -> Dict[str, Any]:
    """Name, how to run it, whether it is ours, and a note."""
    found: Dict[str, Any] = {}
    for name, (make, note) in PEERS.items():
        found[name] = (functools.partial(_by_peer, make), False, note)
    found["aiometer"] = (_by_aiometer, False, AIOMETER)
    for name, ours in OURS.items():
        found[name] = (functools.partial(_by_us, ours), True, NOTES[name])
    return found


def judged(starts: List[float], most: int, window: float) -> Dict[str, float]:
    """What a list of starts says about the limit."""
    starts = sorted(starts)
    worst = first = 0
    for last, at in enumerate(starts):
        while starts[first] + window - NOTED_LATER <= at:
            first += 1
        worst = max(worst, last - first + 1)
    skip = 2 * most - 1
    achieved = (len(starts) - 1 - skip) / (starts[-1] - starts[skip]) * window / most
    # A start may come one window after the start that is so many before it: how far from that?
    off = sorted(abs(starts[i] - starts[i - most] - window) for i in range(skip + 1, len(starts)))
    return {
        "achieved": achieved,
        "worst": worst / most,
        "p50": off[len(off) // 2] * 1e3,
        "p99": off[int(len(off) * 0.99)] * 1e3,
    }


async def _watched(run: Any, most: int, window: float, windows: int) -> Dict[str, float]:
    starts: List[float] = []
    clock = time.monotonic
    began, used = time.perf_counter(), time.process_time()
    await asyncio.wait_for(run(most, window, most * windows, lambda: starts.append(clock())), 12 * window * windows + 5)
    share = (time.process_time() - used) / (time.perf_counter() - began)
    return {**judged(starts, most, window), "cpu": share}


SHOWN = (
    ("achieved", "achieved / allowed", HIGHER, ".3f"),
    ("worst", "most in a window / allowed", "lower", ".2f"),
    ("p50", "jitter p50, ms", "lower", ".2f"),
    ("p99", "jitter p99, ms", "lower", ".1f"),
    ("cpu", "share of a core", "lower", ".3f"),
)


def _at(size: Size, most: int, window: float, windows: int) -> Table:
    table = Table(f"rate, {most} in {window:g} s", [], None, "atm, sliding_window log")
    for _, column, better, show in SHOWN:
        table.column(column, better, show)
    for name, (run, ours, note) in limiters().items():
        say(f"rate: {most} in {window:g} s: {name}")
        try:
            found: Dict[str, Any] = asyncio.run(_watched(run, most, window, windows))
        except Exception as error:
            found = {}
            for _, column, *_rest in SHOWN:
                table.put(name, column, why_not(error), ours, note)
            continue
        for key, column, *_rest in SHOWN:
            table.put(name, column, found[key], ours, note)
    return table


def _acquired(make: Make) -> Callable[[int], Any]:
    async def run(n: int) -> List[int]:
        limiter = make(NEVER_FULL, 1.0)
        for _ in range(n):
            await limiter.acquire()
        limiter.close()
        return list(range(n))

    return run


def _metered(per_second: Optional[int]) -> Callable[[int], Any]:
    async def run(n: int) -> List[int]:
        await peer("aiometer").run_on_each(noop, range(n), max_per_second=per_second)
        return list(range(n))

    return run


def _managed(strategies: Callable[[], List[Any]]) -> Callable[[int], Any]:
    async def run(n: int) -> List[int]:
        async with TaskManager(strategies()) as manager:
            tasks = [manager.submit(noop, i) for i in range(n)]
        return [task.result() for task in tasks]

    return run


def _never_waits(size: Size) -> Table:
    """The cost of a limit that is never reached; of aiometer's and ours, beyond the same without a limit."""
    table = Table("rate, an acquire that never waits", [], None, "atm, sliding_window gcra")
    column = table.column("µs", "lower", ".2f")
    nothing, unmetered = "atm, no strategy", "aiometer, no rate"
    ways = [Way(name, _acquired(make), note=note) for name, (make, note) in PEERS.items()]
    ways += [Way("aiometer", _metered(NEVER_FULL), note=AIOMETER), Way(unmetered, _metered(None))]
    ways += [Way(nothing, _managed(list), True)]
    for name, ours in OURS.items():
        ways.append(Way(name, _managed(lambda ours=ours: [ours(NEVER_FULL, 1.0)]), True, NOTES[name]))  # type: ignore[misc]
    say("rate: an acquire that never waits")
    found = compare(ways, size.of(20_000, 100), size.repeat(5))
    for way in ways:
        value, without = found[way.name], found[nothing if way.ours else unmetered]
        if (way.ours or way.name == "aiometer") and not isinstance(value, str):
            value = value - without if not isinstance(without, str) else without
        if way.name not in (nothing, unmetered):
            table.put(way.name, column, value, way.ours, way.note)
    return table


def tables(size: Size) -> List[Table]:
    """Two rates on a real clock, and the cost of one that is not reached."""
    if size.quick:
        return [_at(size, 20, 0.1, 4), _never_waits(size)]
    return [_at(size, 1000, 1.0, 4), _at(size, 50, 0.1, 40), _never_waits(size)]
