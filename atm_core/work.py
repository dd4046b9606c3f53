"""What users hand in as work: checked when it is added, closed when it will not run."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from contextvars import copy_context
from typing import Any, Awaitable, Callable, Dict, Mapping, Optional, Tuple, TypeVar

from atm_core.errors import WorkError

__all__ = ["awaitable_of", "check_callable", "check_work", "close_work", "copied", "in_thread"]

T = TypeVar("T")


def in_thread(fn: Callable[..., T]) -> Callable[..., Awaitable[T]]:
    """Make a plain, blocking function fit for ``submit``: each call runs in a thread of the loop's default executor.

    Context variables are passed on. A thread cannot be interrupted: cancelling the task leaves the call running
    while the task is settled.

    Args:
        fn: A function that is not async.

    Raises:
        WorkError: It is async already, or not callable.
    """
    if not callable(fn) or inspect.iscoroutinefunction(fn):
        raise WorkError(f"in_thread takes a plain function, got {fn!r}")

    @functools.wraps(fn)
    async def run_in_thread(*args: Any, **kwargs: Any) -> T:
        call = functools.partial(copy_context().run, fn, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(None, call)

    return run_in_thread


def check_work(work: Any) -> Optional[Tuple[Any, ...]]:
    """The arguments for ``work``: none for a callable, None for an awaitable.

    Raises:
        WorkError: It is neither.
    """
    if isinstance(work, types.CoroutineType) or (not inspect.isclass(work) and inspect.isawaitable(work)):
        return None
    check_callable(work)
    return ()


def check_callable(fn: Any) -> None:
    """Refuse what can be seen never to give an awaitable.

    Raises:
        WorkError: With what to do instead.
    """
    if isinstance(fn, types.FunctionType):
        if fn.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
            raise WorkError(f"{fn.__qualname__} is a generator function: make it async, without yield")
        return
    if not callable(fn):
        raise WorkError(f"work must be an awaitable, or a callable that makes one, got {fn!r}")
    if isinstance(fn, types.BuiltinFunctionType) and inspect.ismodule(fn.__self__):
        raise WorkError(f"{fn.__module__}.{fn.__name__} is not async: pass in_thread({fn.__name__})")
    if inspect.isclass(fn) and not hasattr(fn, "__await__"):
        raise WorkError(f"{fn.__qualname__} is a class, whose instances cannot be awaited")


def awaitable_of(fn: Callable[..., Any], made: Any) -> Any:
    """``made``, which ``fn`` returned, if it can be awaited.

    Raises:
        WorkError: It cannot.
    """
    if inspect.isawaitable(made):
        return made
    name = getattr(fn, "__qualname__", None) or repr(fn)
    raise WorkError(
        f"{name} returned {type(made).__name__}, not an awaitable: make it async, or pass in_thread({name})"
    )


def copied(metadata: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """A copy of a task's metadata.

    Raises:
        WorkError: It is no mapping.
    """
    if metadata is None:
        return None
    if not isinstance(metadata, (dict, Mapping)):  # an abstract class alone takes five times as long
        raise WorkError(f"metadata must be a mapping such as a dict, got {metadata!r}")
    return dict(metadata)


def close_work(work: Any) -> None:
    """Close a coroutine that will not be run, so that Python does not warn that it was never awaited."""
    if isinstance(work, types.CoroutineType) and inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
        work.close()
