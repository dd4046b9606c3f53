"""Tests: managers are independent, can be started again, and forget; and what it all costs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import itertools
import time
import types
import weakref
from typing import Any, Dict, List, Sequence

from atm_core.errors import TaskRejected
from atm_core.hookspecs import hookimpl
from atm_core.manager import TaskManager
from atm_core.task import Task
from atm_core.testing.conformance.plays import NoErrors, Piece, Play, check
from atm_core.testing.conformance.steps import SteppedLoop, run_in
from atm_core.testing.conformance.subject import Subject
from atm_core.testing.virtual_time import run

__all__ = ["ManagerTests"]

_LOAD = [
    *([Piece(lasts=0.25)] * 4),
    Piece(lasts=0.25, fails=True),
    Piece(arrives=0.5, cancelled_at=0.625),
    Piece(arrives=0.5),
]
# A fifth fails, a fifth is cancelled in the queue.
_MANY = [Piece(lasts=0.0, fails=n % 5 == 4, cancelled_at=0.0 if n % 5 == 3 else None) for n in range(200)]


class ManagerTests(Subject):
    """Managers are independent, can be started again, and forget; and what it all costs."""

    def test_two_managers_share_nothing(self, settings: Any) -> None:
        """What happens under one instance has no effect on tasks under another one."""
        alone = self.play(_LOAD, [self.factory(**settings)])
        one, other = (Play(self, load, [self.factory(**settings)]) for load in (_LOAD, _LOAD * 2))

        async def main() -> None:
            await asyncio.gather(other.run(), one.run())
            await asyncio.gather(one.manager.aclose(), other.manager.aclose())

        one.in_loop(main())
        for play in (one, other):
            play.look_at_results()
        check(
            one.outcomes() == alone.outcomes(),
            f"beside another manager: {one.outcomes()}, alone: {alone.outcomes()}",
        )

    def test_a_stopped_manager_starts_again(self, settings: Any) -> None:
        """Nothing begins between stop and start; what was queued runs afterwards, also in another event loop."""
        play = Play(self, [Piece(lasts=0.25)] * 8, [self.factory(**settings)])
        manager = play.manager

        async def stop_amid() -> None:
            await manager.idle()
            await asyncio.sleep(0.125)
            await manager.stop()
            begun = sum(map(len, play.begun))
            await asyncio.sleep(1.0)
            check(sum(map(len, play.begun)) == begun, "work began while the manager was stopped")
            left = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
            check(not left, f"these run on while the manager is stopped: {left}")

        async def first() -> float:
            for n in range(8):
                play.add(n)
            await stop_amid()
            await stop_amid()
            return asyncio.get_running_loop().time()

        async def second(now: float) -> None:
            await asyncio.sleep(now)  # clocks of loops go on
            await stop_amid()
            await manager.idle()
            await play.join()
            await manager.aclose()

        play.in_loop(second(play.in_loop(first())))
        play.look_at_results()

    def test_settled_tasks_can_be_collected(self, settings: Any) -> None:
        """Whatever their end was, nothing but its owner keeps a handle, while manager and strategy go on."""
        strategy, pulse = self.factory(**settings), _Pulse()

        async def main() -> List[str]:
            manager = TaskManager([strategy, pulse])
            await manager.idle()
            play = _without_recorder(self, [*_LOAD, Piece(arrives=1.0, lasts=4.0, cancelled_at=2.0)], manager)
            await play.feed()
            await play.join()
            references = [weakref.ref(task) for task in play.handles()]
            play.tasks.clear()
            await asyncio.sleep(self.rest_seconds)
            gc.collect()
            kept = _kept(references)
            await manager.aclose()
            return kept

        kept = run_in(SteppedLoop(pulse), main())
        check(not kept, f"{len(kept)} settled tasks are kept: {'; '.join(kept[:3])}")

    def test_idle_keys_do_not_stay(self, settings: Any) -> None:
        """Many keys (tasks, if it takes no ``key``) come and go, with every end: what it holds does not grow."""
        numbers: Any = weakref.WeakKeyDictionary()
        count = itertools.count()

        def own_key(task: Task[Any]) -> str:
            return f"key-{numbers.setdefault(task, next(count))}"

        keyed = "key" in inspect.signature(type(self.factory(**settings))).parameters
        strategy = self.factory(**{**settings, "key": own_key} if keyed else settings)
        pulse = _Pulse()
        fillers: List[Task[Any]] = []

        async def main() -> List[int]:
            sizes = []
            manager = TaskManager([strategy, pulse])
            for _ in range(6):
                await manager.idle()
                play = _without_recorder(self, _MANY, manager)
                await play.feed()
                await play.join()
                await manager.stop()
                del play
                gc.collect()
                sizes.append(_held(strategy, (own_key, manager)))
                # They take the place of the tasks in memory, so that the next ones have another id().
                fillers.extend(Task.__new__(Task) for _ in _MANY)
                await asyncio.sleep(self.rest_seconds)
            await manager.aclose()
            return sizes

        sizes = run_in(SteppedLoop(pulse), main())
        growth = sizes[-1] - sizes[2]
        check(
            growth < len(_MANY) // 2,
            f"after each {len(_MANY)} {'keys' if keyed else 'tasks'} it holds more objects: {sizes}",
        )

    def test_what_its_hooks_cost(self, capsys: Any) -> None:
        """Printed, not judged: microseconds a no-op task, beyond a manager without strategies."""
        settings = self.valid[0] if self.roomy is None else self.roomy
        tasks, best = 1000, {True: float("inf"), False: float("inf")}
        pulse = _Pulse()
        with NoErrors():
            # Once with an eye on it: what spins or loses a task would keep the others running for ever.
            run_in(SteppedLoop(pulse), _no_ops(self, [self.factory(**settings), pulse], tasks))
            for with_it in list(best) * 3:
                stack = [self.factory(**settings)] if with_it else []
                began = time.perf_counter()
                run(_no_ops(self, stack, tasks))
                best[with_it] = min(best[with_it], time.perf_counter() - began)
        cost = max(0.0, best[True] - best[False]) / tasks * 1e6
        with capsys.disabled():
            print(f" {self.name}: {cost:.1f} µs a task ", end="")


class _Pulse:
    """Counts what happens to tasks, and keeps none of them."""

    def __init__(self) -> None:
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @hookimpl
    def atm_started(self) -> None:
        self._count += 1

    @hookimpl
    def atm_settled(self) -> None:
        self._count += 1


async def _no_ops(subject: Subject, stack: Sequence[Any], tasks: int) -> None:
    async def nothing() -> None:
        return None

    async with TaskManager(stack) as manager:
        for n in range(tasks):
            with contextlib.suppress(TaskRejected):
                subject.submit(manager, nothing, n)


def _without_recorder(subject: Subject, load: Sequence[Piece], manager: TaskManager) -> Play:
    """A play that leaves no trace in the manager: a recorder would keep the tasks."""
    play = Play(subject, load, ())
    play.manager = manager
    return play


def _kept(references: Sequence[Any]) -> List[str]:
    """The tasks that are still there, each with the objects that refer to it."""
    told = []
    for reference in references:
        task = reference()
        if task is not None:
            holders = [one for one in gc.get_referrers(task) if not isinstance(one, types.FrameType)]
            shown = ", ".join(f"{type(one).__name__} {repr(one)[:60]}" for one in holders[:3])
            told.append(f"{task!r}, by {shown}")
    return told


def _held(strategy: Any, without: Sequence[Any]) -> int:
    """How many elements all containers have together that can be reached from the strategy."""
    seen: Dict[int, Any] = {id(one): one for one in without}
    todo, count = [strategy], 0
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, _NOT_ITS_OWN):
            continue
        seen[id(one)] = one
        if isinstance(one, types.FunctionType):
            todo.extend(one.__closure__ or ())
            continue
        try:
            count += len(one) if not isinstance(one, (str, bytes)) else 0
        except TypeError:
            pass
        todo.extend(gc.get_referents(one))
    return count


_NOT_ITS_OWN = (
    type,
    types.ModuleType,
    types.FrameType,
    types.CodeType,
    types.CoroutineType,
    asyncio.AbstractEventLoop,
    TaskManager,
)
