"""How things are measured: side by side in one process, in interleaved rounds, the best of each.

CPU time of this process, the garbage collector included, since what keeps fewer objects alive costs it less. The loop
is made before the clock starts. Only ratios from one run mean anything on a machine that others use.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

__all__ = [
    "HIGHER",
    "LOWER",
    "NotPossible",
    "Size",
    "Table",
    "Way",
    "clock_run",
    "compare",
    "gain",
    "machine",
    "no_collector",
    "peer",
    "say",
    "why_not",
]

LOWER, HIGHER = "lower", "higher"
_TOO_LONG = 300.0  # seconds


class NotPossible(Exception):
    """A peer cannot do this; says why."""


@dataclass(frozen=True)
class Size:
    """How much is run: all of it, or next to nothing, to see that the programs work."""

    quick: bool = False
    rounds: Optional[int] = None

    def of(self, full: int, quick: int) -> int:
        """A number of tasks."""
        return quick if self.quick else full

    def seconds(self, full: float, quick: float) -> float:
        """A time to wait."""
        return quick if self.quick else full

    def repeat(self, full: int) -> int:
        """A number of rounds."""
        return 1 if self.quick else self.rounds or full


@dataclass(frozen=True)
class Way:
    """One way to do the work.

    Args:
        run: Given a number of tasks, does them and returns their results.
        note: What it leaves out, or does otherwise.
        at_most: Never more tasks than this, since it is slow; times are a task.
        ordered: Its results come in the order of the tasks.
    """

    name: str
    run: Callable[[int], Awaitable[Sequence[Any]]]
    ours: bool = False
    note: str = ""
    at_most: Optional[int] = None
    ordered: bool = True


@dataclass
class Table:
    """Rows of numbers, as JSON keeps them.

    Args:
        columns: For each its name, whether lower or higher is better (None: neither), how to print it, and the
            difference from which on it counts.
        ratio_to: The row to whose numbers all are shown as ratios; None: they are shown as they are.
        first: The row of ours that is to be the first.
    """

    name: str
    columns: List[Dict[str, Any]]
    ratio_to: Optional[str] = None
    first: Optional[str] = None
    rows: Dict[str, Dict[str, Any]] = field(default_factory=dict)

    def column(self, name: str, better: Optional[str] = LOWER, show: str = ".2f", slack: float = 0.0) -> str:
        """One more column; returns its name."""
        if all(one["name"] != name for one in self.columns):
            self.columns.append({"name": name, "better": better, "show": show, "slack": slack})
        return name

    def put(self, row: str, column: str, value: Any, ours: bool = False, note: str = "") -> None:
        """A number, or in words why there is none."""
        entry = self.rows.setdefault(row, {"ours": ours, "note": note, "cells": {}})
        entry["cells"][column] = value

    def put_all(self, column: str, ways: Sequence[Way], found: Dict[str, Any]) -> None:
        """A column of what :func:`compare` found."""
        for way in ways:
            self.put(way.name, column, found[way.name], way.ours, way.note)


def peer(module: str) -> Any:
    """A peer's module; peers are untyped here, and may be missing."""
    return importlib.import_module(module)


def say(text: str) -> None:
    """What is going on, beside the results."""
    print(text, file=sys.stderr, flush=True)


def why_not(error: BaseException) -> str:
    """Why a row has no number."""
    if isinstance(error, ModuleNotFoundError):
        return f"not installed: {error.name}"
    if isinstance(error, asyncio.TimeoutError):
        return f"not done after {_TOO_LONG:g} s"
    if isinstance(error, NotPossible):
        return str(error)
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:120]


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Without the garbage collector."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def clock_run(run: Callable[[], Awaitable[Any]], loop_factory: Any = None) -> Tuple[float, Any]:
    """CPU seconds of one run in a new loop, and what it returned."""

    async def timed() -> Tuple[float, Any]:
        gc.collect()
        began = time.process_time()
        value = await run()
        return time.process_time() - began, value

    async def bounded() -> Tuple[float, Any]:
        return await asyncio.wait_for(timed(), _TOO_LONG)

    if sys.version_info >= (3, 11):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(bounded())
    return asyncio.run(bounded())


def _checked(way: Way, n: int, results: Sequence[Any]) -> None:
    """Nobody gains by doing less."""
    found = list(results) if way.ordered else sorted(results)
    if found != list(range(n)):
        raise ValueError(f"{len(found)} results for {n} tasks, or wrong ones")


def compare(ways: Sequence[Way], n: int, rounds: int, loop_factory: Any = None) -> Dict[str, Any]:
    """CPU microseconds a task of each way, the best of the rounds; in words why not, where there are none."""
    best: Dict[str, Any] = {}
    for _ in range(rounds):
        for way in ways:
            if isinstance(best.get(way.name), str):
                continue
            tasks = min(n, way.at_most or n)
            try:
                seconds, results = clock_run(lambda way=way, tasks=tasks: way.run(tasks), loop_factory)  # type: ignore[misc]
                _checked(way, tasks, results)
            except Exception as error:
                best[way.name] = why_not(error)
                say(f"  {way.name}: {best[way.name]}")
                continue
            best[way.name] = min(best.get(way.name, float("inf")), seconds / tasks * 1e6)
    return best


def gain(value: Any, base: Any) -> Optional[float]:
    """``value`` as a ratio to ``base``, if both are numbers."""
    if isinstance(value, (int, float)) and isinstance(base, (int, float)) and base:
        return value / base
    return None


def machine() -> Dict[str, Any]:
    """Where this was measured."""
    return {"python": sys.version.split()[0], "cores": os.cpu_count() or 0, "system": sys.platform}
