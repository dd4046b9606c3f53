"""A manager in virtual time, and a list of what ran when."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import Any, Awaitable, Callable, Dict, Iterator, List, Optional, Tuple

import pytest
from atm_time_based import Recurrence, TimeBasedStrategy

from atm_core import Outcome, Task, TaskManager, hookimpl
from atm_core.testing.virtual_time import VirtualTimeLoop

#: A Thursday, at midnight.
START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()


class Repeats:
    """Runs what failed once more, after so many seconds."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.repeated: Dict[Any, bool] = {}

    @hookimpl
    def atm_again(self, task: Task[Any], outcome: Outcome, now: float) -> Optional[float]:
        if not outcome.failed or self.repeated.pop(task, False):
            return None
        self.repeated[task] = True
        return now + self.pause


class Bench:
    """Runs coroutines in a loop whose wall clock begins at ``START``; all times are seconds since then."""

    def __init__(self, wall_start: float = START) -> None:
        self.loop = VirtualTimeLoop(wall_start=wall_start)
        self.ran: List[Tuple[float, Any]] = []

    def now(self) -> float:
        return round(self.loop.wall_time() - START, 6)

    def job(self, label: Any = None, lasts: float = 0.0, fails: bool = False) -> Callable[[], Awaitable[Any]]:
        """Work that writes down when it began."""

        async def work() -> Any:
            self.ran.append((self.now(), label))
            if lasts:
                await asyncio.sleep(lasts)
            if fails:
                raise RuntimeError(f"{label} fails")
            return label

        return work

    def times(self, label: Any = None) -> List[float]:
        return [at for at, who in self.ran if label is None or who == label]

    def run(self, main: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(main)

    def days(
        self,
        seconds: float,
        strategy: TimeBasedStrategy,
        tasks: List[Tuple[Callable[[], Awaitable[Any]], Dict[str, Any]]],
        others: Optional[List[Any]] = None,
    ) -> List[Tuple[Task[Any], Recurrence]]:
        """Let tasks run under a strategy for so many seconds, then close the manager."""

        async def main() -> List[Tuple[Task[Any], Recurrence]]:
            manager = TaskManager([strategy, *(others or [])])
            added = [manager.add_task(work, metadata) for work, metadata in tasks]
            await manager.idle()
            await asyncio.sleep(seconds)
            await manager.aclose(timeout=0)
            found = [strategy.recurrence(task) for task in added]
            return [(task, one) for task, one in zip(added, found) if one is not None]

        result: List[Tuple[Task[Any], Recurrence]] = self.run(main())
        return result

    @staticmethod
    def repeats(pause: float) -> Repeats:
        """A plugin that runs what failed once more, after so many seconds."""
        return Repeats(pause)


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench()
    asyncio.set_event_loop(one.loop)
    try:
        yield one
    finally:
        asyncio.set_event_loop(None)
        one.loop.close()
