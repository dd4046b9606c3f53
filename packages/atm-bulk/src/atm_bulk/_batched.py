"""``@batched``: marks a function that takes many items in one call."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import (
    Any,
    Awaitable,
    Callable,
    Generic,
    Hashable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
    overload,
)

from atm_bulk._errors import BatchResultError
from atm_core import Outcome, Task, WorkError

__all__ = ["Batched", "batched", "batched_call"]

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")


class Batched(Generic[I, R]):
    """A function of a list of items, called with one item: :class:`BulkStrategy` gathers the calls.

    ``manager.submit(fn, item)`` gives a task with that item's own result. Called directly, or by a manager
    without the strategy, it is a batch of one. The function of a list is its attribute ``fn``.
    """

    def __init__(self, fn: Callable[..., Awaitable[Any]], of: Any = None) -> None:
        functools.update_wrapper(self, fn)
        self._function = fn
        self.fn = fn if of is None else functools.partial(fn, of)
        #: Batches are formed of calls of one identity: one function or, if it is a method, of one object.
        self.identity: Hashable = (fn, id(of))

    def __get__(self, instance: Any, owner: Any = None) -> Batched[I, R]:
        """The method of an object, whose batches are its own."""
        return self if instance is None else Batched(self._function, instance)

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return getattr(self._function, "__qualname__", None) or repr(self._function)

    async def __call__(self, item: I) -> R:
        """A batch of one: the result of ``item``.

        Raises:
            Exception: What the function raised, or gave for the item.
            BatchResultError: The function returned what does not fit one item.
        """
        outcome = (await self.call([item]))[0]
        if outcome.cancelled:
            raise asyncio.CancelledError
        if outcome.exception is not None:
            raise outcome.exception
        return outcome.value  # type: ignore[no-any-return]

    async def call(self, items: List[I]) -> List[Outcome]:
        """Call the function with ``items`` and deal out what it returns: an outcome for each, in their order.

        Raises:
            Exception: What the function raised.
            BatchResultError, WorkError: It returned what cannot be dealt out, or awaited.
        """
        size = len(items)
        made = self.fn(items)
        if not inspect.isawaitable(made):
            kind = type(made).__name__
            raise WorkError(f"{self.name} returned {kind}, not an awaitable: make it async, or batched(in_thread(...))")
        return self._dealt(size, await made)

    def _dealt(self, size: int, answer: Any) -> List[Outcome]:
        if answer is None:
            return [Outcome() for _ in range(size)]
        if isinstance(answer, Mapping):
            return self._with_failures(size, answer)
        if not isinstance(answer, Sequence) or isinstance(answer, (str, bytes, bytearray)):
            wanted = f"None, a list of {size} results or {{index: exception}}"
            raise BatchResultError(f"{self.name} must return {wanted}, got {type(answer).__name__}")
        if len(answer) != size:
            raise BatchResultError(f"{self.name} got {size} items and returned {len(answer)} results")
        return [_outcome(one) for one in answer]

    def _with_failures(self, size: int, failures: Mapping[Any, Any]) -> List[Outcome]:
        dealt = [Outcome() for _ in range(size)]
        for index, error in failures.items():
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < size:
                raise BatchResultError(f"{self.name} got {size} items and returned a failure at {index!r}")
            if not isinstance(error, BaseException):
                raise BatchResultError(f"{self.name} must give an exception for item {index}, got {error!r}")
            dealt[index] = _outcome(error)
        return dealt

    def __repr__(self) -> str:
        return f"<batched {self.name}>"


def _outcome(result: Any) -> Outcome:
    if isinstance(result, BaseException):
        return Outcome(None, result, isinstance(result, asyncio.CancelledError))
    return Outcome(result)


@overload
def batched(
    fn: Callable[[List[I]], Awaitable[Optional[Mapping[int, BaseException]]]],
) -> Batched[I, None]: ...


@overload
def batched(fn: Callable[[List[I]], Awaitable[Sequence[Union[R, BaseException]]]]) -> Batched[I, R]: ...


@overload
def batched(
    fn: Callable[[Any, List[I]], Awaitable[Optional[Mapping[int, BaseException]]]],
) -> Batched[I, None]: ...


@overload
def batched(fn: Callable[[Any, List[I]], Awaitable[Sequence[Union[R, BaseException]]]]) -> Batched[I, R]: ...


def batched(fn: Any) -> Any:
    """Mark an async function of a list of items, to be submitted with one item each.

    ::

        @batched
        async def insert_rows(rows): ...

        task = manager.submit(insert_rows, row)     # task's result is this row's

    The function returns None (all succeeded); or a list as long as the items, in which an exception is that
    item's failure; or a dict ``{index: exception}`` of the failures alone. What it raises is the failure of
    the whole batch.

    Args:
        fn: The function, or a method. A blocking one: ``batched(in_thread(fn))``.

    Raises:
        WorkError: It can be seen not to give an awaitable.
    """
    if not callable(fn) or inspect.isclass(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise WorkError(f"batched takes an async function of a list, got {fn!r}")
    return Batched(fn)


def batched_call(task: Task[Any]) -> Optional[Tuple[Batched[Any, Any], Any]]:
    """The batched function and the item, if that is what the task is about; None for any other work.

    ``functools.partial(fn, item)`` is the same call: ``add_task`` with metadata needs it in that form. A call with
    anything else than one item is left alone, to fail as calls do.
    """
    work: Any = task.work
    args = task.args
    if args is None:
        return None
    while type(work) is functools.partial and not work.keywords:
        args = work.args + args
        work = work.func
    return (work, args[0]) if isinstance(work, Batched) and len(args) == 1 else None
