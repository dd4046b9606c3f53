"""The two bases of strategies: four methods for a queue of one's own, or a gate that answers "when?"."""

from __future__ import annotations

import abc
import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Hashable, Optional, Tuple, Union

from atm_core.calls import HookCalls
from atm_core.errors import CostTooLargeError, TaskRejected
from atm_core.hookspecs import hookimpl
from atm_core.outcome import Outcome
from atm_core.plugins import make_plugin_manager, register
from atm_core.settings import Settings

if TYPE_CHECKING:
    from atm_core.task import Task

__all__ = ["BaseStrategy", "Cost", "Gate", "Key"]

Key = Union[None, str, "Callable[[Task[Any]], Hashable]"]
Cost = Union[None, str, "Callable[[Task[Any]], float]"]


class BaseStrategy(abc.ABC):
    """The simple door: a strategy that keeps its own queue, in four methods and no knowledge of hooks.

    A subclass decides which task comes next and when to ask again. It combines with every other strategy: what it
    hands out still passes their gates.
    """

    #: Whether one instance may be at work in several managers at once. A strategy that says so wakes all of them.
    shareable = False

    @abc.abstractmethod
    def add_task(self, task: Task[Any]) -> None:
        """Take a task into the queue."""

    @abc.abstractmethod
    def get_next_task(self) -> Optional[Task[Any]]:
        """The task that may start now, removed from the queue; None if there is none."""

    @abc.abstractmethod
    async def get_sleep_interval(self) -> Optional[float]:
        """Seconds until the next task may start.

        None: ask again after the manager's ``poll_interval``. ``math.inf``: when something happens.
        """

    @abc.abstractmethod
    async def on_task_done(self) -> None:
        """A task that was handed out has ended: with a result, a failure or a cancellation."""


class Gate(BaseStrategy):
    """Base for strategies that limit: keys, costs, and the four methods for driving it by hand.

    A subclass implements ``atm_ready_at`` and ``atm_started`` and, as needed, ``atm_began`` and ``atm_finished``, and
    asks :meth:`key_of` and :meth:`cost_of` what it is to look at. A cost that could never fit is refused by what it
    answers in :meth:`capacity`.

    Args:
        key: A metadata field's name, or a function of the task: the limit holds for each value on its own. Tasks
            without the field share one limit (their key is None).
        cost: A metadata field's name, or a function of the task: how much a task takes. Default 1.
    """

    def __init__(self, *, key: Key = None, cost: Cost = None) -> None:
        with Settings(type(self).__name__) as check:
            self._key = check.field("key", key)
            self._cost = check.field("cost", cost)
        # An attribute hides the method: a gate without keys costs the manager no lanes, one without costs no
        # question at admission.
        if self._key is None:
            self.atm_lane = None  # type: ignore[assignment, method-assign]
        if self._cost is None:
            self.atm_admit = None  # type: ignore[assignment, method-assign]
        self._by_hand: Optional[_ByHand] = None

    def capacity(self, key: Hashable) -> float:
        """The largest cost that can ever fit."""
        return math.inf

    def key_of(self, task: Task[Any]) -> Hashable:
        """The value whose limit this task falls under."""
        return None if self._key is None else self._key(task)

    def cost_of(self, task: Task[Any]) -> float:
        """How much this task takes.

        Raises:
            CostTooLargeError: More than :meth:`capacity`.
            TaskRejected: Not a finite number above 0.
        """
        if self._cost is None:
            return 1
        cost = self._cost(task)
        if cost is None:
            return 1
        if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 < cost < math.inf:
            raise TaskRejected(f"the cost of {task!r} must be a finite number greater than 0, got {cost!r}")
        most = self.capacity(self.key_of(task))
        if cost > most:
            name = type(self).__name__
            raise CostTooLargeError(f"the cost of {task!r} is {cost}, but {name} never fits more than {most}")
        return cost

    def explain(self, task: Task[Any], now: float) -> str:
        """Why ``task`` waits for this strategy, in words."""
        return "its limit is reached"

    def stats(self) -> Dict[str, Any]:
        """Figures about the present state, fit for JSON."""
        return {}

    @hookimpl
    def atm_lane(self, task: Task[Any]) -> Hashable:
        """The key: only tasks of one key wait for each other."""
        return self.key_of(task)

    @hookimpl
    def atm_admit(self, task: Task[Any]) -> None:
        """Refuse a cost that could never fit."""
        self.cost_of(task)

    def add_task(self, task: Task[Any]) -> None:
        """By hand: queue a task.

        Raises:
            CostTooLargeError: It could never start.
        """
        self._hand().add(task)

    def get_next_task(self) -> Optional[Task[Any]]:
        """By hand: the first task, if it may start now; it is booked as started."""
        return self._hand().next()

    async def get_sleep_interval(self) -> Optional[float]:
        """By hand: seconds until the first task may start; ``math.inf`` until one is done, or if there is none."""
        return self._hand().interval()

    async def on_task_done(self) -> None:
        """By hand: the task that was handed out first has ended."""
        self._hand().done()

    def _hand(self) -> _ByHand:
        if self._by_hand is None:
            self._by_hand = _ByHand(self)
        return self._by_hand


class _ByHand:
    """Drives the hooks of one strategy through the four methods, without a manager."""

    def __init__(self, strategy: Gate) -> None:
        plugins = make_plugin_manager()
        register(plugins, strategy)
        self._calls = HookCalls(plugins)
        self._waiting: Deque[Task[Any]] = deque()
        self._handed_out: Deque[Tuple[Task[Any], float]] = deque()  # and when

    def add(self, task: Task[Any]) -> None:
        for admit in self._calls.admit:
            admit(None, task, _now())
        self._waiting.append(task)

    def next(self) -> Optional[Task[Any]]:
        now = _now()
        if not self._waiting or self._ready_at(now) > now:
            return None
        task = self._waiting.popleft()
        self._handed_out.append((task, now))
        for booked in self._calls.started + self._calls.began:
            booked(task, now)
        return task

    def interval(self) -> float:
        if not self._waiting:
            return math.inf
        now = _now()
        return max(0.0, self._ready_at(now) - now)

    def done(self) -> None:
        if self._handed_out:
            task, since = self._handed_out.popleft()
            now = _now()
            for finished in self._calls.finished:
                finished(task, Outcome(duration=now - since), now)

    def _ready_at(self, now: float) -> float:
        answers = [ready_at(self._waiting[0], now) for ready_at in self._calls.ready_at]
        return max((at for at in answers if at is not None), default=now)


def _now() -> float:
    """The time on the running loop's clock; outside of one, on the clock that loops use."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
