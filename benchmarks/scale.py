"""Time a task as the number of tasks, of keys and of strategies grows, with the slope."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Sequence

from atm_core import ConcurrentLimitStrategy, TaskManager
from benchmarks.measure import Size, Table, Way, compare, no_collector, say
from benchmarks.overhead import mapped, ours, stack, submitted
from benchmarks.work import BY_HAND, SEMAPHORE, by_hand, noop, semaphore

__all__ = ["FUNCTIONS", "GROWING", "KEYS", "MAPPED", "STRATEGIES", "tables"]

TASKS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
KEYS = (1, 10, 100, 1_000, 10_000)
STRATEGIES = (1, 3, 6, 10)
GROWING, FUNCTIONS = "atm, one strategy", "atm, one strategy, submit(fn, arg)"
MAPPED = "atm, one strategy, map"


def _keyed(keys: int) -> Any:
    metadata = [{"key": i} for i in range(keys)]

    async def run(n: int) -> List[int]:
        async with TaskManager(ConcurrentLimitStrategy(100, key="key")) as manager:
            tasks = [manager.add_task(noop(i), metadata[i % keys]) for i in range(n)]
        return [task.result() for task in tasks]

    return run


def slope(points: Dict[float, Any], logarithmic: bool = True) -> Any:
    """Of the least-squares line; of the logarithms it is the exponent: 0 is constant, 1 grows in proportion."""
    if any(isinstance(value, str) for value in points.values()):
        return "incomplete"
    scale = math.log if logarithmic else float
    xs, ys = [scale(x) for x in points], [scale(y) for y in points.values()]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys)) / spread


def _tasks(size: Size, name: str, counts: Sequence[int]) -> Table:
    table = Table(name, [], None, GROWING)
    ways = [
        Way(SEMAPHORE, semaphore(noop, 100), note="one limit, nothing else"),
        Way(BY_HAND, by_hand, note="no task, no limit: what the interpreter takes to keep so many coroutines"),
        Way(GROWING, ours(noop, lambda: stack(1, 100)), True),
        Way(FUNCTIONS, submitted(noop, 100), True),
        Way(MAPPED, mapped(noop, 100), True, note="a thousand at a time, whatever their number"),
    ]
    points: Dict[str, Dict[float, Any]] = {way.name: {} for way in ways}
    for n in counts:
        say(f"{name}: {n}")
        tasks = size.of(n, n // 500)
        found = compare(ways, tasks, size.repeat(3 if n < 300_000 else 2))
        table.put_all(table.column(f"µs, {n:,} tasks"), ways, found)
        for way, value in found.items():
            points[way][tasks] = value
    column = table.column("exponent", show=".3f")
    for one in ways:
        table.put(one.name, column, slope(points[one.name]), one.ours)
    return table


def _keys(size: Size) -> Table:
    table = Table("scale, keys", [], None, None)
    ways = [Way(str(keys), _keyed(keys), True) for keys in KEYS]
    say("scale: keys")
    found = compare(ways, size.of(50_000, 200), size.repeat(3))
    for keys in KEYS:
        table.put("atm, 50,000 tasks", table.column(f"µs, {keys:,} keys"), found[str(keys)], True)
    table.put("atm, 50,000 tasks", table.column("exponent", show=".3f"), slope({k: found[str(k)] for k in KEYS}), True)
    return table


def _strategies(size: Size) -> Table:
    table = Table("scale, strategies", [], None, None)
    ways = [Way(str(n), ours(noop, lambda n=n: stack(n, 100)), True) for n in STRATEGIES]  # type: ignore[misc]
    say("scale: strategies")
    found = compare(ways, size.of(50_000, 200), size.repeat(3))
    for n in STRATEGIES:
        table.put("atm, 50,000 tasks", table.column(f"µs, {n} strategies"), found[str(n)], True)
    each = slope({n: found[str(n)] for n in STRATEGIES}, logarithmic=False)
    table.put("atm, 50,000 tasks", table.column("µs a strategy more"), each, True)
    return table


def tables(size: Size) -> List[Table]:
    """Three ways to grow; the first also without what the garbage collector takes."""
    tasks = _tasks(size, "scale, tasks", TASKS)
    with no_collector():
        uncollected = _tasks(size, "scale, tasks, collector off", (TASKS[0], TASKS[-1]))
    return [tasks, uncollected, _keys(size), _strategies(size)]
