"""The hooks, by phase: what a plugin can take part in.

A strategy implements the hooks it needs, each decorated with ``@hookimpl``, and names only the arguments it wants::

    from atm_core import hookimpl

    class OnlyWhileSunny:
        @hookimpl
        def atm_ready_at(self, task, now):
            return now if self.sunny else math.inf

``now`` is ``loop.time()`` in seconds. Hooks are synchronous unless their text says otherwise; they are called on the
loop's thread, and between the answers of the gates and the booking nothing else runs, so no hook needs a lock.

Implementations are called as pluggy calls them: ``tryfirst`` ones first, ``trylast`` ones last, in between the one
registered last first. An answer of None counts as no answer.

A hook may call the manager: cancel, reject or add tasks, pause, register. What it answers about a task that it has just
settled is not looked at.

Phases: :class:`Admission`, :class:`Scheduling`, :class:`Execution`, :class:`Completion`, :class:`Life`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Awaitable, Hashable, Optional

import pluggy

if TYPE_CHECKING:
    from atm_core.manager import TaskManager
    from atm_core.outcome import Outcome
    from atm_core.task import Task

__all__ = ["Admission", "Completion", "Execution", "Life", "Scheduling", "SPECS", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("atm")
hookimpl = pluggy.HookimplMarker("atm")


class Admission:
    """A task is handed in: ``add_task``, ``submit``, ``map``."""

    @hookspec
    def atm_admit(self, manager: TaskManager, task: Task[Any], now: float) -> None:
        """Object to a task by raising :class:`~atm_core.TaskRejected`; the caller of ``add_task`` gets it.

        Reserve nothing here: a later plugin may still object. ::

            @hookimpl
            def atm_admit(self, task):
                if "tenant" not in task.metadata:
                    raise TaskRejected("a task needs a tenant")
        """

    @hookspec
    def atm_admitted(self, manager: TaskManager, task: Task[Any], now: float) -> None:
        """Everyone agreed: the task is in. May set ``task.not_before``, the earliest time of its start. ::

        @hookimpl
        def atm_admitted(self, task, now):
            task.not_before = now + task.metadata.get("delay", 0.0)
        """


class Scheduling:
    """A task waits for its start."""

    @hookspec(firstresult=True)
    def atm_hold(self, manager: TaskManager, task: Task[Any], now: float) -> Optional[bool]:
        """Keep the task, and hand it back later with ``manager.release(task)`` or settle it with ``manager.settle``.

        For what starts tasks by rules of its own: batches, foreign schedulers. The first True decides. ::

            @hookimpl
            def atm_hold(self, task):
                self.kept.append(task)
                return True
        """

    @hookspec
    def atm_order(self, task: Task[Any], now: float) -> Any:
        """A sort key, smaller first, asked once whenever the task joins its lane.

        Keys of several strategies are compared in turn; without any it is first in, first out. Anything static will
        do: a deadline, a virtual finish time, priority minus age. All that one strategy answers must compare with each
        other; None sorts last. ``manager.reorder(task)`` asks again. ::

            @hookimpl
            def atm_order(self, task):
                return task.metadata["deadline"]
        """

    @hookspec
    def atm_lane(self, task: Task[Any]) -> Hashable:
        """What this gate looks at in a task: a host, a tenant. Nothing if it treats all tasks alike.

        Tasks for which every gate gives the same answers form a lane; only its first task is asked
        ``atm_ready_at``, and one waiting lane never blocks another. It is asked when the task is queued, and again
        once its gates have answered: if it has changed, the task changes lanes; if not, ``atm_started`` must find it
        unchanged as well. ::

            @hookimpl
            def atm_lane(self, task):
                return task.metadata.get("host")
        """

    @hookspec
    def atm_ready_at(self, task: Task[Any], now: float) -> Optional[float]:
        """When could this task start, as far as this strategy is concerned?

        ``now`` or earlier: at once. A later time: then. ``math.inf``: when something finishes, or
        ``manager.wake()`` is called. It changes nothing and may be asked any number of times. It may raise
        :class:`~atm_core.TaskRejected` to fail the task instead of making it wait. ::

            @hookimpl
            def atm_ready_at(self, task, now):
                return self.last_start + self.gap
        """

    @hookspec
    def atm_started(self, task: Task[Any], now: float) -> None:
        """Every gate said "now", and the task starts: book it. ::

        @hookimpl
        def atm_started(self, task, now):
            self.last_start = now
        """

    @hookspec
    def atm_began(self, task: Task[Any], now: float) -> None:
        """The first step of the task's work runs: the time that counts for a rate.

        The same instant as ``atm_started`` where starts are eager (Python 3.12 and newer), later by the loop's
        backlog where they are not. Not called for an attempt that is cancelled before its first step. ::

            @hookimpl
            def atm_began(self, task, now):
                self.log.append(now)
        """


class Execution:
    """An attempt: one run of the work, in an ``asyncio.Task`` of its own."""

    @hookspec(firstresult=True)
    def atm_execute(self, task: Task[Any]) -> Optional[Awaitable[Any]]:
        """Run the work somewhere else: the answer is awaited in its place. Default: the work is awaited here.

        ``task.call()`` starts the work and gives its awaitable, once an attempt. ::

            @hookimpl
            def atm_execute(self, task):
                return self.cluster.run(task.work, task.args)
        """

    @hookspec
    def atm_around(self, task: Task[Any]) -> Any:
        """An async context manager that is entered in the attempt, around the work: a timeout, a span, a lease. ::

        @hookimpl
        def atm_around(self, task):
            return asyncio.timeout(30)
        """


class Completion:
    """An attempt has ended."""

    @hookspec
    def atm_finished(self, task: Task[Any], outcome: Outcome, now: float) -> None:
        """Give back what was booked. Exactly once for each ``atm_started``, whatever happened. ::

        @hookimpl
        def atm_finished(self, task):
            self.running -= 1
        """

    @hookspec(firstresult=True)
    def atm_again(self, task: Task[Any], outcome: Outcome, now: float) -> Optional[float]:
        """Not final: run the work again at this time. None: no opinion. ``math.inf``: never, and nobody else is asked.

        Not asked after ``task.cancel()``. In between the task is in no gate's books; it passes all of them again. ::

            @hookimpl
            def atm_again(self, task, outcome, now):
                if outcome.failed and task.attempts < 3:
                    return now + 1.0
        """

    @hookspec
    def atm_settled(self, task: Task[Any], outcome: Outcome, now: float) -> None:
        """The outcome is final. Exactly once for each admitted task. For observers. ::

        @hookimpl
        def atm_settled(self, task, outcome):
            print(task, outcome)
        """


class Life:
    """The manager itself, and tasks that wait for each other."""

    @hookspec
    def atm_manager_started(self, manager: TaskManager) -> Any:
        """The manager begins to start tasks. May be ``async``. ::

        @hookimpl
        async def atm_manager_started(self, manager):
            self.sampler = asyncio.ensure_future(self.sample())
        """

    @hookspec
    def atm_manager_stopped(self, manager: TaskManager) -> Any:
        """The manager has stopped and nothing of it runs. May be ``async``. ::

        @hookimpl
        async def atm_manager_stopped(self, manager):
            self.sampler.cancel()
        """

    @hookspec
    def atm_draining(self, manager: TaskManager) -> None:
        """Someone waits for everything to end (``join``, the end of ``async with``): gather no longer. ::

        @hookimpl
        def atm_draining(self, manager):
            self.flush()
        """

    @hookspec
    def atm_awaited(self, task: Task[Any], by: Task[Any]) -> None:
        """Task ``by``, which runs, has begun to wait for ``task``, which is not settled.

        Told again when ``task`` goes back into the queue meanwhile (``atm_again``), and when it runs but begins to wait
        for a queued one itself. ::

            @hookimpl
            def atm_awaited(self, task, by):
                self.raise_priority(task, self.priority[by])
        """

    @hookspec
    def atm_resumed(self, task: Task[Any], by: Task[Any], cancelled: bool) -> Any:
        """Task ``by`` no longer waits for ``task``: that is settled, or the wait was ``cancelled``.

        Once for each wait, however often ``atm_awaited`` told of it. May answer an awaitable, which ``by`` awaits
        before it goes on; not when ``cancelled``, since what is being cancelled must not wait. ::

            @hookimpl
            def atm_resumed(self, task, by):
                self.drop_priority(task)
        """


SPECS = (Admission, Scheduling, Execution, Completion, Life)
