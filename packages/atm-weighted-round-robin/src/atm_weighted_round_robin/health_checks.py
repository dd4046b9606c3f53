"""Active health checks, in the background."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from typing import Any, Callable, Coroutine, Dict, Hashable, Set

__all__ = ["HealthChecks", "loop_time"]

_log = logging.getLogger("atm_weighted_round_robin")


class HealthChecks:
    """Asks after each resource again and again, each in a task of its own: one that hangs holds up no other.

    An answer of False, an exception that is a ``failure``, and no answer within an interval are failed
    checks. Any other exception is a mistake in the check, which says nothing about the resource: it is
    logged.

    Args:
        check: Called with the resource's name; gives a verdict, or an awaitable of one. None counts as
            True.
        interval_seconds: Between the end of a check and the next one; and the longest that a check may
            take.
        failure: Whether an exception means that the resource is not well.
        report: Told each verdict.
    """

    def __init__(
        self,
        check: Callable[[Hashable], Any],
        interval_seconds: float,
        failure: Callable[[BaseException], bool],
        report: Callable[[Hashable, bool], None],
    ) -> None:
        self._check = check
        self._interval_seconds = interval_seconds
        self._failure = failure
        self._report = report
        self._watchers: Dict[Hashable, asyncio.Task[None]] = {}
        self._checks: Set[asyncio.Task[Any]] = set()

    def watch(self, name: Hashable) -> None:
        """Begin to check a resource: now, and then at every interval."""
        self._watchers[name] = _background(self._watch(name), f"health checks of {name!r}")

    def forget(self, name: Hashable) -> None:
        """Check a resource no more."""
        watcher = self._watchers.pop(name, None)
        if watcher is not None:
            watcher.cancel()

    async def stop(self) -> None:
        """End all checks; one that ignores its cancellation is left behind after an interval."""
        watchers = list(self._watchers.values())
        for name in list(self._watchers):
            self.forget(name)
        ending = [*watchers, *self._checks]
        if ending:
            await asyncio.wait(ending, timeout=self._interval_seconds)

    async def _watch(self, name: Hashable) -> None:
        while True:
            try:
                self._report(name, await self._passes(name))
            except asyncio.CancelledError:
                raise
            except Exception:
                _log.exception("the health check of resource %r has a mistake, and says nothing", name)
            await asyncio.sleep(self._interval_seconds)

    async def _passes(self, name: Hashable) -> bool:
        check = _background(self._ask(name), f"health check of {name!r}")
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)
        try:
            await asyncio.wait([check], timeout=self._interval_seconds)
            if not check.done() or check.cancelled():
                return False
            error = check.exception()
        finally:
            check.cancel()
        if error is None:
            answer = check.result()
            return answer is None or bool(answer)
        if self._failure(error):
            return False
        raise error

    async def _ask(self, name: Hashable) -> Any:
        answer = self._check(name)
        return await answer if inspect.isawaitable(answer) else answer


def _background(coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    task = asyncio.get_running_loop().create_task(coro)
    if hasattr(task, "set_name"):  # not on Python 3.7
        task.set_name(name)
    return task


def loop_time() -> float:
    """The time on the running loop's clock; outside of one, on the clock that loops use."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
