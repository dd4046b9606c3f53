"""The handle for one piece of work."""

from __future__ import annotations

import asyncio
import enum
import logging
import types
from contextvars import ContextVar
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Dict,
    Generator,
    Generic,
    List,
    Mapping,
    Optional,
    Tuple,
    TypeVar,
    Union,
    cast,
)

from atm_core.compat import RAISED, cancel
from atm_core.errors import ManagerStateError, NotSettledError
from atm_core.work import awaitable_of, check_work, close_work, copied

if TYPE_CHECKING:
    from atm_core.scheduler import Scheduler

__all__ = ["Task", "TaskState", "current_task"]

T = TypeVar("T")

_log = logging.getLogger("atm_core")


class TaskState(enum.Enum):
    """Where a task is in its life: pending, running (and pending again, if it is retried), then settled."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


# A look-up through the enum's class costs as much as the comparison that it is for.
PENDING, RUNNING = TaskState.PENDING, TaskState.RUNNING
SUCCEEDED, FAILED, CANCELLED = TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED

_current: ContextVar[Optional[Task[Any]]] = ContextVar("atm_current_task", default=None)


def current_task() -> Optional[Task[Any]]:
    """Inside work: the task that it is part of, also in the asyncio tasks that the work makes. None elsewhere."""
    return _current.get()


class Task(Generic[T]):
    """The handle for one piece of work: its state, its metadata, its result. Awaitable. Not an ``asyncio.Task``.

    Managers make them (``add_task``, ``submit``). One made by hand can be given to ``add_task``, or run on its own
    with :meth:`run`.

    About 150 bytes while it waits; no future is made until someone waits for it.

    Args:
        work: An awaitable, or a callable without arguments that makes one.
        metadata: Anything the strategies are to know; copied.
    """

    # _value: those who wait for the end (None, or a list), and after it the result or the exception.
    # _origin: the scheduler and the context in which the task was added, shared by tasks that were added alike.
    # _place: belongs to the scheduler's queues, or the asyncio task that runs it by hand; after a failure, what reports
    # it if nobody looks.
    __slots__ = (
        "__weakref__",
        "_added_at",
        "_args",
        "_attempts",
        "_metadata",
        "_origin",
        "_place",
        "_state",
        "_value",
        "_work",
    )

    _work: Any
    _args: Optional[Tuple[Any, ...]]
    _metadata: Optional[Dict[str, Any]]
    _origin: Any
    _state: TaskState
    _value: Any
    _added_at: float
    _attempts: int
    _place: Any

    def __init__(
        self, work: Union[Awaitable[T], Callable[[], Awaitable[T]]], metadata: Optional[Mapping[str, Any]] = None
    ) -> None:
        self._args = check_work(work)
        self._work = work
        self._metadata = copied(metadata)
        self._origin = None
        self._state = PENDING
        self._value = None
        self._added_at = 0.0
        self._attempts = 0
        self._place = None

    @property
    def state(self) -> TaskState:
        """Pending, running, succeeded, failed or cancelled."""
        return self._state

    @property
    def metadata(self) -> Dict[str, Any]:
        """What the strategies know of the task; a dict that may be changed."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    @property
    def attempts(self) -> int:
        """How often its work was begun."""
        return self._attempts

    @property
    def added_at(self) -> float:
        """When it was added: ``loop.time()`` in seconds, to 0.1 ms."""
        return self._added_at

    @property
    def work(self) -> Any:
        """The awaitable or callable that was handed in; None once the task is settled."""
        if self._args is None and self._state is PENDING and self._origin is not None:
            self._origin.scheduler.claim(self._work)  # who asks might add it again
        return self._work

    @property
    def args(self) -> Optional[Tuple[Any, ...]]:
        """The arguments for a callable; None if the work is an awaitable, which can be run only once."""
        return self._args

    @property
    def not_before(self) -> Optional[float]:
        """The earliest time of its start, in seconds of ``loop.time()``; None if it may start at once."""
        return None if self._origin is None else self._origin.scheduler.not_before(self)

    @not_before.setter
    def not_before(self, at: Optional[float]) -> None:
        self._attached().set_not_before(self, at)

    @property
    def recurring(self) -> bool:
        """Whether the task comes again for ever: ``join`` does not wait for its next time."""
        return self._origin is not None and self in self._origin.scheduler.sleepers.recurring

    @recurring.setter
    def recurring(self, recurs: bool) -> None:
        self._attached().set_recurring(self, recurs)

    def call(self) -> Awaitable[T]:
        """Start the work: the awaitable that was handed in, or what the callable gives. For ``atm_execute``.

        Raises:
            WorkError: The callable gives nothing that can be awaited.
        """
        if self._args is None:
            return cast(Awaitable[T], self._work)
        made = self._work(*self._args)
        return made if isinstance(made, types.CoroutineType) else cast(Awaitable[T], awaitable_of(self._work, made))

    def done(self) -> bool:
        """Whether it is settled."""
        return self._state is not PENDING and self._state is not RUNNING

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._state is CANCELLED

    def result(self) -> T:
        """What the work returned.

        Raises:
            NotSettledError: There is no result yet.
            asyncio.CancelledError: It was cancelled.
            Exception: What the work raised.
        """
        if self._state is SUCCEEDED:
            return cast(T, self._value)
        error = self.exception()
        assert error is not None
        raise error

    def exception(self) -> Optional[BaseException]:
        """What the work raised; None if it succeeded.

        Raises:
            NotSettledError: It is not settled.
            asyncio.CancelledError: It was cancelled.
        """
        if self._state is SUCCEEDED:
            return None
        if self._state is FAILED:
            if self._place is not None:
                self._place.seen = True
                self._place = None
            return cast(BaseException, self._value)
        if self._state is CANCELLED:
            raise asyncio.CancelledError
        raise NotSettledError(f"{self!r} has no result yet")

    def cancel(self) -> bool:
        """Cancel it: at once while it is queued; while it runs, by a ``CancelledError`` in its work.

        Returns:
            False if it is settled already.
        """
        if self.done():
            return False
        if self._origin is None:
            if self._state is RUNNING:
                cancel(self._place)
            else:
                close_work(self._work)
                self.settle(CANCELLED, None)
            return True
        return bool(self._origin.scheduler.cancel(self))

    def add_done_callback(self, callback: Callable[[Task[T]], Any]) -> None:
        """Call ``callback(task)`` once it is settled (at once if it is); what it raises is logged."""
        if self.done():
            _call_back(callback, self)
        else:
            self._waiters().append(callback)

    def remove_done_callback(self, callback: Callable[[Task[T]], Any]) -> int:
        """Take back :meth:`add_done_callback`; returns how many were removed."""
        if self.done() or self._value is None:
            return 0
        before = len(self._value)
        self._value = [one for one in self._value if one != callback] or None
        return before - len(self._value or ())

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait until it is settled; gives the result or raises what the work raised. May be awaited many times.

        Cancelling the wait does not cancel the task.
        """
        if self._state is PENDING or self._state is RUNNING:
            yield from self._until_settled()
        return self.result()

    async def wait(self) -> None:
        """Wait until it is settled, whatever the outcome."""
        if not self.done():
            await _Settling(self)

    async def run(self) -> T:
        """Run the work here and now, without a manager and its rules; of a task in a manager, await the result.

        Raises:
            Exception: What the work raised.
        """
        if self._origin is not None or self._state is not PENDING:
            return await self
        self._state = RUNNING
        self._attempts = 1
        self._place = asyncio.current_task()
        token = _current.set(self)
        try:
            value = await self.call()
        except asyncio.CancelledError:
            self.settle(CANCELLED, None)
            raise
        except BaseException as error:
            self.settle(FAILED, error)
            self.exception()
            raise
        finally:
            _current.reset(token)
        self.settle(SUCCEEDED, value)
        return value

    def settle(self, state: TaskState, value: Any) -> None:
        """Make it final and tell those who wait. For the manager; strategies call ``manager.settle``."""
        waiters = self._value
        self._state = state
        self._value = value
        self._place = _Unseen(self, value) if state is FAILED else None
        self._work = self._args = self._origin = None
        if waiters is not None:
            self.tell(waiters)

    def tell(self, waiters: List[Any]) -> None:
        """It is settled: tell those who wait for it. For the manager."""
        for waiter in waiters:
            if isinstance(waiter, asyncio.Future):
                _wake(waiter)
            else:
                _call_back(waiter, self)

    def _attached(self) -> Scheduler:
        if self._origin is None:
            raise ManagerStateError(f"{self!r} is in no manager" if not self.done() else f"{self!r} is settled")
        return cast("Scheduler", self._origin.scheduler)

    def _waiters(self) -> List[Any]:
        if self._value is None:
            self._value = []
        return cast(List[Any], self._value)

    def _until_settled(self) -> Generator[Any, Any, None]:
        by = _current.get()
        scheduler = None if self._origin is None else self._origin.scheduler
        if scheduler is not None:
            scheduler.check_loop(self)
        if scheduler is None or by is None or by._state is not RUNNING or by._origin is None:
            yield from self._future_settled()
        else:
            yield from scheduler.waits.wait(self, by)

    def _future_settled(self) -> Generator[Any, Any, None]:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters().append(waiter)
        try:
            yield from waiter
        finally:
            if not self.done():
                self.remove_done_callback(cast(Any, waiter))

    def __repr__(self) -> str:
        name = None if self._metadata is None else self._metadata.get("name")
        if name is None:
            work = self._work
            name = getattr(work, "__qualname__", type(work).__name__) if work is not None else f"at {id(self):#x}"
        return f"<Task {name} {self._state.value}>"


class _Settling:
    """Awaits the end of a task, not its result."""

    def __init__(self, task: Task[Any]) -> None:
        self._task = task

    def __await__(self) -> Generator[Any, Any, None]:
        return self._task._until_settled()


class _Unseen:
    """Reports a failure at which nobody looked, as asyncio does, when the handle is gone.

    An object of its own, since a ``__del__`` on every handle would cost each of them.
    """

    __slots__ = ("error", "name", "seen")

    def __init__(self, task: Task[Any], error: BaseException) -> None:
        self.name = repr(task)
        self.error = error
        self.seen = False

    def __del__(self) -> None:
        if not self.seen:
            kind, trace = type(self.error), self.error.__traceback__
            _log.error("%s: its exception was never retrieved", self.name, exc_info=(kind, self.error, trace))


def _wake(waiter: asyncio.Future[None]) -> None:
    if waiter.done():
        return
    loop = waiter.get_loop() if hasattr(waiter, "get_loop") else cast(Any, waiter)._loop
    if loop.is_closed():
        return
    if asyncio._get_running_loop() is loop:
        waiter.set_result(None)
    else:
        loop.call_soon_threadsafe(_wake, waiter)


def _call_back(callback: Callable[[Any], Any], task: Task[Any]) -> None:
    try:
        callback(task)
    except RAISED:
        _log.exception("a done callback of %r raised", task)
