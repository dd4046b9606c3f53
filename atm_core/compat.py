"""What differs between Python versions, in one place."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from contextvars import Context

if sys.version_info >= (3, 10):
    from importlib import metadata
else:
    import importlib_metadata as metadata

__all__ = ["EAGER", "coroutine_of", "load_toml", "make_task", "metadata"]

#: Whether attempts can begin inside the scheduler's own turn.
EAGER = sys.version_info >= (3, 12)

# An asyncio.Task copies the context in which it is made. A loop with a task factory of its own makes its own tasks;
# factories that start eagerly (asyncio.eager_task_factory) included, since ours are primed then.

if EAGER:

    def make_task(context: Context, coro: Any, loop: Any, name: str, primed: bool) -> asyncio.Task[Any]:
        """An ``asyncio.Task`` in a copy of ``context``; unless ``primed`` it has begun when this returns."""
        if primed:
            return context.run(loop.create_task, coro, name=name)
        return context.run(_Task, coro, loop=loop, name=name, eager_start=True)

elif sys.version_info >= (3, 8):

    def make_task(context: Context, coro: Any, loop: Any, name: str, primed: bool) -> asyncio.Task[Any]:
        """An ``asyncio.Task`` in a copy of ``context``."""
        if loop.get_task_factory() is not None:
            return context.run(loop.create_task, coro, name=name)
        return context.run(_Task, coro, loop=loop, name=name)

else:

    def make_task(context: Context, coro: Any, loop: Any, name: str, primed: bool) -> asyncio.Task[Any]:
        """An ``asyncio.Task`` in a copy of ``context``; Python 3.7 knows no names of tasks."""
        if loop.get_task_factory() is not None:
            return context.run(loop.create_task, coro)
        return context.run(_Task, coro, loop=loop)


_Task: Any = asyncio.Task


def coroutine_of(task: asyncio.Task[Any]) -> Any:
    """The coroutine that an asyncio task runs."""
    return getattr(task, "_coro") if sys.version_info < (3, 8) else task.get_coro()


def load_toml(text: str) -> Dict[str, Any]:
    """Parse TOML.

    Raises:
        ValueError: It is not TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)
