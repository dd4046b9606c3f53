"""Test a day of your schedule in a second: an asyncio loop whose clock jumps from timer to timer.

Nothing sleeps. When no callback is ready, the loop sets its clock to the next timer's time and goes on, so an
hour of rate limiting takes milliseconds, and every run sees the same times to the last digit::

    import asyncio
    from atm_core.testing.virtual_time import run

    async def nightly_report() -> float:
        await asyncio.sleep(24 * 3600)
        return asyncio.get_running_loop().time()

    assert run(nightly_report()) == 86400.0     # at once

What is real stays outside: sockets, pipes, subprocesses, signals and threads raise `RealIOError`, unless
``allow_io=True`` lets them in. A program that waits for what cannot come any more raises `DeadlockError`,
which names who waits and where. ``time.sleep``, ``time.time`` and ``datetime.now`` know nothing of this
clock: let the code under test ask the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import heapq
import math
import selectors
import signal
import threading
import weakref
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Deque,
    Generator,
    List,
    NoReturn,
    Optional,
    Tuple,
    TypeVar,
    Union,
)

from atm_core.testing._virtual_time import (
    REAL_IO_METHODS,
    Job,
    NoIOSelector,
    Timer,
    VirtualSelector,
    by_name,
    last_place,
    suspension_report,
)

if TYPE_CHECKING:
    import contextvars

    from typing_extensions import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")

__all__ = ["DeadlockError", "RealIOError", "VirtualTimeLoop", "VirtualTimePolicy", "run"]

_T = TypeVar("_T")

# A task may ignore a cancellation or two while it cleans up. One that ignores this many will not end.
_MAX_CANCEL_ROUNDS = 10

# Real time between two looks at a job that may have begun to wait for the loop.
_GLANCE_SECONDS = 0.005


class DeadlockError(RuntimeError):
    """The program waits for what can never come; the message names each waiting task and its line."""


class RealIOError(RuntimeError):
    """Code in a virtual-time loop reached for I/O, a subprocess, a signal or a thread that is not allowed."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time: its clock starts at 0.0 and jumps to the next timer when idle.

    After a jump ``loop.time()`` equals the timer's time to the digit. Timers of one time fire in the order in
    which they were set, timers of different times never in the same jump, one at infinity never.

    ``call_soon_threadsafe`` works from every thread, but the loop waits only for threads that it started
    itself, through ``run_in_executor``: for others it holds back neither a jump nor a `DeadlockError`.

    With ``allow_io=True`` real and virtual time meet as follows:

    - While a job runs in an executor, the clock stands still, and the loop really waits until the job ends.
      A job in a thread that waits for the loop (``run_coroutine_threadsafe(...).result()``) does not hold it back.
    - Sockets, pipes, subprocesses and signals are asked, without waiting, before each jump. So a timeout
      around real I/O ends at once if the data is not there yet.
    - With no timer left the loop really waits for those. Only when there are none is it a deadlock.

    A timer costs what asyncio's does: O(log n) time and one handle in memory.

    Args:
        wall_start: POSIX time in seconds, any finite number, that `wall_time` gives at the start.
        allow_io: Whether real I/O, subprocesses, signals and threads may be used.

    Raises:
        TypeError: If ``wall_start`` is not a number.
        ValueError: If ``wall_start`` is not finite.
    """

    if TYPE_CHECKING:  # What asyncio has, but the published stubs leave out.
        _ready: Deque[asyncio.Handle]
        _scheduled: List[asyncio.TimerHandle]
        _clock_resolution: float

        def _check_closed(self) -> None: ...
        def _check_thread(self) -> None: ...
        def _check_callback(self, callback: object, method: str) -> None: ...

    # A loop whose settings are refused was never open: its finalizer has nothing to complain about.
    _closed = True

    def __init__(self, *, wall_start: float = 0.0, allow_io: bool = False) -> None:
        self._wall_offset = _finite_seconds("wall_start", wall_start)
        self._allow_io = allow_io
        self._timer_count = 0
        self._task_numbers: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
        self._task_count = 0
        self._jobs: List[Job] = []
        self._children: weakref.WeakSet[asyncio.SubprocessTransport] = weakref.WeakSet()
        inner: selectors.BaseSelector = selectors.DefaultSelector() if allow_io else NoIOSelector(_refuse)
        super().__init__(VirtualSelector(inner, self._wait))
        self._set_clock(0.0)
        if not allow_io:
            for name in REAL_IO_METHODS:
                if hasattr(type(self), name):  # Some came after Python 3.7.
                    setattr(self, name, functools.partial(_refuse, name))

    def time(self) -> float:
        """Return the virtual time in seconds since the loop was made."""
        return self._now

    def wall_time(self) -> float:
        """Return the wall clock's POSIX time in seconds: ``wall_start``, plus `time`, plus its own jumps."""
        return self._wall_offset + self._now

    def jump_wall_clock(self, seconds: float) -> None:
        """Move the wall clock alone, as NTP or a suspended machine does; timers do not notice.

        Args:
            seconds: How far to move it, any finite number; a negative one moves it backwards.

        Raises:
            TypeError: If ``seconds`` is not a number.
            ValueError: If ``seconds`` is not finite.
        """
        self._wall_offset += _finite_seconds("seconds", seconds)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Optional[contextvars.Context] = None,
    ) -> asyncio.TimerHandle:
        """Call ``callback`` at virtual time ``when``, after the calls that were set for the same time before.

        Args:
            when: Virtual time in seconds; a past one means the loop's next turn, infinity means never.
            callback: What to call.
            *args: What to call it with.
            context: The context to call it in; the current one by default.

        Returns:
            The handle that can cancel the call.

        Raises:
            ValueError: If ``when`` is NaN.
        """
        when = float(when)
        if math.isnan(when):
            raise ValueError("when must be a time in seconds, got nan")
        self._check_closed()
        if self.get_debug():
            self._check_thread()
            self._check_callback(callback, "call_at")
        timer = Timer(when, callback, args, self, context)
        timer._order = self._timer_count
        self._timer_count += 1
        if timer._source_traceback:
            del timer._source_traceback[-1]  # As asyncio does: debug output shall name the caller's line.
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def create_task(
        self, coro: Union[Coroutine[Any, Any, _T], Generator[Any, None, _T]], **kwargs: Any
    ) -> asyncio.Task[_T]:
        """Start ``coro`` as a task, as asyncio does, and remember its place in the order of tasks."""
        base: Any = super()
        task: asyncio.Task[_T] = base.create_task(coro, **kwargs)
        self._task_numbers[task] = self._task_count
        self._task_count += 1
        source: Any = getattr(task, "_source_traceback", None)
        if source:
            del source[-1]
        return task

    def run_in_executor(
        self,
        executor: Optional[concurrent.futures.Executor],
        func: Callable[[Unpack[_Ts]], _T],
        *args: Unpack[_Ts],
    ) -> asyncio.Future[_T]:
        """Run ``func`` in a thread or process; the virtual clock stands still until it ends, or waits for the loop.

        Args:
            executor: Where to run it; None for the loop's own thread pool.
            func: What to call.
            *args: What to call it with.

        Returns:
            The future of its result.

        Raises:
            RealIOError: If the loop allows no I/O.
        """
        # Only a thread can be looked at; and what goes to another process has to be pickled.
        in_thread = executor is None or isinstance(executor, concurrent.futures.ThreadPoolExecutor)
        job = Job(func) if in_thread else Job()
        call: Any = job if in_thread else func
        self._jobs.append(job)  # first, since its thread may call the loop at once
        try:
            future = super().run_in_executor(executor, call, *args)
        except BaseException:
            self._jobs.remove(job)
            raise
        future.add_done_callback(lambda _: self._jobs.remove(job))
        return future

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Optional[contextvars.Context] = None,
    ) -> asyncio.Handle:
        """Call ``callback`` in the loop's next turn; may be called from every thread."""
        thread = threading.get_ident()
        for job in tuple(self._jobs):
            if job.thread == thread:
                job.has_asked = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """End the loop's own thread pool, as asyncio does from Python 3.9, while the clock stands still."""
        shutdown = getattr(super(), "shutdown_default_executor", None)
        if shutdown is None:
            return
        job = Job()
        self._jobs.append(job)
        try:
            await shutdown(*args, **kwargs)
        finally:
            self._jobs.remove(job)

    def add_signal_handler(
        self, sig: int, callback: Callable[[Unpack[_Ts]], object], *args: Unpack[_Ts]
    ) -> None:
        """Call ``callback`` when the process gets the signal ``sig``.

        Raises:
            RealIOError: If the loop allows no I/O.
        """
        if self._allow_io:
            super().add_signal_handler(sig, callback, *args)
        # Python 3.7's child watcher attaches itself to whatever loop is made the current one. That must not
        # fail, and without subprocesses it means nothing.
        elif sig != getattr(signal, "SIGCHLD", None):
            _refuse("add_signal_handler")

    async def _make_subprocess_transport(self, *args: Any, **kwargs: Any) -> Any:
        base: Any = super()
        transport = await base._make_subprocess_transport(*args, **kwargs)
        self._children.add(transport)
        return transport

    def _make_self_pipe(self) -> None:
        if self._allow_io:
            base: Any = super()
            base._make_self_pipe()

    def _close_self_pipe(self) -> None:
        if self._allow_io:
            base: Any = super()
            base._close_self_pipe()

    def _write_to_self(self) -> None:
        if self._allow_io:  # A loop without I/O never blocks: there is nobody to wake.
            base: Any = super()
            base._write_to_self()

    def _set_clock(self, now: float) -> None:
        self._now = now
        # asyncio runs the timers before time() + _clock_resolution. With one unit in the last place that is
        # the next float after now: what is due runs, and nothing else does.
        self._clock_resolution = last_place(now)

    def _wait(self, inner: selectors.BaseSelector) -> List[Any]:
        """Do what a selector does when nothing is ready: not wait for the next timer, but jump to it."""
        if not all(job.waits() for job in self._jobs):
            # Those that have called the loop may soon wait for it, and nobody tells when.
            return inner.select(_GLANCE_SECONDS if any(job.has_asked for job in self._jobs) else None)
        events = inner.select(0)
        if events or self._ready:  # A thread may have added a callback since the loop looked.
            return events
        # asyncio has just dropped cancelled timers from the head. Its timeout stops at a day: ask the timer.
        when = self._scheduled[0].when() if self._scheduled else math.inf
        if when < math.inf:
            self._set_clock(when)
            return []
        if self._expects_io(inner):
            return inner.select(None)
        raise DeadlockError(
            "nothing is ready to run and no timer is set, so this can never come: "
            + suspension_report(self._unfinished_tasks())
        )

    def _unfinished_tasks(self) -> List[asyncio.Task[Any]]:
        """Return the tasks in the order in which they were made: asyncio's set has another one in each run.

        Those that were not made through the loop follow, by their names and lines.
        """

        def place(task: asyncio.Task[Any]) -> Tuple[float, int, str]:
            number = self._task_numbers.get(task)
            return (math.inf, *by_name(task)) if number is None else (number, 0, "")

        return sorted(asyncio.all_tasks(self), key=place)

    def _expects_io(self, inner: selectors.BaseSelector) -> bool:
        """Whether a file other than the loop's own self-pipe, a subprocess or a signal may still wake it."""
        if not self._allow_io:
            return False
        child_signal = getattr(signal, "SIGCHLD", None)
        return (
            len(inner.get_map()) > 1
            or any(child.get_returncode() is None for child in self._children)
            or any(sig != child_signal for sig in getattr(self, "_signal_handlers", ()))
        )


