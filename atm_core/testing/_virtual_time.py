"""The parts of virtual time: its selectors, its timers, and the report that says where tasks wait."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import selectors
import sys
import threading
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

# Every public method of a loop that reaches for the network, the file system, a process or a thread.
REAL_IO_METHODS = (
    "add_reader",
    "add_writer",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "run_in_executor",
    "sendfile",
    "set_default_executor",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
)

_ASYNCIO = os.path.dirname(asyncio.__file__) + os.sep
_AWAITED = ("cr_await", "gi_yieldfrom", "ag_await")
_FRAMES = ("cr_frame", "gi_frame", "ag_frame")


class Timer(asyncio.TimerHandle):
    """A timer that keeps its place among those of the same time: a heap alone does not."""

    __slots__ = ("_order",)
    _order: int

    if TYPE_CHECKING:
        _when: float
        _scheduled: bool
        _source_traceback: Any

    def __lt__(self, other: Any) -> bool:
        if self._when == other._when:
            return bool(self._order < other._order)
        return bool(self._when < other._when)


def last_place(value: float) -> float:
    """Return the distance from ``value`` (0.0 or more) to the next larger float (``math.ulp``, from 3.9)."""
    exponent = math.frexp(value)[1] - 53 if value else -1074
    return math.ldexp(1.0, max(exponent, -1074))


class Job:
    """A call in an executor, as the loop sees it: does it work, or wait for what only the loop can give?

    It waits for the loop when it has called the loop, and now stands in a condition's ``wait``, as
    ``run_coroutine_threadsafe(...).result()`` does.

    Args:
        call: What to call; None for a job whose thread is not known, which always works.
    """

    def __init__(self, call: Optional[Callable[..., Any]] = None) -> None:
        self.has_asked = False
        self.thread: Optional[int] = None
        self._call = call

    def __call__(self, *args: Any) -> Any:
        assert self._call is not None
        self.thread = threading.get_ident()
        try:
            return self._call(*args)
        finally:
            self.thread = None

    def waits(self) -> bool:
        """Whether it waits for the loop."""
        frame = sys._current_frames().get(self.thread or 0) if self.has_asked else None
        if frame is None or frame.f_code is not threading.Condition.wait.__code__:
            return False
        names = frame.f_locals
        # A waiter that was notified has left the condition, even if its thread has not gone on yet.
        return names.get("waiter") in names["self"]._waiters


class NoIOSelector(selectors.BaseSelector):
    """A selector that owns no file descriptor, has nothing to report and never waits.

    Args:
        refuse: Called with a method's name when a file is registered; raises.
    """

    def __init__(self, refuse: Callable[[str], Any]) -> None:
        self._refuse = refuse

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        self._refuse("add_reader" if events & selectors.EVENT_READ else "add_writer")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(f"{fileobj!r} is not registered")

    def select(self, timeout: Optional[float] = None) -> List[Any]:
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        nothing: Dict[Any, selectors.SelectorKey] = {}
        return nothing


class VirtualSelector(selectors.BaseSelector):
    """A selector that asks the loop what to do instead of waiting.

    Args:
        inner: The selector that knows the files.
        wait: Called with ``inner`` when the loop has nothing to run; returns events, as ``select`` does.
    """

    def __init__(
        self, inner: selectors.BaseSelector, wait: Callable[[selectors.BaseSelector], List[Any]]
    ) -> None:
        self._inner = inner
        self._wait = wait

    def select(self, timeout: Optional[float] = None) -> List[Any]:
        if timeout is not None and timeout <= 0:
            return self._inner.select(0)
        return self._wait(self._inner)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


def suspension_report(tasks: Sequence[asyncio.Task[Any]]) -> str:
    """Return how many tasks wait, and below that a line for each: name, coroutine, file and line.

    Args:
        tasks: Unfinished tasks, none of which is running.
    """
    if not tasks:
        return "no task is left that could go on"
    waiting = "1 task waits" if len(tasks) == 1 else f"{len(tasks)} tasks wait"
    return "\n  ".join([waiting, *map(describe, tasks)])


def describe(task: asyncio.Task[Any]) -> str:
    """Return one line about a suspended task: name, coroutine, innermost awaiting frame.

    Where that frame is in asyncio itself (``Queue.get``), the innermost one outside follows.
    """
    coroutine = _coroutine(task)
    what = f"{coroutine.__qualname__}()" if hasattr(coroutine, "__qualname__") else repr(coroutine)
    name = _name(task)
    who = f"{name}: {what}" if name else what
    frames = list(_frames(coroutine))
    if not frames:
        return f"{who} at an unknown line"
    text = f"{who} at {_location(frames[-1])}"
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_ASYNCIO)]
    if own and own[-1] is not frames[-1]:
        text += f", awaited at {_location(own[-1])}"
    return text


def by_name(task: asyncio.Task[Any]) -> Tuple[int, str]:
    """Return a key that sorts suspended tasks by name, Task-2 before Task-10, and then by line."""
    return len(_name(task)), describe(task)


def _name(task: asyncio.Task[Any]) -> str:
    get_name = getattr(task, "get_name", None)  # from Python 3.8
    return str(get_name()) if get_name is not None else ""


def _coroutine(task: asyncio.Task[Any]) -> Any:
    get_coro = getattr(task, "get_coro", None)  # from Python 3.8
    return get_coro() if get_coro is not None else getattr(task, "_coro", None)


def _frames(step: Any) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, from the outermost to the innermost."""
    while step is not None:
        for attribute in _FRAMES:
            frame = getattr(step, attribute, None)
            if frame is not None:
                yield frame
        step = _awaited_by(step)


def _awaited_by(step: Any) -> Any:
    for attribute in _AWAITED:
        if hasattr(step, attribute):
            return getattr(step, attribute)
    # The wrappers around `__anext__`, and around a coroutine's `__await__`, have no such attribute, but the
    # garbage collector knows what they hold.
    for held in gc.get_referents(step):
        if isinstance(held, (CoroutineType, GeneratorType, AsyncGeneratorType)):
            return held
    return None


def _location(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
