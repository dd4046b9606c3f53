"""What starts next, and when: admission, queues, timers, and the end of each attempt.

Everything here happens on the loop's thread and without a single ``await``: between "every gate says now" and "every
strategy has booked it" nothing can come in between.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextvars import Context, copy_context
from threading import get_ident
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set, Tuple

from atm_core import attempts
from atm_core.calls import HookCalls
from atm_core.compat import cancel, coroutine_of, task_maker
from atm_core.errors import HookError, ManagerStateError, TaskRejected, WorkError
from atm_core.keyed_lanes import make_board
from atm_core.lanes import LATER, Board, OneLane, Refused, check_time, hook_error
from atm_core.outcome import Outcome
from atm_core.sleepers import Sleepers
from atm_core.task import CANCELLED, FAILED, PENDING, RUNNING, SUCCEEDED, Task
from atm_core.waits import Waits
from atm_core.work import close_work

if TYPE_CHECKING:
    from atm_core.manager import TaskManager

__all__ = ["Scheduler"]

_log = logging.getLogger("atm_core")
_NEVER = math.inf
_STARTS_PER_TURN = 128  # then the loop has its turn


class _Origin:
    """Where tasks come from: one object for all that were added to one scheduler from one context."""

    __slots__ = ("context", "scheduler")

    def __init__(self, scheduler: Scheduler, context: Context) -> None:
        self.scheduler = scheduler
        self.context = context


class Scheduler:
    """The engine of one manager.

    Args:
        manager: Passed to the hooks.
        calls: The hooks.
        name: For the asyncio tasks it makes.
    """

    # Slots are for speed: an instance with more than thirty attributes gets a dictionary that nothing is cached for.
    __slots__ = (
        "_admits", "_admitting", "_attempt", "_brief", "_busy", "_cancelling", "_claimed", "_context", "_for_room",
        "_joining", "_make", "_older", "_origin", "_push", "_soon", "_starts", "_timer", "_yields", "attempts",
        "board", "calls", "cancelled", "clock", "failed", "held", "inner", "loop", "manager", "name", "open",
        "paused", "primes", "rejected", "running", "shut", "sleepers", "starting", "succeeded", "thread", "waits",
        "watches_begin",
    )  # fmt: skip

    calls: HookCalls
    board: Board

    def __init__(self, manager: TaskManager, calls: HookCalls, name: str) -> None:
        self.manager = manager
        self.name = name
        self.loop: Optional[asyncio.AbstractEventLoop] = None
        self.clock: Callable[[], float] = time.monotonic
        self.thread = 0
        self.primes = True
        self._make: Callable[[Any], asyncio.Task[Any]]
        self.starting = False  # between start and stop
        self.paused = False
        self.shut = False  # the loop is being shut down: nothing starts, nothing comes again
        self.open = 0  # admitted and not settled
        self.attempts = self.succeeded = self.failed = self.cancelled = self.rejected = 0
        self.running: Dict[Task[Any], asyncio.Task[Any]] = {}
        self.held: Dict[Task[Any], int] = {}  # by strategies, with the position of the holder
        self.sleepers = Sleepers()
        self.inner: Set[Task[Any]] = set()  # stand for held tasks, which are asked about in their place
        self.waits = Waits(self)
        self._claimed: Set[Any] = set()  # the coroutines of pending tasks, each of which can run only once
        self._cancelling: Set[Task[Any]] = set()
        self._older: Dict[Task[Any], HookCalls] = {}  # of attempts that began before plugins changed
        self._origin: Optional[_Origin] = None
        self._for_room: List[asyncio.Future[None]] = []
        self._joining: List[asyncio.Future[None]] = []
        self._timer: Optional[asyncio.TimerHandle] = None
        self._busy = False
        self._soon = False  # a turn is on its way
        self._yields = False  # ... and until then nothing starts, since the last one had its fill
        self._starts: Optional[Task[Any]] = None
        self._admitting: Optional[Task[Any]] = None
        self._context = Context()  # not that of an attempt that ends, which a timer would keep alive
        self.use(calls)

    # Plugins and loops.

    def use(self, calls: HookCalls) -> None:
        """Work with these hooks from now on; running attempts end with those with which they began."""
        waiting = self.board.tasks() if hasattr(self, "board") else []
        if hasattr(self, "calls"):
            for task in [*self.running, *([self._starts] if self._starts is not None else [])]:
                self._older.setdefault(task, self.calls)
                task._place = None
            holders = self.calls.owners["atm_hold"]
            for task, position in list(self.held.items()):
                if holders[position] in calls.owners["atm_hold"]:
                    self.held[task] = calls.owners["atm_hold"].index(holders[position])
                else:
                    del self.held[task]
                    waiting.append(task)
        self.calls = calls
        self._use_board()
        self._admits = bool(calls.admit or calls.admitted)
        self._brief = not (calls.again or calls.settled) and len(calls.finished_plain) == len(calls.finished)
        self.watches_begin = bool(calls.began) or not self._brief
        self._attempt = attempts.full if calls.execute or calls.around else attempts.plain
        now = self.clock()
        for task in waiting:
            self._join(task, now)

    def _use_board(self) -> None:
        self.board = board = make_board(self.calls)
        # Where nothing is asked when a task is added, it goes straight to the end of the queue.
        asks = self.calls.hold or self.calls.admit or self.calls.admitted
        self._push = board.queue.append if isinstance(board, OneLane) and not asks else None

    def calls_of(self, task: Task[Any]) -> HookCalls:
        """The hooks with which a running attempt began."""
        return self._older.get(task, self.calls) if self._older else self.calls

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work in this loop; the clocks of two loops may differ, so times are moved from the old to the new."""
        if self.loop is loop:
            return
        shift = loop.time() - self.clock()
        self.loop, self.thread = loop, get_ident()
        # asyncio's own clock is this one behind another call.
        plain = getattr(type(loop), "time", None) is asyncio.BaseEventLoop.time
        self.clock = time.monotonic if plain else loop.time
        self._make, self.primes = task_maker(loop, self.name)
        if abs(shift) > 1e-3:
            waiting = self.board.tasks()
            for task in [*waiting, *self.sleepers.until, *self.held]:
                task._added_at += shift
            self.sleepers.shift(shift)
            self._use_board()
            for task in waiting:
                self._join(task, self.clock())

    def check_loop(self, task: Task[Any]) -> None:
        """Refuse to wait for a task of a manager that works in another loop."""
        loop = asyncio.get_running_loop()
        if self.loop is not loop and self.starting and self.loop is not None and not self.loop.is_closed():
            raise ManagerStateError(f"{task!r} belongs to a manager that runs in another event loop: await it there")

    def start(self) -> None:
        """Begin to start tasks."""
        self.starting, self.shut = True, False
        self.soon()

    def halt(self) -> None:
        """Start nothing more."""
        self.starting = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # The way in.

    def add(
        self, work: Any, args: Optional[Tuple[Any, ...]], metadata: Optional[Dict[str, Any]], task: Any = None
    ) -> Task[Any]:
        """Admit work, and put it where it has to wait.

        Raises:
            TaskRejected, HookError: A strategy objects; the work is closed.
            WorkError: This coroutine is in the queue already.
        """
        if self.loop is None:
            self._look_for_loop()
        elif self.starting and get_ident() != self.thread:
            raise _wrong_thread()
        if args is None:
            claimed = self._claimed
            before = len(claimed)
            claimed.add(work)
            if len(claimed) == before:
                raise WorkError(f"{work!r} is added already: a coroutine runs only once; submit its function instead")
        if task is None:
            task = _new(Task)
            task._work = work
            task._args = args
            task._metadata = metadata
            task._state = PENDING
            task._attempts = 0
            task._place = task._value = None
        task._added_at = now = self.clock()
        context, origin = copy_context(), self._origin
        if origin is None or context != origin.context:
            origin = self._origin = _Origin(self, context)
        task._origin = origin
        if self._admits:
            self._admit(task, now)
        self.open += 1
        if self._push is not None:
            self._push(task)
        else:
            self.enter(task, now)
        if not self._soon and self.starting:
            self.soon()
        return task  # type: ignore[no-any-return]

    def _look_for_loop(self) -> None:
        loop = asyncio._get_running_loop()
        if loop is not None:
            self.bind(loop)

    def _admit(self, task: Task[Any], now: float) -> None:
        position, hook = 0, "atm_admit"
        outer, self._admitting = self._admitting, task
        try:
            for position, admit in enumerate(self.calls.admit):
                admit(self.manager, task, now)
            hook = "atm_admitted"
            for position, admitted in enumerate(self.calls.admitted):
                admitted(self.manager, task, now)
        except BaseException as error:
            self.rejected += 1
            self._release_work(task)
            self._forget(task)
            work, task._origin, task._state = task._work, None, CANCELLED
            close_work(work)
            if isinstance(error, TaskRejected) or not isinstance(error, Exception):
                raise
            raise hook_error(self.calls, hook, position, task, error) from error
        finally:
            self._admitting = outer

    def enter(self, task: Task[Any], now: float, holder: int = 0) -> None:
        """Asleep, then held by a strategy, then in a lane: put a pending task where it belongs.

        Args:
            holder: Ask the strategies that may hold it from this position on.
        """
        at = self.sleepers.until.get(task)
        if at is not None:
            if at > now:
                self._sleep(task, at)
                return
            self.sleepers.wake(task)
        for position in range(holder, len(self.calls.hold)):
            # Noted before it is asked, so that a strategy may hand the task back at once.
            self.held[task] = position
            try:
                keeps = self.calls.hold[position](self.manager, task, now)
            except Exception as error:
                self.held.pop(task, None)
                self.conclude(task, Outcome(None, hook_error(self.calls, "atm_hold", position, task, error)), now)
                return
            if keeps or self.held.get(task) != position:
                return
            del self.held[task]
        self._join(task, now)

    def _join(self, task: Task[Any], now: float) -> None:
        try:
            self.board.add(task, now)
        except HookError as error:
            self.conclude(task, Outcome(None, error), now)
        self.soon()

    def _sleep(self, task: Task[Any], at: float) -> None:
        self.sleepers.sleep(task, at)
        self._check_joined()
        if not self._busy:
            self._set_timer()

    def not_before(self, task: Task[Any]) -> Optional[float]:
        """See ``Task.not_before``."""
        return self.sleepers.until.get(task)

    def set_not_before(self, task: Task[Any], at: Optional[float]) -> None:
        """See ``Task.not_before``: at admission, or while it sleeps."""
        if at is not None and (isinstance(at, bool) or not isinstance(at, (int, float)) or at != at):
            raise ValueError(f"not_before must be a time or None, got {at!r}")
        if task is self._admitting:
            self.sleepers.until[task] = -math.inf if at is None else at  # it goes to sleep when it enters
        elif task in self.sleepers.until:
            now = self.clock()
            if at is not None and at > now:
                self._sleep(task, at)
            else:
                self.sleepers.wake(task)
                self.enter(task, now)
        else:
            raise ManagerStateError(f"{task!r} waits no more for its time: set not_before in atm_admitted")

    def set_recurring(self, task: Task[Any], recurs: bool) -> None:
        """See ``Task.recurring``."""
        self.sleepers.recur(task, recurs)
        if recurs and task is not self._admitting and task in self.sleepers.until:
            self._sleep(task, self.sleepers.until[task])

    def reorder(self, task: Task[Any]) -> None:
        """Ask for the order of a queued task again."""
        mine = task._origin is not None and task._origin.scheduler is self and task is not self._admitting
        if mine and task._state is PENDING and task not in self.held and task not in self.sleepers.until:
            self.board.reorder(task, self.clock())
            self.soon()

    # Turns and timers.

    def soon(self) -> None:
        """Take a turn as soon as the loop gets to it."""
        if self.starting and not self._soon and not self._busy and self.loop is not None and not self.loop.is_closed():
            self._soon = True
            self.loop.call_soon(self._turn_now, context=self._context)

    def _turn_now(self) -> None:
        self._soon = self._yields = False
        self.turn(self.clock(), _STARTS_PER_TURN)

    def turn(self, now: float, left: int) -> None:
        """Start what may start, up to ``left`` tasks, and see about the rest soon; not re-entrant."""
        if self._busy or self._yields or self.paused or not self.starting:
            return
        self._busy = True
        self._yields = left > 1
        board = self.board
        try:
            while left:
                task = board.next(now)
                if task is None:
                    self._yields = False
                    break
                left -= 1
                if task is LATER:
                    break
                if type(task) is Refused:
                    self.conclude(task.task, Outcome(None, task.error), now)
                else:
                    self._start(task, now)
                    if self.paused or not self.starting or board is not self.board:
                        break
                if not self.primes:  # the start may have taken its time: it was the work's first step
                    now = self.clock()
        finally:
            self._busy = False
            if not self._soon and (self._yields or not left):
                self.soon()
            if self.board.wake_at != _NEVER or self.sleepers.alarms or self._timer is not None:
                self._set_timer()

    def _set_timer(self) -> None:
        at = min(self.board.wake_at, self.sleepers.next_at())
        if self._timer is not None:
            if self._timer.when() == at:
                return
            self._timer.cancel()
            self._timer = None
        if at != math.inf and self.starting and self.loop is not None and not self.loop.is_closed():
            self._timer = self.loop.call_at(at, self._on_time, at, context=self._context)

    def _on_time(self, at: float) -> None:
        self._timer = None
        now = max(self.clock(), at)  # loops fire a timer up to the clock's resolution early
        if self.board.wake_at <= now:
            self.board.due(now)
        self._busy = True  # one turn at the end, not one for each that wakes
        try:
            for task in self.sleepers.due(now):
                self.enter(task, now)
        finally:
            self._busy = False
        self.turn(now, _STARTS_PER_TURN)
        if not self._soon:
            self._set_timer()

    # Starts and ends of attempts.

    def _start(self, task: Task[Any], now: float) -> None:
        task._state = RUNNING
        hooks = self.calls.started
        try:
            for started in hooks:
                started(task, now)
        except Exception as error:
            if not self._start_anyway(task, now, hooks.index(started), error):
                return
        if task._args is None:
            self._claimed.discard(task._work)
        task._attempts += 1
        self.attempts += 1
        if self._for_room:
            self._tell_room()
        coro = self._attempt(self, task)
        if self.primes:
            coro.send(None)
            self.running[task] = task._origin.context.run(self._make, coro)
            return
        self._starts = task  # the first step runs here, and with it perhaps the whole attempt
        try:
            made = task._origin.context.run(self._make, coro)
        finally:
            cancelled, self._starts = self._starts is None, None
        if task._state is RUNNING and not made.done():
            self.running[task] = made
            if cancelled:
                cancel(made)

    def _start_anyway(self, task: Task[Any], now: float, position: int, error: Exception) -> bool:
        """A hook failed at a start: an observer's failure is logged, a gate's is the task's."""
        calls = self.calls
        gates = calls.owners["atm_ready_at"]
        while True:
            failed = hook_error(calls, "atm_started", position, task, error)
            if failed.plugin in gates:
                booked = calls.owners["atm_started"][:position]
                outcome = Outcome(None, failed)
                for owner, finished in zip(calls.owners["atm_finished"], calls.finished):
                    if owner in booked:
                        self._tell(calls, "atm_finished", finished, owner, task, outcome, now)
                self.board.finished(task._place)
                task._place = None
                self.conclude(task, outcome, now)
                return False
            _log.error("%s", failed, exc_info=error)
            try:
                while position + 1 < len(calls.started):
                    position += 1
                    calls.started[position](task, now)
                return True
            except Exception as another:
                error = another

    def began(self, task: Task[Any]) -> float:
        """The attempt's first step runs."""
        now = self.clock()
        calls = self.calls if not self._older else self.calls_of(task)
        for began in calls.began:
            try:
                began(task, now)
            except Exception as error:
                failed = hook_error(calls, "atm_began", calls.began.index(began), task, error)
                _log.error("%s", failed, exc_info=error)
        return now

    def ended_well(self, task: Task[Any], value: Any, began: Optional[float]) -> None:
        """The work returned."""
        self.running.pop(task, None)
        if not self._brief or self._older:
            self._end(task, Outcome(value), began)
            return
        try:
            for finished in self.calls.finished_plain:
                finished(task)
        except Exception as error:
            self._finish_rest(task, finished, error)
        board = self.board
        board.parked = False
        if task._place is not None:
            board.finished(task._place)
        waiters = task._value
        task._state = SUCCEEDED
        task._value = value
        task._work = task._args = task._origin = task._place = None
        if waiters is not None:
            task.tell(waiters)
        self.succeeded += 1
        self.open -= 1
        if self._cancelling or self.sleepers.recurring or self.inner:
            self._forget(task)
        if not self.open:
            self._origin = None
        if self._joining:
            self._check_joined()
        if not self._busy:
            self.turn(self.clock(), 1)  # one for one, at once; whether there is room for more is seen for all together

    def _finish_rest(self, task: Task[Any], failed: Callable[..., Any], error: Exception) -> None:
        """``failed`` raised: log it, and let those after it give back what they hold."""
        calls = self.calls
        position = calls.finished_plain.index(failed)
        _log.error("%s", hook_error(calls, "atm_finished", position, task, error), exc_info=error)
        for owner, finished in list(zip(calls.owners["atm_finished"], calls.finished_plain))[position + 1 :]:
            self._tell(calls, "atm_finished", finished, owner, task)

    def ended_badly(self, task: Task[Any], error: BaseException, began: Optional[float]) -> None:
        """The work raised, was cancelled, or never began."""
        self.running.pop(task, None)
        if task._args is None and task._attempts == 1 and began is None:
            close_work(task._work)
        cancelled = isinstance(error, (asyncio.CancelledError, GeneratorExit))
        trace = error.__traceback__
        if trace is not None:
            error.__traceback__ = trace.tb_next  # without our own frame, which refers to the task
        ordinary = isinstance(error, Exception) and not cancelled
        # What stops the loop, or all its tasks, must reach those before anything new starts.
        self._end(task, Outcome(None, error, cancelled), began, deferred=not ordinary)

    def _end(self, task: Task[Any], outcome: Outcome, began: Optional[float], deferred: bool = False) -> None:
        calls = self._older.pop(task, self.calls) if self._older else self.calls
        now = self.clock()
        if began is not None:
            outcome.duration = now - began
        for owner, finished in zip(calls.owners["atm_finished"], calls.finished):
            self._tell(calls, "atm_finished", finished, owner, task, outcome, now)
        self.board.finished(task._place)
        task._place = None
        self.conclude(task, outcome, now)
        if deferred:
            self.soon()
        elif not self._busy:
            self.turn(now, 1)

    def conclude(self, task: Task[Any], outcome: Outcome, now: float) -> None:
        """An attempt has ended, or was refused: again, or settled?"""
        again_at = None
        if self.calls.again and not self.shut and task not in self._cancelling and task not in self.inner:
            again_at, outcome = self._ask_again(task, outcome, now)
        if again_at is None:
            self._settle(task, outcome, now)
            return
        task._state = PENDING
        if again_at > now:
            self._sleep(task, again_at)
        else:
            self.enter(task, now)
        self.waits.requeued(task)

    def _ask_again(self, task: Task[Any], outcome: Outcome, now: float) -> Tuple[Optional[float], Outcome]:
        for position, again in enumerate(self.calls.again):
            try:
                at = again(task, outcome, now)
                if at is None:
                    continue
                check_time(at)
                if at == math.inf:
                    return None, outcome
                if task._args is None and task._attempts:
                    raise WorkError(f"{task!r} cannot run again, since its work is an awaitable: submit a function")
            except Exception as error:
                failed = hook_error(self.calls, "atm_again", position, task, error)
                if outcome.failed:
                    failed.__context__ = outcome.exception
                return None, Outcome(None, failed, duration=outcome.duration)
            return at, outcome
        return None, outcome

    def _settle(self, task: Task[Any], outcome: Outcome, now: float) -> None:
        self._release_work(task)
        if not task._attempts:
            close_work(task._work)
        self._forget(task)
        self.open -= 1
        if outcome.cancelled:
            self.cancelled += 1
            task.settle(CANCELLED, None)
        elif outcome.exception is not None:
            self.failed += 1
            task.settle(FAILED, outcome.exception)
        else:
            self.succeeded += 1
            task.settle(SUCCEEDED, outcome.value)
        calls = self.calls
        for owner, settled in zip(calls.owners["atm_settled"], calls.settled):
            self._tell(calls, "atm_settled", settled, owner, task, outcome, now)
        if not self.open:
            self._origin = None
        if self._for_room:
            self._tell_room()
        self._check_joined()

    def _forget(self, task: Task[Any]) -> None:
        """Drop what is kept of a task beside the task itself."""
        self._cancelling.discard(task)
        self.inner.discard(task)
        self.sleepers.forget(task)

    def _release_work(self, task: Task[Any]) -> None:
        if task._args is None:
            self._claimed.discard(task._work)

    def _tell(self, calls: HookCalls, hook: str, function: Callable[..., Any], owner: str, *args: Any) -> None:
        """Call an observing hook: what it raises is logged."""
        try:
            function(*args)
        except Exception as error:
            failed = hook_error(calls, hook, calls.owners[hook].index(owner), args[0], error)
            _log.error("%s", failed, exc_info=error)

    # The way out.

    @property
    def busy_with(self) -> int:
        """How many tasks run."""
        return len(self.running) + (self._starts is not None and self._starts not in self.running)

    @property
    def waiting(self) -> int:
        """How many tasks are admitted and do not run."""
        return self.open - self.busy_with

    def is_full(self, max_pending: int) -> bool:
        """Whether so many tasks wait, after those have started that may."""
        if self.starting and get_ident() != self.thread:
            raise _wrong_thread()
        if self.waiting >= max_pending:
            self.turn(self.clock(), _STARTS_PER_TURN)
        return self.waiting >= max_pending

    def abandon_running(self) -> None:
        """The loop in which tasks ran was closed under them: they will never end by themselves."""
        for made in list(self.running.values()):
            made._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine_of(made).close()  # ends the attempt like any other, so that everything booked is given back
        self.halt()

    def cancel(self, task: Task[Any]) -> bool:
        """Cancel a task that is not settled."""
        if self.starting and get_ident() != self.thread and self.loop is not None:
            self.loop.call_soon_threadsafe(task.cancel)
            return True
        self._cancelling.add(task)
        if task._state is RUNNING:
            made = self.running.get(task)
            if made is not None:
                cancel(made)
            elif self._starts is task:
                self._starts = None  # it cancels itself in its first step, before there is anything to cancel
            return True
        if self.held.pop(task, None) is None and task not in self.sleepers.until:
            self.board.discard(task)
        self._settle(task, Outcome(None, asyncio.CancelledError(), True), self.clock())
        self.soon()
        return True

    def reject(self, task: Task[Any], error: Exception) -> bool:
        """Settle a task that waits with ``error``, and do not ask whether it is to come again."""
        if task._state is not PENDING or task._origin is None:
            return False
        if self.held.pop(task, None) is None and task not in self.sleepers.until:
            self.board.discard(task)
        self._settle(task, Outcome(None, error), self.clock())
        self.soon()
        return True

    def release(self, task: Task[Any]) -> None:
        """A strategy hands back a task that it held."""
        position = self.held.pop(task, None)
        if position is None:
            raise ManagerStateError(f"{task!r} is not held by a strategy")
        self.enter(task, self.clock(), position + 1)

    def settle_held(self, task: Task[Any], outcome: Outcome) -> None:
        """A strategy that held a task knows its outcome."""
        if self.held.pop(task, None) is None:
            raise ManagerStateError(f"{task!r} is not held by a strategy")
        if outcome.duration is not None:  # it was attempted, elsewhere
            task._attempts += 1
        self.conclude(task, outcome, self.clock())

    def lent(self, by: Task[Any]) -> None:
        """A running task may have lent what it holds."""
        self.board.finished(by._place)
        self.soon()

    def pending(self) -> List[Task[Any]]:
        """Every task that waits for anything, the next first."""
        return [*self.board.tasks(), *self.held, *self.sleepers.until]

    def drop_pending(self) -> int:
        """Settle everything that waits as cancelled; returns how many there were."""
        dropped = self.pending()
        for task in dropped:
            if task._state is PENDING:
                self.cancel(task)
        return len(dropped)

    def shut_down(self) -> None:
        """The loop goes away: start nothing more, and settle what waits."""
        self.shut = True
        self.halt()
        dropped = self.drop_pending()
        if dropped:
            _log.warning("%s: the event loop was shut down; %d queued tasks were cancelled", self.name, dropped)

    async def room(self) -> None:
        """Wait until a task leaves the queue."""
        waiter = asyncio.get_running_loop().create_future()
        self._for_room.append(waiter)
        await waiter

    def _tell_room(self) -> None:
        waiters, self._for_room = self._for_room, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def joined(self) -> None:
        """Wait until nothing is pending or running; recurring tasks asleep do not count."""
        if self.open > len(self.sleepers.dormant):
            waiter = asyncio.get_running_loop().create_future()
            self._joining.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._joining:
                    self._joining.remove(waiter)

    def _check_joined(self) -> None:
        if self._joining and self.open <= len(self.sleepers.dormant):
            waiters, self._joining = self._joining, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


def _wrong_thread() -> ManagerStateError:
    return ManagerStateError("a task was added from another thread than the event loop's: use submit_threadsafe")


_new = object.__new__