def run(main: Coroutine[Any, Any, _T], *, wall_start: float = 0.0, allow_io: bool = False) -> _T:
    """Run a coroutine in virtual time, in a new `VirtualTimeLoop`, as ``asyncio.run`` does in real time.

    Whatever happens, tasks that are left over are cancelled and awaited, asynchronous generators and the
    thread pool are closed, and so is the loop.

    Args:
        main: The coroutine.
        wall_start: POSIX time in seconds, any finite number, that the wall clock starts at.
        allow_io: Whether real I/O, subprocesses, signals and threads may be used; see `VirtualTimeLoop`.

    Returns:
        What the coroutine returns.

    Raises:
        DeadlockError: If the coroutine, or the clean-up after it, waits for what can never come.
        RuntimeError: If the thread already runs an event loop.
        ValueError: If ``main`` is not a coroutine.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("run() cannot be called from a running event loop: await the coroutine instead")
    if not asyncio.iscoroutine(main):
        raise ValueError(f"a coroutine was expected, got {main!r}")
    loop = VirtualTimeLoop(wall_start=wall_start, allow_io=allow_io)
    try:
        asyncio.set_event_loop(loop)
        result: _T = loop.run_until_complete(main)
        return result
    finally:
        _finish(loop)


def _finish(loop: VirtualTimeLoop) -> None:
    """End everything in the loop, in the order of ``asyncio.run``, and close it."""
    try:
        _cancel_all_tasks(loop)
        try:
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            _cancel_all_tasks(loop)  # Finds some only when a generator hung.
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _cancel_all_tasks(loop: VirtualTimeLoop) -> None:
    """Cancel and await what is left; what then waits for ever again is cancelled again, up to a limit."""
    for rounds_left in reversed(range(_MAX_CANCEL_ROUNDS)):
        tasks = loop._unfinished_tasks()
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        try:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        except DeadlockError:
            if not rounds_left:
                for task in tasks:  # The error names them: asyncio need not complain a second time.
                    task._log_destroy_pending = False  # type: ignore[attr-defined,unused-ignore]
                raise
        finally:
            _report_failures(loop, tasks)


def _report_failures(loop: VirtualTimeLoop, tasks: List[asyncio.Task[Any]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception while a virtual-time loop cancelled what was left",
                    "exception": task.exception(),
                    "task": task,
                }
            )


def _refuse(name: str, *args: object, **kwargs: object) -> NoReturn:
    raise RealIOError(
        f"{name}() reaches out of virtual time: use a fake in its place, "
        "or allow it with VirtualTimeLoop(allow_io=True) or run(..., allow_io=True)"
    )


def _finite_seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number of seconds, got {value!r}")
    return float(value)


if TYPE_CHECKING:

    class VirtualTimePolicy(asyncio.DefaultEventLoopPolicy):
        def __init__(self, *, wall_start: float = 0.0, allow_io: bool = False) -> None: ...
        def new_event_loop(self) -> VirtualTimeLoop: ...

else:

    def __getattr__(name: str) -> Any:
        # asyncio deprecates policies from Python 3.14: the class is built only for who asks for it.
        if name == "VirtualTimePolicy":
            return _policy_class()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    @functools.lru_cache(maxsize=None)
    def _policy_class() -> Any:
        class VirtualTimePolicy(asyncio.DefaultEventLoopPolicy):
            """A policy that makes `VirtualTimeLoop` loops, for tools that ask a policy for their loop.

            Args:
                wall_start: POSIX time in seconds, any finite number, that each loop's wall clock starts at.
                allow_io: Whether the loops allow real I/O; see `VirtualTimeLoop`.
            """

            def __init__(self, *, wall_start: float = 0.0, allow_io: bool = False) -> None:
                super().__init__()
                self._new_loop = functools.partial(VirtualTimeLoop, wall_start=wall_start, allow_io=allow_io)

            def new_event_loop(self) -> VirtualTimeLoop:
                """Return a new loop in virtual time; closing it is the caller's task."""
                return self._new_loop()

        VirtualTimePolicy.__qualname__ = "VirtualTimePolicy"
        return VirtualTimePolicy
