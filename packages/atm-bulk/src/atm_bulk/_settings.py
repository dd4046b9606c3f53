"""Settings that only this strategy has: what it looks at in an item, and by what it forms batches."""

from __future__ import annotations

import math
from typing import Any, Callable, Hashable, NamedTuple, Optional, Sequence, Tuple, Union

from atm_core import CostTooLargeError, Settings, Task, TaskRejected

__all__ = ["Key", "OfItem", "Weights", "check_key", "check_of_item", "check_weights"]

Key = Union[None, str, Sequence[str], Callable[[Task[Any]], Hashable]]
OfItem = Union[None, str, Callable[[Any], Any]]


def check_of_item(
    check: Settings, parameter: str, value: Any, *, itself: bool = False
) -> Optional[Callable[[Task[Any], Any], Any]]:
    """A metadata field's name, a function of the item or its dotted name, or with ``itself`` True for the
    item.

    Returns:
        A function of the task and its item, or None.
    """
    if value is None or (itself and value is False):
        return None
    if itself and value is True:
        return lambda task, item: item
    if isinstance(value, str) and ":" not in value:
        read = check.field(parameter, value)
        return None if read is None else lambda task, item: read(task)
    function = check.callable(parameter, value)
    return lambda task, item: function(item)


def check_key(check: Settings, key: Any) -> Tuple[Tuple[str, ...], Callable[[Task[Any]], Tuple[Hashable, ...]]]:
    """What all items of a batch have in common.

    Returns:
        The names under which the batch's task carries it, and a function of a task that gives the values.
    """
    if key is None:
        return (), lambda task: ()
    names = key if isinstance(key, (list, tuple)) else [key]
    if key and all(isinstance(name, str) and name and ":" not in name for name in names):
        return tuple(names), lambda task: tuple(task.metadata.get(name) for name in names)
    if names is key:
        check.fail(
            "key",
            key,
            "must be a metadata field's name, a list of these, or a function of the task",
            wrong_type=True,
        )
    read = check.field("key", None if names is key else key)
    return ("batch_key",), lambda task: (None if read is None else read(task),)


class Weights(NamedTuple):
    """What items weigh.

    ``read`` gives a task's weight from its item; ``most`` is what a whole batch may weigh.
    """

    read: Callable[[Task[Any], Any], Any]
    most: float

    def of(self, task: Task[Any], item: Any) -> float:
        """The weight of ``item``; 1 if nothing says it.

        Raises:
            TaskRejected: It is not a finite number of at least 0.
            CostTooLargeError: It is more than ``most``, so that no batch has room for the item.
        """
        weight = self.read(task, item)
        if weight is None:
            weight = 1.0
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
            raise TaskRejected(f"the weight of {task!r} must be a finite number, 0 or more, got {weight!r}")
        if weight > self.most:
            raise CostTooLargeError(f"{task!r} weighs {weight:g}, but max_batch_weight is {self.most:g}")
        return float(weight)


def check_weights(check: Settings, weight: Any, max_batch_weight: Any) -> Optional[Weights]:
    """What items weigh, and what a batch may; None without ``weight``."""
    most = check.number("max_batch_weight", max_batch_weight, above=0.0, optional=True)
    read = check_of_item(check, "weight", weight)
    if max_batch_weight is not None and weight is None:
        check.fail("max_batch_weight", max_batch_weight, "needs weight, which says what an item weighs")
    return None if read is None else Weights(read, math.inf if most is None else most)
