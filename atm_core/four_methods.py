"""Strategies written against the four methods, as plugins."""

from __future__ import annotations

import asyncio
import logging
import math
import types
import weakref
from typing import TYPE_CHECKING, Any, Dict, Generator, Optional

from atm_core.errors import AtmError
from atm_core.hookspecs import hookimpl
from atm_core.outcome import Outcome

if TYPE_CHECKING:
    from atm_core.manager import TaskManager
    from atm_core.strategy import BaseStrategy
    from atm_core.task import Task

__all__ = ["FourMethods"]

_log = logging.getLogger("atm_core")


class FourMethods:
    """Adapts a :class:`~atm_core.BaseStrategy`: it holds each task until the strategy hands it out.

    At most one task that was handed out waits at the other strategies' gates, so the strategy's own order and pace
    hold. Nothing polls while it answers with times.

    Args:
        strategy: The strategy.
        poll_interval: Seconds until it is asked again when it names no time.
    """

    def __init__(self, strategy: BaseStrategy, poll_interval: float) -> None:
        self.strategy = strategy
        self.name = type(strategy).__name__
        self._poll_interval = poll_interval
        self._manager: Optional[TaskManager] = None
        self._pump: Optional[asyncio.Task[None]] = None
        self._changed: Optional[asyncio.Event] = None
        self._handed_out: Optional[Task[Any]] = None  # and not started yet
        self._given: Dict[Task[Any], None] = {}  # handed to the strategy, in order; not handed out
        # Settled while it had them: it may hand them out all the same, once, and count them until it is told of an end.
        self._withdrawn: weakref.WeakSet[Task[Any]] = weakref.WeakSet()
        self._done = 0  # ends that the strategy has not been told

    @hookimpl
    def atm_hold(self, manager: TaskManager, task: Task[Any], now: float) -> bool:
        """Give the task to the strategy."""
        self._comes_back(task)
        self._withdrawn.discard(task)
        self._given[task] = None  # first: it may be settled in the middle of this
        try:
            self.strategy.add_task(task)
        except BaseException:
            self._given.pop(task, None)
            self._withdrawn.add(task)
            raise
        self._wake()
        return True

    @hookimpl
    def atm_started(self, task: Task[Any]) -> None:
        if task is self._handed_out:
            self._handed_out = None
            self._wake()

    @hookimpl
    def atm_finished(self, task: Task[Any]) -> None:
        self._done += 1
        self._wake()

    @hookimpl
    def atm_settled(self, task: Task[Any], outcome: Outcome) -> None:
        if task in self._given:
            del self._given[task]
            self._withdrawn.add(task)
        self._comes_back(task)

    @hookimpl(tryfirst=True)
    def atm_again(self, task: Task[Any], outcome: Outcome) -> None:
        self._comes_back(task)  # before it sleeps: others need not wait for that

    def _comes_back(self, task: Task[Any]) -> None:
        """If it was handed out, and has not started, it does not run: refused by a gate, or cancelled."""
        if task is self._handed_out:
            self._handed_out = None
            self._done += 1
            self._wake()

    @hookimpl
    async def atm_manager_started(self, manager: TaskManager) -> None:
        self._manager = manager
        self._changed = asyncio.Event()
        self._pump = asyncio.get_running_loop().create_task(self._ask())

    @hookimpl
    async def atm_manager_stopped(self, manager: TaskManager) -> None:
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()

    async def _ask(self) -> None:
        """Ask the strategy for its next task, whenever there is one to ask for."""
        assert self._changed is not None and self._manager is not None
        while True:
            self._changed.clear()
            try:
                while self._done:
                    self._done -= 1
                    await _uncancelled(self.strategy.on_task_done())
                pause = math.inf
                if self._given and self._handed_out is None:
                    if self._hand_out():
                        continue
                    pause = await self._interval()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._fail(error)
                continue
            if not self._changed.is_set():
                await self._until(pause)

    def _hand_out(self) -> bool:
        try:
            task = self.strategy.get_next_task()
        except asyncio.CancelledError as error:
            raise AtmError(f"get_next_task of {self.name} raised {error!r}") from error
        if task is None:
            return False
        if task in self._withdrawn:
            self._withdrawn.discard(task)
            self._done += 1
            return True
        if task not in self._given:
            raise AtmError(f"get_next_task of {self.name} answered {task!r}, which is no task that it has")
        del self._given[task]
        self._handed_out = task
        assert self._manager is not None
        self._manager.release(task)
        return True

    async def _interval(self) -> float:
        answer = await _uncancelled(self.strategy.get_sleep_interval())
        if answer is None:
            return self._poll_interval
        if isinstance(answer, bool) or not isinstance(answer, (int, float)) or answer != answer:
            raise AtmError(
                f"get_sleep_interval of {self.name} answered {answer!r}: it must be seconds, None or math.inf"
            )
        # Asking a strategy again at once, which says "now" and gives nothing, would hang the loop.
        return float(answer) if answer > 0 else self._poll_interval

    async def _until(self, seconds: float) -> None:
        assert self._changed is not None
        loop = asyncio.get_running_loop()
        timer = None if seconds == math.inf else loop.call_later(seconds, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _fail(self, error: Exception) -> None:
        """The strategy raised: the task that has waited longest settles with that, so nothing waits for ever."""
        from atm_core.errors import HookError

        failed = HookError(f"strategy {self.name} failed: {type(error).__name__}: {error}", self.name, "four methods")
        failed.__cause__ = error
        _log.error("%s", failed, exc_info=error)
        if self._given and self._manager is not None:
            task = next(iter(self._given))
            del self._given[task]
            self._withdrawn.add(task)
            self._manager.settle(task, Outcome(None, failed))


async def _awaited(answer: Any) -> Any:
    return await answer


@types.coroutine
def _uncancelled(answer: Any) -> Generator[Any, Any, Any]:
    """Await a strategy's answer. If it raises ``CancelledError`` of itself, that is a failure: only one that is thrown
    in here cancels the task that asks."""
    steps = _awaited(answer)  # a coroutine, whatever the answer is: not all that can be awaited has __await__
    step: Any = steps.send
    given, thrown = None, False
    while True:
        try:
            waits_for = step(given)
        except StopIteration as end:
            return end.value
        except asyncio.CancelledError as error:
            if thrown:
                raise
            raise AtmError(f"it raised {error!r}") from error
        try:
            given = yield waits_for
            step = steps.send
        except BaseException as error:
            step, given, thrown = steps.throw, error, True
