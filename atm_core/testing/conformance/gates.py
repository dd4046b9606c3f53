"""Tests: asking a gate changes nothing, and waiting for one costs nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

from hypothesis import strategies as st

from atm_core.errors import TaskRejected
from atm_core.hookspecs import hookimpl
from atm_core.task import TaskState
from atm_core.testing.conformance.loads import CROWD, for_random, loads
from atm_core.testing.conformance.plays import Load, Piece, Play, check
from atm_core.testing.conformance.subject import Subject, hooks_of

if TYPE_CHECKING:
    from atm_core.task import Task

__all__ = ["ClosedUntil", "GateTests"]


class GateTests(Subject):
    """Asking a gate changes nothing, and waiting for one costs nothing."""

    def test_asking_when_changes_nothing(self, settings: Any) -> None:
        """``atm_ready_at`` asked any number of times, for any waiting task, at any moment: the run is the same."""

        def holds(load: Load, seed: int) -> None:
            plain = self.play(load, [self.factory(**settings)])
            asked = self.factory(**settings)
            calls = hooks_of(asked)
            functions = () if calls is None else calls.ready_at
            asker = _Asker(functions, random.Random(seed), any_task="holds" not in self.kind)
            try:
                again = self.play(load, [asked, asker])
                check(_run(plain) == _run(again), f"{_run(again)} instead of {_run(plain)}")
            except AssertionError as error:
                what = "the run is another one when atm_ready_at is asked more often"
                raise AssertionError(f"{what}: {error}, for {load}") from error

        for seed in range(4):
            holds(CROWD, seed)
        for_random(holds, loads(), st.integers(0, 1000), examples=12)

    def test_waiting_is_no_busy_loop(self, settings: Any) -> None:
        """While tasks wait for it, or for another gate, the loop sleeps: no time it names is past for ever."""
        queue = [Piece(arrives=0.0, lasts=0.25)] * 6 + [Piece(arrives=0.5, lasts=4.0)] * 3
        self.play(queue, [self.factory(**settings)])
        self.play(queue, [self.factory(**settings), ClosedUntil(self.rest_seconds)])


class ClosedUntil:
    """Another gate, which opens at a certain time."""

    def __init__(self, opens_at: float) -> None:
        self._opens_at = opens_at

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> float:
        return self._opens_at


class _Asker:
    """Asks a strategy's ``atm_ready_at`` over and over, and answers nothing itself.

    Args:
        functions: The strategy's ``atm_ready_at``.
        random: How often, and for which tasks.
        any_task: Ask for every task that waits, not only for those for which the manager has asked.
    """

    def __init__(self, functions: Tuple[Callable[..., Any], ...], random: random.Random, any_task: bool) -> None:
        self._functions = functions
        self._random = random
        self._any_task = any_task
        self._waiting: Dict[Task[Any], None] = {}

    @hookimpl
    def atm_admitted(self, task: Task[Any], now: float) -> None:
        if self._any_task:
            self._waiting[task] = None
            self._ask(now)

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> None:
        self._waiting[task] = None
        self._ask(now)

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        self._waiting.pop(task, None)
        self._ask(now)

    @hookimpl
    def atm_began(self, task: Task[Any], now: float) -> None:
        self._ask(now)

    @hookimpl
    def atm_finished(self, task: Task[Any], now: float) -> None:
        self._ask(now)

    @hookimpl
    def atm_settled(self, task: Task[Any], now: float) -> None:
        self._waiting.pop(task, None)
        self._ask(now)

    def _ask(self, now: float) -> None:
        waiting = [task for task in self._waiting if task.state is TaskState.PENDING]
        for _ in range(self._random.randrange(4) if waiting else 0):
            task = self._random.choice(waiting)
            for ready_at in self._functions:
                try:
                    ready_at(task, now)
                except TaskRejected:
                    pass


def _run(play: Play) -> List[Any]:
    """What happened, in order: which piece (-1: a task of the strategy's own), which hook, when."""
    number = {task: n for n, task in enumerate(play.tasks)}
    return [(number.get(row.task, -1), row.hook, row.time) for row in play.recorder.rows]
