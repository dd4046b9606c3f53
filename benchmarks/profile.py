"""Where the time of one no-op task under one ``ConcurrentLimitStrategy`` goes.

Two views. A ladder: programs that each do one thing more than the one before, up to the manager itself; the difference
between two rungs is the price of that thing. And samples: a timer of CPU time looks every millisecond which line runs.
That slows nothing down, as a tracing profiler would. Python looks at signals only at calls, so what an assignment
costs counts for the next call, and the making of an ``asyncio.Task`` for ``get_debug``, which that calls.
"""

from __future__ import annotations

import asyncio
import linecache
import os
import signal
from collections import Counter, deque
from contextvars import copy_context
from typing import Any, Callable, Deque, Dict, Generator, List, Tuple

from atm_core import ConcurrentLimitStrategy, TaskManager
from atm_core.compat import task_maker
from benchmarks.measure import Size, Table, Way, clock_run, compare, no_collector, say
from benchmarks.overhead import ours
from benchmarks.work import BY_HAND, by_hand, noop

__all__ = ["tables"]

LIMIT = 100
TOP = 8


class Handle:
    """As many slots as a task of ours."""

    __slots__ = ("added_at", "args", "attempts", "context", "metadata", "origin", "place", "state", "value", "work")

    def __init__(self, work: Any, context: Any = None) -> None:
        self.work = work
        self.context = context
        self.args = self.metadata = self.origin = self.place = self.value = None
        self.state, self.attempts, self.added_at = "pending", 0, 0.0


async def with_handles(n: int) -> List[Any]:
    """The same from a queue of handles, which keep the results."""
    handles = [Handle(noop(i)) for i in range(n)]
    queue = deque(handles)
    while queue:
        handle = queue.popleft()
        try:
            handle.work.send(None)
        except StopIteration as stop:
            handle.value = stop.value
            handle.work = None
    return [handle.value for handle in handles]


class Floor:
    """The least for: own asyncio task, so many at once, first in first out, a handle; and more, rung by rung."""

    def __init__(self, n: int, context: bool) -> None:
        self.make, self.primes, _ = task_maker(asyncio.get_running_loop(), "floor")
        self.context = context
        self.running: Dict[Handle, Any] = {}
        self.left, self.busy = n, False
        self.end = asyncio.get_running_loop().create_future()
        self.handles = [self.add(noop(i)) for i in range(n)]
        self.queue: Deque[Handle] = deque(self.handles)

    def add(self, work: Any) -> Handle:
        return Handle(work, copy_context() if self.context else None)

    def start(self) -> None:
        """Start what fits; with eager starts the end of each comes back here, and the loop goes on."""
        if self.busy:
            return
        self.busy = True
        while self.queue and len(self.running) < LIMIT:
            handle = self.queue.popleft()
            coroutine = self.attempt(handle)
            if self.primes:
                coroutine.send(None)
            made = handle.context.run(self.make, coroutine) if self.context else self.make(coroutine)
            if not made.done():
                self.running[handle] = made
        self.busy = False

    async def attempt(self, handle: Handle) -> None:
        try:
            if self.primes:
                await _BareYield()
            handle.value = await handle.work
        finally:
            handle.work = handle.context = None
            self.running.pop(handle, None)
            self.left -= 1
            if not self.left:
                self.end.set_result(None)
            self.start()


class _BareYield:
    def __await__(self) -> Generator[None, None, None]:
        yield


def floor(context: bool = False) -> Callable[[int], Any]:
    async def run(n: int) -> List[Any]:
        it = Floor(n, context)
        it.start()
        await it.end
        return [handle.value for handle in it.handles]

    return run


ONE = "one ConcurrentLimitStrategy"
LADDER = [
    Way(BY_HAND, by_hand),
    Way("+ a handle, a queue", with_handles),
    Way("+ an asyncio task each, 100 at once", floor()),
    Way("+ a copy of the context", floor(context=True)),
    Way("manager without a strategy", ours(noop, list), True),
    Way(ONE, ours(noop, lambda: [ConcurrentLimitStrategy(LIMIT)]), True),
]


async def keyed(n: int) -> List[Any]:
    """The dearest of the simple stacks: a lane for each key."""
    metadata = [{"key": i} for i in range(100)]
    async with TaskManager(ConcurrentLimitStrategy(LIMIT, key="key")) as manager:
        tasks = [manager.add_task(noop(i), metadata[i % 100]) for i in range(n)]
    return [task.result() for task in tasks]


def _sampled(run: Callable[[int], Any], n: int, rounds: int) -> Tuple["Counter[str]", "Counter[str]"]:
    """How often each function, and each line, was seen to run."""
    seen: Counter[Tuple[Any, Any]] = Counter()

    def look(_: int, frame: Any) -> None:
        seen[frame.f_code, frame.f_lineno] += 1

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        for _ in range(rounds):
            clock_run(lambda: run(n))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    functions: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for (code, line), times in seen.items():
        name = f"{os.path.basename(code.co_filename)} {getattr(code, 'co_qualname', code.co_name)}"
        functions[name] += times
        lines[f"{name}: `{linecache.getline(code.co_filename, line or code.co_firstlineno).strip()}`"] += times
    return functions, lines


def tables(size: Size) -> List[Table]:
    """The ladder; the samples by function and by line."""
    ladder = Table("profile, ladder", [], None, None)
    n, rounds = size.of(100_000, 200), size.repeat(3)
    say("profile: ladder")
    ladder.put_all(ladder.column("µs"), LADDER, compare(LADDER, n, rounds))
    with no_collector():
        ladder.put_all(ladder.column("µs, collector off"), LADDER, compare(LADDER, n, rounds))
    found = [ladder]
    for label, run in (("one limit", LADDER[-1].run), ("one limit with 100 keys", keyed)):
        say(f"profile: samples, {label}")
        for name, counts in zip(("functions", "lines"), _sampled(run, n, size.repeat(6))):
            table = Table(f"profile, {label}, {name}", [], None, None)
            column = table.column("% of the samples", "lower", ".1f")
            for what, seen in counts.most_common(TOP):
                table.put(what, column, seen / sum(counts.values()) * 100, True)
            found.append(table)
    return found


def main() -> None:
    """``python -m benchmarks.profile``."""
    from benchmarks.report import table_text

    for table in tables(Size()):
        print(f"\n{table.name}\n{table_text([], vars(table))}")


if __name__ == "__main__":
    main()
