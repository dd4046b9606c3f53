"""The wall clock beside the loop's: what it shows, and whether somebody has moved it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Optional

__all__ = ["WallClock"]

# A loop's clock and the wall clock are read one after the other; less than this is no move.
_MOVED_SECONDS = 0.05


class WallClock:
    """The running loop's wall clock: its ``wall_time()`` if it has one (virtual time), else ``time.time``."""

    def __init__(self) -> None:
        self._offset: Optional[float] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def now(self) -> float:
        """POSIX seconds."""
        loop: Any = asyncio._get_running_loop()
        wall_time = getattr(loop, "wall_time", None)
        return float(wall_time()) if wall_time is not None else time.time()

    def undisturbed(self, now: float) -> float:
        """What the clock would show had nobody moved it since :meth:`moved` was asked.

        Args:
            now: The loop's time.
        """
        assert self._offset is not None
        return now + self._offset

    def moved(self) -> float:
        """By how many seconds it was moved since this was asked before, as the loop's clock tells."""
        loop = asyncio._get_running_loop()
        if self._offset is not None and loop is not self._loop:
            return 0.0  # two loops' clocks say nothing of each other: forget() comes with the start
        self._loop = loop
        offset = self.now() - (time.monotonic() if loop is None else loop.time())
        before, self._offset = self._offset, offset
        if before is None:
            return 0.0
        if abs(offset - before) < _MOVED_SECONDS:
            self._offset = before  # many small moves make a large one
            return 0.0
        return offset - before

    def forget(self) -> None:
        """Another loop: its clock may show anything."""
        self._offset = None
