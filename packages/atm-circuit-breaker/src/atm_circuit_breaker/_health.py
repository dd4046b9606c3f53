"""Health checks: ask a service that is down whether it is up again, without risking a task on it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Awaitable, Callable, Coroutine, Deque, Dict, Hashable, Iterable, Optional, Set

from atm_circuit_breaker._state import State

__all__ = ["HealthChecks"]

_log = logging.getLogger("atm_circuit_breaker")
_STOP_SECONDS = 1.0  # for checks that ignore their cancellation


class HealthChecks:
    """Runs a check for each open breaker, every interval, until it is not open any more.

    A check that raises, or takes longer than an interval, has failed; nothing else comes of it. While no
    breaker is open nothing wakes up.

    Args:
        check: Makes the awaitable for a key.
        interval: Seconds before each check, and how long one may take.
        is_open: Whether the breaker of a key is open now.
        heal: Told the key and the state that the check asks for, closed or half-open.
    """

    def __init__(
        self,
        check: Callable[[Hashable], Awaitable[Any]],
        interval: float,
        is_open: Callable[[Hashable], bool],
        heal: Callable[[Hashable, State], None],
    ) -> None:
        self._check = check
        self._interval = interval
        self._is_open = is_open
        self._heal = heal
        self._opened: Deque[Hashable] = deque()  # and not watched yet: emptied in the next turn of the loop
        self._news: Optional[asyncio.Event] = None
        self._watched: Dict[Hashable, asyncio.Task[None]] = {}
        self._tasks: Set[asyncio.Task[Any]] = set()  # all that run

    def start(self, open_keys: Iterable[Hashable]) -> None:
        """Begin, with the breakers that are open already."""
        self._news = asyncio.Event()
        self._make_task(self._run(), "run")
        for key in open_keys:
            self.opened(key)

    def opened(self, key: Hashable) -> None:
        """The breaker of this key has opened."""
        if self._news is not None:
            self._opened.append(key)
            self._news.set()

    async def stop(self) -> None:
        """End everything."""
        self._news = None
        self._opened.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, left = await asyncio.wait(list(self._tasks), timeout=_STOP_SECONDS)
            if left:
                _log.error("%d health checks ignore their cancellation", len(left))
        self._watched.clear()  # one that was cancelled before its first step could not take itself out

    async def _run(self) -> None:
        news = self._news
        assert news is not None
        while True:
            await news.wait()
            news.clear()
            while self._opened:
                key = self._opened.popleft()
                if key not in self._watched:
                    self._watched[key] = self._make_task(self._watch(key), f"watch {key!r}")

    async def _watch(self, key: Hashable) -> None:
        try:
            while True:
                await asyncio.sleep(self._interval)
                if not self._is_open(key):
                    return
                state = await self._ask(key)
                if state is not None and self._is_open(key):
                    self._heal(key, state)
                    return
        finally:
            self._watched.pop(key, None)

    async def _ask(self, key: Hashable) -> Optional[State]:
        """The state that the check asks for; None if it found the service down, failed, or took too long."""
        check = self._make_task(self._answer(key), f"check {key!r}")
        try:
            # Not wait_for, which would wait for ever for a check that ignores its cancellation.
            done, _ = await asyncio.wait([check], timeout=self._interval)
        finally:
            check.cancel()
        if not done:
            _log.warning("the health check of %r took longer than %g s", key, self._interval)
        elif check.cancelled():
            _log.warning("the health check of %r was cancelled", key)
        elif check.exception() is not None:
            _log.warning("the health check of %r failed: %r", key, check.exception())
        else:
            state: Optional[State] = check.result()
            return state
        return None

    async def _answer(self, key: Hashable) -> Optional[State]:
        answer = await self._check(key)
        if answer is True or answer == State.CLOSED:
            return State.CLOSED
        if answer == State.HALF_OPEN:
            return State.HALF_OPEN
        if answer is None or answer is False or answer == State.OPEN:
            return None
        raise TypeError(f"it answered {answer!r}: it must be True, 'closed', 'half_open', or False")

    def _make_task(self, coro: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coro)
        if hasattr(task, "set_name"):  # from Python 3.8
            task.set_name(f"circuit breaker: {what}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that one which fails after its time is not reported
