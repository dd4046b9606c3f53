"""A manager's life: start, stop, and a loop that goes away under it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import weakref
from typing import TYPE_CHECKING, Any, Awaitable, Optional, Set

from atm_core.calls import HookCalls
from atm_core.errors import ManagerStateError
from atm_core.lanes import hook_error
from atm_core.task import Task, current_task

if TYPE_CHECKING:
    from atm_core.manager import TaskManager
    from atm_core.scheduler import Scheduler

__all__ = ["Life"]

_log = logging.getLogger("atm_core")
_DECIDES = ("atm_ready_at", "atm_hold", "get_next_task")  # an observer may serve many managers
_CANCEL_ROUNDS = 3  # of a second each, for work that swallows its cancellation


class Life:
    """Starts and stops one manager, and tells its plugins.

    Args:
        manager: Passed to the hooks.
        scheduler: Started and halted.
    """

    def __init__(self, manager: TaskManager, scheduler: Scheduler) -> None:
        self.manager = manager
        self._scheduler = scheduler
        #: From before the plugins' start hooks to after their stop hooks.
        self.runs = False
        self._stops = 0  # calls of stop() under way
        self._stopping: Optional[asyncio.Future[None]] = None
        self._ends: Optional[asyncio.Task[Any]] = None  # tells the plugins that it has stopped
        self._guard: Optional[asyncio.Task[None]] = None
        self._late: Set[asyncio.Future[None]] = set()  # hooks of plugins that came or went while it ran

    async def run(self) -> None:
        """See ``TaskManager.run``."""
        if self.runs and (self._scheduler.starting or self._stops):
            raise ManagerStateError(f"{self.manager!r} runs already")
        await self.idle()
        assert self._stopping is not None
        try:
            await asyncio.shield(self._stopping)
        except asyncio.CancelledError:
            await self.stop(timeout=0)
            raise

    async def idle(self) -> None:
        """See ``TaskManager.idle``."""
        loop = asyncio.get_running_loop()
        scheduler = self._scheduler
        if self.runs:
            if scheduler.loop is loop:
                if not self._stops:  # an earlier stop was given up: go on
                    scheduler.start()
                return
            self.check_loop()
            scheduler.abandon_running()
        else:
            await self._ended()
            if self.runs:  # someone else was faster
                await self.idle()
                return
        for strategy in self.manager.strategies.values():
            self.claim(strategy)
        scheduler.bind(loop)
        self.runs = True
        self._stopping = loop.create_future()
        self._guard = loop.create_task(self._watch(self._stopping))
        # It has no end of its own: a loop that is closed under us shall not complain about it.
        self._guard._log_destroy_pending = False  # type: ignore[attr-defined]
        try:
            await self.tell("atm_manager_started")
        except BaseException:
            await self._stopped()
            raise
        if not self._stopping.done():
            scheduler.start()

    async def stop(self, timeout: Optional[float]) -> None:
        """See ``TaskManager.stop``."""
        if not self.runs:
            await self._ended()
            return
        self.check_loop()
        self._scheduler.halt()
        self._stops += 1
        try:
            await self._wait_for_running(timeout)
        finally:
            self._stops -= 1
        await self._stopped()

    def check_loop(self) -> None:
        """Refuse to go on in another loop than that in which it runs."""
        loop = self._scheduler.loop
        if self.runs and loop is not asyncio.get_running_loop() and loop is not None and not loop.is_closed():
            raise ManagerStateError(f"{self.manager!r} runs in another event loop: stop it there first")

    def claim(self, strategy: Any) -> None:
        """Refuse a strategy at work elsewhere: what ends in one manager would wake nobody in the other."""
        decides = any(hasattr(strategy, name) for name in _DECIDES)
        if not decides or inspect.ismodule(strategy) or getattr(strategy, "shareable", False):
            return
        other = getattr(strategy, "_atm_life", lambda: None)()
        if other is not None and other is not self and other.works_with(strategy):
            raise ManagerStateError(
                f"{strategy!r} is at work in {other.manager!r}: make a second instance for {self.manager!r}"
            )
        with contextlib.suppress(AttributeError):  # it may have slots
            strategy._atm_life = weakref.ref(self)

    def works_with(self, strategy: Any) -> bool:
        """Whether it runs, in a loop that is not closed, and the strategy is in it, or in attempts that still run."""
        loop = self._scheduler.loop
        runs = self.runs and loop is not None and not loop.is_closed()
        return runs and (bool(self._scheduler.older) or strategy in self.manager.strategies.values())

    def own_task(self) -> Optional[Task[Any]]:
        """The task of this manager that is asking, if one is."""
        by = current_task()
        mine = by is not None and by._origin is not None and by._origin.scheduler is self._scheduler
        return by if mine else None

    async def tell(self, hook: str) -> None:
        """Call a hook about the manager itself, one plugin after the other.

        Raises:
            HookError: A start hook failed; others that fail are logged.
        """
        calls = self._scheduler.calls
        first: Optional[Exception] = None
        for position, function in enumerate(calls.of(hook)):
            try:
                answer = function(self.manager)
                if inspect.isawaitable(answer):
                    await answer
            except asyncio.CancelledError:
                raise
            except Exception as error:
                failed = hook_error(calls, hook, position, None, error)
                if hook != "atm_manager_started":  # the others are to hear of it, too
                    _log.error("%s", failed, exc_info=error)
                else:
                    first = first or failed
        if first is not None:
            raise first

    def tell_late(self, hook: str, owner: str) -> None:
        """Tell one plugin, which came or goes while the manager runs, that it has started or stopped."""
        calls = self._scheduler.calls
        for position, name in enumerate(calls.owners[hook]):
            if name != owner:
                continue
            try:
                answer = calls.of(hook)[position](self.manager)
            except Exception as error:
                _log.error("%s", hook_error(calls, hook, position, None, error), exc_info=error)
                continue
            if inspect.isawaitable(answer):
                telling = asyncio.ensure_future(_logged(answer, calls, hook, position))
                self._late.add(telling)
                telling.add_done_callback(self._late.discard)

    async def _watch(self, stopping: asyncio.Future[None]) -> None:
        """Notice that the loop is shut down with the manager in it: then everything queued is settled."""
        try:
            await stopping
        except asyncio.CancelledError:
            if not stopping.done() or stopping.cancelled():
                self._scheduler.shut_down()
                self.runs = False
                if not stopping.done():
                    stopping.cancel()
            raise

    async def _wait_for_running(self, timeout: Optional[float]) -> None:
        """Wait for what runs, but for the task that asks; after ``timeout`` cancel it."""
        scheduler = self._scheduler
        own = self.own_task()
        rounds = 0
        while True:
            running = [made for task, made in scheduler.running.items() if task is not own]
            if not running:
                return
            if timeout != 0 and rounds == 0:
                await asyncio.wait(running, timeout=timeout)
                if timeout is None:
                    continue
            left = [task for task in scheduler.running if task is not own]
            if rounds == _CANCEL_ROUNDS:
                names = ", ".join(map(repr, left[:5]))
                _log.error(
                    "%s: %d tasks ignore their cancellation and still run: %s", self.manager.name, len(left), names
                )
                return
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait([scheduler.running[task] for task in left if task in scheduler.running], timeout=1.0)
            rounds += 1

    async def _ended(self) -> None:
        """Wait for the plugins that are being told of a stop; they themselves do not wait."""
        stopping, here = self._stopping, self._scheduler.loop is asyncio.get_running_loop()
        if here and stopping is not None and not stopping.done() and self._ends is not asyncio.current_task():
            await asyncio.wait([stopping])

    async def _stopped(self) -> None:
        if not self.runs:
            await self._ended()
            return
        self.runs, stopping, self._ends = False, self._stopping, asyncio.current_task()
        self._scheduler.halt()
        self._scheduler.end_joining()
        try:
            if self._late:
                await asyncio.wait(self._late)
            await self.tell("atm_manager_stopped")
        finally:
            self._ends = None
            if stopping is not None and not stopping.done():
                stopping.set_result(None)


async def _logged(answer: Awaitable[Any], calls: HookCalls, hook: str, position: int) -> None:
    try:
        await answer
    except Exception as error:
        _log.error("%s", hook_error(calls, hook, position, None, error), exc_info=error)
