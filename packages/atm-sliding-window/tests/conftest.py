"""What the tests share."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, List, Sequence

import pytest
from atm_sliding_window import SlidingWindowStrategy

from atm_core import TaskManager
from atm_core.testing import run


@pytest.fixture
def start_times() -> Callable[..., List[float]]:
    """Run tasks that come at given times under one strategy; gives the times of their first steps, in that order."""

    def start(arrivals: Sequence[float], **settings: Any) -> List[float]:
        async def main() -> List[float]:
            loop = asyncio.get_running_loop()
            found: List[float] = []

            async def work() -> None:
                found.append(loop.time())

            async with TaskManager(SlidingWindowStrategy(**settings)) as manager:
                for arrival in arrivals:
                    if arrival > loop.time():
                        await asyncio.sleep(arrival - loop.time())
                    manager.submit(work)
            return found

        return run(main())

    return start
