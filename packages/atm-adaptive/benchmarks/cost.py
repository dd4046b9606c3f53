"""What the strategy costs a task, and a key: ``python benchmarks/cost.py``.

The hooks of one task (``atm_ready_at``, ``atm_started``, ``atm_finished``) are called by hand, with samples of 0.1 s
and windows of a second, so all of its work is in it; beside it those of ``ConcurrentLimitStrategy``.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import Any, Optional

from atm_adaptive import AdaptiveStrategy

from atm_core import ConcurrentLimitStrategy, Outcome, SlotGate, Task

_TASKS = 20
_ROUNDS = 5000


def microseconds(strategy: SlotGate, key: Optional[str] = None) -> float:
    """CPU time a task, the best of five, with 20 tasks in flight."""
    tasks = [Task(lambda: asyncio.sleep(0), {"key": key}) for _ in range(_TASKS)]
    outcome, now, best = Outcome(None, duration=0.1), 0.0, float("inf")
    finished: Any = strategy.atm_finished
    learns = isinstance(strategy, AdaptiveStrategy)
    for _ in range(5):
        since = time.process_time()
        for _ in range(_ROUNDS):
            for task in tasks:
                strategy.atm_ready_at(task, now)
                strategy.atm_started(task, now)
            now += 0.1
            for task in tasks:
                if learns:
                    finished(task, outcome, now)
                else:
                    finished(task)
        best = min(best, time.process_time() - since)
    return best / (_TASKS * _ROUNDS) * 1e6


def bytes_a_key(samples: int) -> float:
    """Memory of a key in use that has seen so many samples in the present window."""
    strategy = AdaptiveStrategy(key="key", window_seconds=1e6)
    outcome = Outcome(None, duration=0.1)
    tracemalloc.start()
    keys = 200
    for n in range(keys):
        held = Task(lambda: asyncio.sleep(0), {"key": n})
        strategy.atm_started(held, 0.0)
        task = Task(lambda: asyncio.sleep(0), {"key": n})
        for at in range(samples):
            strategy.atm_started(task, at / 10)
            strategy.atm_finished(task, outcome, at / 10 + 0.1)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / keys


def main() -> None:
    """Print the figures."""
    print(f"concurrent_limit                 {microseconds(ConcurrentLimitStrategy(100)):.2f} µs a task")
    for algorithm in ("gradient", "vegas", "aimd"):
        print(f"{algorithm:32} {microseconds(AdaptiveStrategy(algorithm)):.2f} µs a task")
    keyed = ConcurrentLimitStrategy(100, key="key")
    print(f"concurrent_limit with a key      {microseconds(keyed, 'a'):.2f} µs a task")
    print(f"gradient with a key              {microseconds(AdaptiveStrategy(key='key'), 'a'):.2f} µs a task")
    print(f"a key, one task in flight        {bytes_a_key(0):.0f} bytes, the task's handle included")
    print(f"and a window of 1000 samples     {bytes_a_key(1000):.0f} bytes")


if __name__ == "__main__":
    main()
