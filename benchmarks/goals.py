"""The goals that were set before the first line, and where each is found in what was measured."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, NamedTuple, Optional

from benchmarks import idle, memory, overhead, scale, startup
from benchmarks.work import SEMAPHORE

__all__ = ["GOALS", "Goal"]

Results = Dict[str, Any]


class Goal(NamedTuple):
    """At most, or at least, so much.

    Args:
        before, since: The number up to Python 3.11, and from 3.12 on.
        measured: None if it was not.
    """

    name: str
    before: float
    since: float
    measured: Callable[[Results], Optional[float]]
    sign: str = "≤"
    show: str = ".2f"

    def most(self, python: str) -> float:
        """The number for this Python."""
        return self.before if tuple(map(int, python.split(".")[:2])) < (3, 12) else self.since

    def met(self, python: str, found: float) -> bool:
        """As far as the digits shown go."""
        found = float(format(found, self.show))
        return found <= self.most(python) if self.sign == "≤" else found >= self.most(python)


def _number(kept: Results, table: str, row: str, column: str) -> float:
    for tables in kept["groups"].values():
        for one in tables:
            if one["name"] == table:
                value = one["rows"].get(row, {"cells": {}})["cells"].get(column)
                return float(value) if isinstance(value, (int, float)) else math.nan
    return math.nan


def _known(value: float) -> Optional[float]:
    return None if math.isnan(value) else value


def ratio(table: str, row: str, column: str, base: str, base_column: str = "") -> Callable[[Results], Optional[float]]:
    """One number by another of the same run."""

    def measured(kept: Results) -> Optional[float]:
        return _known(_number(kept, table, row, column) / _number(kept, table, base, base_column or column))

    return measured


def number(table: str, row: str, column: str) -> Callable[[Results], Optional[float]]:
    """A number as it is."""
    return lambda kept: _known(_number(kept, table, row, column))


def _beyond_coroutine(kept: Results) -> Optional[float]:
    sizes = [_number(kept, "memory", row, "bytes a pending task") for row in (memory.BEYOND, memory.COROUTINE)]
    return _known(sizes[0] - sizes[1])


NOOP, STEP, N = "overhead, no-op", "overhead, one sleep(0)", "100k, limit 100"
BARE = "create_task + gather"
RATE = "rate, 1000 in 1 s"

GOALS = (
    Goal("one strategy, to `Semaphore` + `gather`", 0.60, 0.45, ratio(NOOP, overhead.ONE, N, SEMAPHORE)),
    Goal("one strategy, to a bare `create_task` each", 0.80, 0.65, ratio(NOOP, overhead.ONE, N, BARE)),
    Goal("three strategies, to `Semaphore` + `gather`", 0.70, 0.50, ratio(NOOP, overhead.THREE, N, SEMAPHORE)),
    Goal("six strategies, to `Semaphore` + `gather`", 0.95, 0.80, ratio(NOOP, overhead.SIX, N, SEMAPHORE)),
    Goal("one `sleep(0)` in the work, one strategy", 0.40, 0.40, ratio(STEP, overhead.ONE, N, SEMAPHORE)),
    Goal(
        "time a task, 1,000,000 to 10,000, by `submit(fn, arg)`",
        1.15,
        1.15,
        ratio("scale, tasks", scale.FUNCTIONS, "µs, 1,000,000 tasks", scale.FUNCTIONS, "µs, 10,000 tasks"),
    ),
    Goal(
        "... by `add_task(coroutine)`",
        1.15,
        1.15,
        ratio("scale, tasks", scale.GROWING, "µs, 1,000,000 tasks", scale.GROWING, "µs, 10,000 tasks"),
    ),
    Goal(
        "... by `map(fn, items)`, in bounded memory",
        1.15,
        1.15,
        ratio("scale, tasks", scale.MAPPED, "µs, 1,000,000 tasks", scale.MAPPED, "µs, 10,000 tasks"),
    ),
    Goal(
        "time a task, 10,000 keys to one",
        2.0,
        2.0,
        ratio("scale, keys", "atm, 50,000 tasks", "µs, 10,000 keys", "atm, 50,000 tasks", "µs, 1 keys"),
    ),
    Goal("bytes of a pending task beyond its coroutine", 260, 260, _beyond_coroutine, show=".0f"),
    Goal(
        "bytes of a pending task by `submit(fn, arg)`, to a coroutine's",
        1.0,
        1.0,
        ratio("memory", memory.FUNCTION, "bytes a pending task", memory.COROUTINE),
    ),
    Goal(
        "`FixedWindowStrategy(1000, 1.0)`: share of the ideal rate",
        0.99,
        0.99,
        number(RATE, "atm, fixed_window", "achieved / allowed"),
        "≥",
        ".3f",
    ),
    Goal(
        "`SlidingWindowStrategy(1000, 1.0)`: share of the ideal rate",
        0.99,
        0.99,
        number(RATE, "atm, sliding_window log", "achieved / allowed"),
        "≥",
        ".3f",
    ),
    Goal(
        "... most in any window, to 1000",
        1.0,
        1.0,
        number(RATE, "atm, sliding_window log", "most in a window / allowed"),
        show=".3f",
    ),
    Goal("wake-ups of an idle loop in 5 s", 2, 2, number("idle", idle.OURS, "wake-ups in 5 s"), show=".0f"),
    Goal(
        "`import atm_core`, to `import asyncio, pluggy`",
        1.3,
        1.3,
        ratio("startup, import", startup.OURS, "CPU ms, median", startup.BASE),
    ),
)
