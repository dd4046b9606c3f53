"""Ctrl-C: once drains, twice cancels, three times leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any, Iterator, List

from atm_cli.failure import INTERRUPTED
from atm_cli.running.run import Run

__all__ = ["interruptible"]


@contextlib.contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """While in it, SIGINT and SIGTERM stop ``run``, the second one faster than the first, the third at once."""
    loop = asyncio.get_running_loop()
    seen: List[int] = []

    def told(number: int, frame: Any) -> None:
        seen.append(number)
        if len(seen) > 2:
            os._exit(INTERRUPTED)
        run.signalled = True
        loop.call_soon_threadsafe(run.drain if len(seen) == 1 else run.cancel)

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
