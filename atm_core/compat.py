"""What differs between Python versions, in one place."""

from __future__ import annotations

import asyncio
import functools
import sys
from typing import Any, Callable, Dict, Iterable, Tuple

__all__ = ["RAISED", "cancel", "coroutine_of", "distributions", "load_toml", "references", "task_maker"]

#: What a stranger's function may raise and we go on. From Python 3.8 on, a ``CancelledError`` is no ``Exception``; and
#: it is what the result of a cancelled task raises.
RAISED = (Exception, asyncio.CancelledError)

if sys.implementation.name == "cpython" and (3, 11) <= sys.version_info < (3, 14):
    references = sys.getrefcount
else:

    def references(__object: Any) -> int:
        """How many references there are to an object, this call's among them.

        At most: Python tells it only where a call takes over what it is passed, and nothing is borrowed.
        """
        return sys.maxsize


def task_maker(loop: Any, name: str) -> Tuple[Callable[[Any], asyncio.Task[Any]], bool, bool]:
    """How to make the asyncio task of a coroutine, in a copy of the current context; whether to prime that first; and
    whether it may have begun, or ended, before this returns.

    From Python 3.12 on it does, and need not be primed. A loop with a task factory of its own makes them itself; an
    eager one, too, to which a primed coroutine does no harm.
    """
    if loop.get_task_factory() is not None:
        return loop.create_task, True, True
    if sys.version_info >= (3, 12):
        return functools.partial(asyncio.Task, loop=loop, name=name, eager_start=True), False, True
    if sys.version_info >= (3, 8):
        return functools.partial(asyncio.Task, loop=loop, name=name), True, False
    return functools.partial(asyncio.Task, loop=loop), True, False


def distributions() -> Iterable[Any]:
    """The installed distributions. What reads them is imported here: that takes longer than all the rest."""
    if sys.version_info >= (3, 10):
        from importlib import metadata
    else:
        import importlib_metadata as metadata
    return metadata.distributions()


def coroutine_of(task: asyncio.Task[Any]) -> Any:
    """The coroutine that an asyncio task runs."""
    if sys.version_info >= (3, 8):
        return task.get_coro()
    return task._coro


def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel an asyncio task.

    Python 3.7 ends a task that is cancelled in its very last step with an exception, and reports that as unseen.
    """
    task.cancel()
    if sys.version_info < (3, 8):
        task.add_done_callback(lambda task: task.cancelled() or task.exception())


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
