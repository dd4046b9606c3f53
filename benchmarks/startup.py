"""Import, discovery and the making of a manager."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List

from atm_core import ConcurrentLimitStrategy, TaskManager, discovery
from benchmarks.measure import Size, Table, say

__all__ = ["BASE", "OURS", "tables"]

BASE, OURS = "import asyncio, pluggy", "import atm_core"
MEASURED = "import sys, time; began = time.process_time(); {}; sys.stdout.write(str(time.process_time() - began))"


def _imported(statement: str) -> float:
    # What is compiled is kept, as on any machine: a module that was compiled anew each time would measure the compiler.
    keeps = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = [sys.executable, "-c", MEASURED.format(statement)]
    run = subprocess.run(program, capture_output=True, text=True, check=True, env=keeps)
    return float(run.stdout) * 1e3


def _median(values: List[float]) -> float:
    return sorted(values)[len(values) // 2]


def _best(run: Callable[[], Any], rounds: int, times: int) -> float:
    """Microseconds of one, the best of the rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            run()
        best = min(best, (time.process_time() - began) / times)
    return best * 1e6


def _discover() -> None:
    discovery._scan.cache_clear()
    discovery.installed_strategies()


def tables(size: Size) -> List[Table]:
    """The time to import, each in new interpreters, in turn; and what comes after it."""
    table = Table("startup, import", [], None, None)
    column = table.column("CPU ms, median", "lower", ".1f")
    statements = {BASE: BASE, OURS: OURS, "import atm_core, all packages": "; ".join([OURS, *_packages()])}
    times: Dict[str, List[float]] = {name: [] for name in statements}
    for statement in statements.values():
        _imported(statement)
    for _ in range(size.repeat(21)):
        for name, statement in statements.items():
            times[name].append(_imported(statement))
    say("startup")
    for name, found in times.items():
        table.put(name, column, _median(found), name != BASE)
    made = Table("startup, then", [], None, None)
    column = made.column("CPU µs", "lower", ".0f")
    rounds = size.repeat(5)
    made.put("find all strategies, first time", column, _best(_discover, rounds, size.of(20, 1)), True)
    made.put("find all strategies, again", column, _best(discovery.installed_strategies, rounds, size.of(200, 5)), True)
    manager = _best(lambda: TaskManager(ConcurrentLimitStrategy(100)), rounds, size.of(200, 5))
    made.put("make a manager with one strategy", column, manager, True)
    config = {"strategies": [{"name": "concurrent_limit", "max_concurrent": 5}, {"name": "retry"}]}
    named = _best(lambda: TaskManager.from_config(config), rounds, size.of(50, 2))
    made.put("make a manager from a config of two", column, named, True)
    return [table, made]


def _packages() -> List[str]:
    names = ("adaptive", "bulk", "circuit_breaker", "priority_queue", "retry", "sliding_window", "time_based")
    return [f"import atm_{name}" for name in (*names, "weighted_round_robin")]
