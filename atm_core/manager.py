"""The public face: a manager runs tasks under its strategies."""

from __future__ import annotations

import functools
import inspect
import logging
from types import CoroutineType
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    TypeVar,
    Union,
)

from atm_core import report
from atm_core.admission import add
from atm_core.calls import HookCalls
from atm_core.discovery import find_strategy, installed_plugins
from atm_core.errors import (
    ManagerClosedError,
    ManagerStateError,
    PluginError,
    QueueFullError,
    SettingTypeError,
    TaskRejected,
    WorkError,
)
from atm_core.four_methods import FourMethods
from atm_core.life import Life
from atm_core.mapping import mapped
from atm_core.outcome import Outcome
from atm_core.plugins import has_hooks, make_plugin_manager, register
from atm_core.scheduler import Scheduler
from atm_core.settings import Settings
from atm_core.strategy import BaseStrategy
from atm_core.task import Task
from atm_core.threads import submit_threadsafe
from atm_core.work import check_callable, check_work, close_work, copied

if TYPE_CHECKING:
    import concurrent.futures
    import os
    from types import TracebackType
    from typing import AsyncIterable, Iterable, Type

    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["TaskManager"]

T = TypeVar("T")
A = TypeVar("A")

_log = logging.getLogger("atm_core")


class TaskManager:
    """Runs coroutines under the rules of its strategies.

    ::

        async with TaskManager([ConcurrentLimitStrategy(10), FixedWindowStrategy(300, 60.0)]) as manager:
            tasks = [manager.submit(fetch, url) for url in urls]

    A task starts at the first instant at which every strategy lets it; the order of the strategies does not matter.
    A manager can be used in one event loop after another, in one at a time, and from the loop's thread only (from
    others: :meth:`submit_threadsafe`).

    Args:
        strategy: A strategy, the name of an installed one, or a list of either. None: everything starts at once.
        poll_interval: Seconds between two questions to strategies written against the four methods of
            :class:`~atm_core.BaseStrategy`, where these name no time. Nothing else polls.
        max_pending: How many tasks may be queued and not yet running; more are refused with ``QueueFullError``.
        name: For logs and for the names of asyncio tasks.

    Raises:
        SettingError: A parameter is wrong.
        PluginError, UnknownStrategyError, AmbiguousStrategyError: A strategy is.
    """

    def __init__(
        self,
        strategy: Any = None,
        poll_interval: float = 0.01,
        *,
        max_pending: Optional[int] = None,
        name: Optional[str] = None,
    ) -> None:
        with Settings("TaskManager") as check:
            self.poll_interval: float = check.duration("poll_interval", poll_interval, zero=False)
            self.max_pending: Optional[int] = check.count("max_pending", max_pending, optional=True)
            if name is not None and not isinstance(name, str):
                check.fail("name", name, "must be a string", wrong_type=True)
        self.name = name or "atm"
        self._plugins = make_plugin_manager()
        self._wrapped: Dict[int, Any] = {}  # four-method strategies -> their adapters
        for found in installed_plugins():
            plugin = found.load(f" (ATM_DISABLED_PLUGINS={found.name} keeps it out)")
            register(self._plugins, plugin() if inspect.isclass(plugin) else plugin, found.name)
        for one in _listed(strategy):
            self._register(one, None)
        self._scheduler = Scheduler(self, HookCalls(self._plugins), self.name)
        self._closed = False
        self._life = Life(self, self._scheduler)

    @classmethod
    def from_config(
        cls, config: Union[str, os.PathLike[str], Mapping[str, Any]], profile: Optional[str] = None
    ) -> TaskManager:
        """A manager as a config describes it.

        Args:
            config: A TOML or JSON file, a ``pyproject.toml`` (there: ``[tool.atm.<profile>]``), or a dict.
            profile: Which of the config's profiles; may be left out if there is only one.

        Raises:
            ConfigError: With every mistake: file, key, value, what was expected, and the nearest right name.
        """
        from atm_core.config import load

        return load(config, profile).build(cls)

    # Strategies and other plugins.

    @property
    def strategies(self) -> Dict[str, Any]:
        """The plugins by name, in the order of registration."""
        named = [(name, plugin) for name, plugin in self._plugins.list_name_plugin() if plugin is not None]
        return {
            name: getattr(plugin, "strategy", plugin) if isinstance(plugin, FourMethods) else plugin
            for name, plugin in named
        }

    def register(self, plugin: Any, name: Optional[str] = None) -> str:
        """Add a strategy or another plugin, also while running; what runs already ends with the hooks it began with.

        Returns:
            Its name: the class's, or ``name``.

        Raises:
            PluginError: It cannot be one; nothing is left half registered.
        """
        if self._life.runs and not has_hooks(self._plugins, plugin):
            raise ManagerStateError("a four-method strategy can be registered only while the manager is stopped")
        registered = self._register(plugin, name)
        if self._life.runs:
            try:
                self._life.claim(self.strategies[registered])
            except ManagerStateError:
                self._plugins.unregister(name=registered)
                raise
        self._scheduler.use(HookCalls(self._plugins))
        if self._life.runs:
            self._life.tell_late("atm_manager_started", registered)
        return registered

    def unregister(self, plugin: Any) -> None:
        """Take a strategy or plugin out, given itself or its name; its waiting tasks wait no more for it.

        Raises:
            LookupError: It is not registered.
        """
        found = self._plugins.get_plugin(plugin) if isinstance(plugin, str) else self._wrapped.pop(id(plugin), plugin)
        if found is None or not self._plugins.is_registered(found):
            raise PluginError(f"{plugin!r} is not registered")
        if self._life.runs:
            self._life.tell_late("atm_manager_stopped", self._plugins.get_name(found) or "")
        self._plugins.unregister(found)
        self._scheduler.use(HookCalls(self._plugins))

    def _register(self, plugin: Any, name: Optional[str]) -> str:
        if isinstance(plugin, str):
            name, plugin = name or plugin.rpartition(":")[2], _instance(plugin)
        if not inspect.isclass(plugin) and not has_hooks(self._plugins, plugin) and _has_four_methods(plugin):
            adapter = FourMethods(plugin, self.poll_interval)
            registered = register(self._plugins, adapter, name or adapter.name)
            self._wrapped[id(plugin)] = adapter
            return registered
        return register(self._plugins, plugin, name)

    # Work in.

    def add_task(
        self,
        work: Union[Awaitable[T], Callable[[], Awaitable[T]], Task[T]],
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> Task[T]:
        """Hand in work.

        Args:
            work: An awaitable, which can be run once; a callable without arguments that makes one, which can be
                retried; or a ``Task`` made by hand.
            metadata: Anything the strategies are to know, such as ``{"priority": "high"}``; copied.

        Returns:
            The task, which can be awaited. It starts once the manager runs and all strategies agree.

        Raises:
            WorkError: It is neither, or was added before.
            TaskRejected: A strategy refuses it; ``QueueFullError``: ``max_pending`` tasks wait. A coroutine is closed.
            ManagerClosedError: The manager was closed. A coroutine is closed.
        """
        if isinstance(work, Task):
            return self._add_made(work, metadata)
        args = None if type(work) is CoroutineType else check_work(work)
        if self._closed or self.max_pending is not None:
            self._check_room(work)
        if metadata is not None:
            try:
                metadata = copied(metadata)
            except WorkError:
                close_work(work)
                raise
        return add(self._scheduler, work, args, metadata)

    def submit(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> Task[T]:
        """Hand in a function and its arguments; unlike a coroutine it can be retried, batched, and sent elsewhere.

        Metadata is given by :meth:`add_task`, with ``functools.partial`` or a ``lambda``.

        Raises:
            WorkError: ``fn`` can be seen not to give an awaitable (plain functions: ``in_thread``).
            TaskRejected, ManagerClosedError: See :meth:`add_task`.
        """
        check_callable(fn)
        if self._closed or self.max_pending is not None:
            self._check_room(None)
        return add(self._scheduler, functools.partial(fn, **kwargs) if kwargs else fn, args, None)

    def submit_threadsafe(
        self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        """:meth:`submit` from any other thread, while the manager runs.

        Returns:
            A ``concurrent.futures.Future``; cancelling it cancels the task. A refusal is its exception.

        Raises:
            ManagerStateError: The manager does not run.
        """
        check_callable(fn)
        return submit_threadsafe(self, self._scheduler, functools.partial(fn, *args, **kwargs))

    def map(
        self,
        fn: Callable[[A], Awaitable[T]],
        items: Union[Iterable[A], AsyncIterable[A]],
        *,
        max_in_flight: int = 1000,
        ordered: bool = True,
        return_exceptions: bool = False,
    ) -> AsyncIterator[T]:
        """Run ``fn`` on each item and yield the results, in bounded memory.

        ::

            async for result in manager.map(fetch, urls):
                ...

        Items are taken as there is room, so they may be endless. When the consumer leaves the loop, what is queued or
        runs for it is cancelled.

        Args:
            fn: An async function of one item.
            items: Any iterable, plain or async.
            max_in_flight: How many items may be queued, running, or done and not yet consumed.
            ordered: In the order of the items, or as they complete.
            return_exceptions: Yield a failure's exception in place of a result, instead of raising it, which ends the
                iteration.

        Raises:
            SettingError: A parameter is wrong.
        """
        with Settings("map") as check:
            check.count("max_in_flight", max_in_flight)
            check.flag("ordered", ordered)
            check.flag("return_exceptions", return_exceptions)
            if not hasattr(items, "__aiter__") and not hasattr(items, "__iter__"):
                check.fail("items", items, "must be iterable", wrong_type=True)
        check_callable(fn)
        return mapped(self, self._scheduler, fn, items, max_in_flight, ordered, return_exceptions)

    def _add_made(self, task: Task[T], metadata: Optional[Mapping[str, Any]]) -> Task[T]:
        if task._origin is not None or task.done() or task.attempts:
            raise WorkError(f"{task!r} was added already")
        self._check_room(task.work)
        if metadata is not None:
            task.metadata.update(copied(metadata) or {})
        return add(self._scheduler, task._work, task._args, task._metadata, task)

    def _check_open(self) -> None:
        if self._closed:
            raise ManagerClosedError(f"{self!r} is closed")

    def _check_room(self, work: Any) -> None:
        error: Optional[Exception] = None
        if self._closed:
            error = ManagerClosedError(f"{self!r} is closed and takes no more tasks")
        elif self.max_pending is not None and self._scheduler.is_full(self.max_pending):
            self._scheduler.rejected += 1
            error = QueueFullError(f"{self.max_pending} tasks wait already (max_pending)")
        if error is not None:
            close_work(work)
            raise error

    # Life.

    async def run(self) -> None:
        """Start tasks until :meth:`stop` is called. Cancelling it cancels what runs; what is queued stays queued.

        Raises:
            ManagerStateError: It runs already. ManagerClosedError: It was closed.
        """
        self._check_open()
        await self._life.run()

    async def idle(self) -> None:
        """Start tasks in the background, and return; nothing happens if it runs already.

        Raises:
            ManagerClosedError: It was closed. ManagerStateError: It runs in another loop.
        """
        self._check_open()
        await self._life.idle()

    async def join(self) -> None:
        """Wait until nothing is pending or running. A recurring task between two of its runs does not count.

        Raises:
            ManagerStateError: The manager does not run, or stops, with work left; or a task of its own calls.
        """
        scheduler = self._scheduler
        by = self._life.own_task()
        if by is not None:
            raise ManagerStateError(f"join() inside {by!r} would wait for itself")
        self._check_it_ends()
        self._life.check_loop()
        await self._life.tell("atm_draining")
        await scheduler.joined()
        self._check_it_ends()

    def _check_it_ends(self) -> None:
        scheduler = self._scheduler
        if not self._life.runs and scheduler.open > len(scheduler.sleepers.recurring):
            raise ManagerStateError(f"{self!r} does not run: its tasks would never end")

    async def stop(self, timeout: Optional[float] = None) -> None:
        """Start nothing more, and wait for what runs; queued work stays queued for the next start.

        Running work that awaits a queued task does not end by itself: give a timeout where that may be.

        Args:
            timeout: Seconds after which what still runs is cancelled; None: never. 0: at once.
        """
        _check_timeout("stop", timeout)
        await self._life.stop(timeout)

    async def aclose(self, timeout: Optional[float] = None) -> None:
        """Cancel what waits, and stop; the manager takes no more tasks.

        Args:
            timeout: See :meth:`stop`.
        """
        _check_timeout("aclose", timeout)
        self._life.check_loop()
        self._closed = True
        self._scheduler.halt()
        # Before what runs has ended, since that may wait for it; what is held may be part of what runs.
        self._scheduler.drop_pending(held=False)
        await self._life.stop(timeout)
        self._scheduler.drop_pending()

    async def __aenter__(self) -> TaskManager:
        await self.idle()
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Drain: wait until nothing is pending or running. After an error cancel everything instead."""
        if kind is not None:
            await self.aclose(timeout=0)
            return
        try:
            await self.join()
        except BaseException:
            await self.aclose(timeout=0)
            raise
        await self.aclose()

    def pause(self) -> None:
        """Start nothing until :meth:`resume`; what runs goes on."""
        self._scheduler.paused = True

    def resume(self) -> None:
        """Go on after :meth:`pause`."""
        self._scheduler.paused = False
        self._scheduler.soon()

    def wake(self) -> None:
        """Ask all strategies again: something has changed that the manager cannot see."""
        self._scheduler.board.wake()
        self._scheduler.soon()

    # For strategies.

    def release(self, task: Task[Any]) -> None:
        """Hand back a task that a strategy kept (``atm_hold``): it joins its lane.

        Raises:
            ManagerStateError: It is not held.
        """
        self._scheduler.release(task)

    def add_inner(self, work: Callable[[], Awaitable[T]], metadata: Optional[Mapping[str, Any]] = None) -> Task[T]:
        """:meth:`add_task` for work that stands for tasks a strategy holds: ``max_pending`` has counted those already.

        It is admitted, and passes the gates, like any other. ``atm_again`` is not asked about it, but about the tasks
        that it stands for, when these are settled.
        """
        if self._closed and not self._life.runs:
            raise ManagerClosedError(f"{self!r} is closed and takes no more tasks")
        task = Task(work, metadata)
        self._scheduler.inner.add(task)
        try:
            return add(self._scheduler, task._work, task._args, task._metadata, task)
        except BaseException:
            self._scheduler.inner.discard(task)
            raise

    def settle(self, task: Task[Any], outcome: Outcome) -> None:
        """The outcome of a task that a strategy kept (``atm_hold``); others are asked for ``atm_again`` first.

        An outcome with a duration counts as an attempt.

        Raises:
            ManagerStateError: It is not held.
        """
        self._scheduler.settle_held(task, outcome)

    def reject(self, task: Task[Any], error: TaskRejected) -> bool:
        """Settle a task that waits (queued, held or asleep) as failed with ``error``; nobody is asked ``atm_again``.

        Returns:
            False if it runs, is settled, or is in another manager.
        """
        return self._scheduler.reject(task, error)

    def reorder(self, task: Task[Any]) -> None:
        """Ask for the order (``atm_order``) of a queued task again."""
        self._scheduler.reorder(task)

    # Answers.

    @property
    def running(self) -> bool:
        """Whether it starts tasks: between start and stop."""
        return self._life.runs

    def explain(self, task: Task[Any]) -> report.Explanation:
        """Why a task waits: which strategy holds it, why, and until when. Prints as a sentence."""
        return report.explain(self, self._scheduler, self._plugins, task)

    def stats(self) -> Dict[str, Any]:
        """Counts per state, waits per strategy, and each strategy's own figures; fit for JSON."""
        return report.stats(self, self._scheduler, self._plugins)

    def __repr__(self) -> str:
        scheduler = self._scheduler
        return f"<TaskManager {self.name}: {scheduler.waiting} pending, {scheduler.busy_with} running>"

    def __del__(self) -> None:
        scheduler = self.__dict__.get("_scheduler")
        if scheduler is not None and scheduler.open:
            scheduler.starting = False
            dropped = scheduler.drop_pending()
            if dropped:
                _log.error("a TaskManager was dropped with %d tasks that never ran", dropped)


def _check_timeout(function: str, timeout: Optional[float]) -> None:
    with Settings(function) as check:
        check.duration("timeout", timeout, optional=True)


def _listed(strategy: Any) -> List[Any]:
    if strategy is None:
        return []
    if isinstance(strategy, (list, tuple)):
        return list(strategy)
    return [strategy]


def _instance(name: str) -> Any:
    """The strategy of this name, with its default settings."""
    found = find_strategy(name)
    if not inspect.isclass(found):
        return found
    try:
        return found()
    except TypeError as error:
        raise SettingTypeError(
            f"{name} needs settings ({error}): pass an instance, or use a config", name, None
        ) from error


def _has_four_methods(plugin: Any) -> bool:
    methods = ("add_task", "get_next_task", "get_sleep_interval", "on_task_done")
    return isinstance(plugin, BaseStrategy) or all(callable(getattr(plugin, method, None)) for method in methods)
