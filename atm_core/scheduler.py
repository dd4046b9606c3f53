"""What starts next, and when: the state of one manager, its queues, turns and timers.

The way in stands in ``admission``, how an attempt begins and ends in ``starts`` and ``completion``.

Everything here happens on the loop's thread and without a single ``await``: between "every gate says now" and "every
strategy has booked it" nothing can come in between.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextvars import Context
from threading import get_ident
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set

from atm_core import attempts
from atm_core.admission import Origin, wrong_thread
from atm_core.calls import HookCalls
from atm_core.compat import RAISED, cancel, coroutine_of, task_maker
from atm_core.completion import conclude, settle
from atm_core.errors import HookError, ManagerStateError
from atm_core.keyed_lanes import make_board
from atm_core.lanes import LATER, Board, OneLane, Refused, hook_error
from atm_core.outcome import Outcome
from atm_core.sleepers import Sleepers
from atm_core.starts import start
from atm_core.task import PENDING, RUNNING, Task
from atm_core.waits import Waits

if TYPE_CHECKING:
    from atm_core.manager import TaskManager

__all__ = ["Scheduler"]

_log = logging.getLogger("atm_core")
_NEVER = math.inf
_STARTS_PER_TURN = 128  # then the loop has its turn
_GRAIN = 1e-4  # tasks that are added within so many seconds share one float as their time; not if the clock is virtual


class Scheduler:
    """The engine of one manager.

    Args:
        manager: Passed to the hooks.
        calls: The hooks.
        name: For the asyncio tasks it makes.
    """

    # Slots are for speed: an instance with more than thirty attributes gets a dictionary that nothing is cached for.
    __slots__ = (
        "_context", "_recoils", "_timer", "_yields", "added_at", "admits", "admitting", "at_start", "attempt",
        "attempts", "board", "brief", "busy", "calls", "cancelled", "cancelling", "claimed", "clock", "eager",
        "failed", "for_room", "grain", "held", "inner", "joining", "loop", "make", "manager", "name", "older", "open",
        "origin", "paused", "primes", "push", "rejected", "running", "shut", "sleepers", "starting", "succeeded",
        "thread", "turn_comes", "waits", "watches_begin",
    )  # fmt: skip

    calls: HookCalls
    board: Board

    def __init__(self, manager: TaskManager, calls: HookCalls, name: str) -> None:
        self.manager = manager
        self.name = name
        self.loop: Optional[asyncio.AbstractEventLoop] = None
        self.clock: Callable[[], float] = time.monotonic
        self.grain = _GRAIN
        self.added_at = -math.inf  # of the task that was added last
        self.thread = 0
        self.primes = True
        self.eager = False
        self.make: Callable[[Any], asyncio.Task[Any]]
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
        self.claimed: Set[Any] = set()  # awaitables of pending tasks to which others refer: each runs only once
        self.cancelling: Set[Task[Any]] = set()
        self.older: Dict[Task[Any], HookCalls] = {}  # of attempts that began before plugins changed
        self.origin: Optional[Origin] = None
        self.for_room: List[asyncio.Future[None]] = []
        self.joining: List[asyncio.Future[None]] = []
        self._timer: Optional[asyncio.TimerHandle] = None
        self.busy = False
        self.turn_comes = False  # a turn is on its way
        self._yields = False  # ... and until then nothing starts, since the last one had its fill
        self._recoils = False  # ... nor in the turn after that
        self.at_start: Optional[Task[Any]] = None  # in the middle of its start, and not among the running
        self.admitting: Optional[Task[Any]] = None
        self._context = Context()  # not that of an attempt that ends, which a timer would keep alive
        self.use(calls)

    # Plugins and loops.

    def use(self, calls: HookCalls) -> None:
        """Work with these hooks from now on; running attempts end with those with which they began."""
        waiting = self.board.tasks() if hasattr(self, "board") else []
        if hasattr(self, "calls"):
            for task in [*self.running, *([self.at_start] if self.at_start is not None else [])]:
                self.older.setdefault(task, self.calls)
                task._place = None
            holders = self.calls.owners["atm_hold"]
            for task, position in list(self.held.items()):
                if holders[position] in calls.owners["atm_hold"]:
                    self.held[task] = calls.owners["atm_hold"].index(holders[position])
                else:
                    del self.held[task]
                    waiting.append(task)
        self.calls = calls
        self.admits = bool(calls.admit or calls.admitted)
        self.brief = not (calls.again or calls.settled) and len(calls.finished_plain) == len(calls.finished)
        self.watches_begin = bool(calls.began) or not self.brief
        self.attempt = attempts.full if calls.execute or calls.around else attempts.plain
        self._move(waiting)

    def _move(self, waiting: List[Task[Any]]) -> None:
        """Make a new board, and put them there."""
        for task in waiting:
            task._place = None  # all at once: a hook that is asked about one may settle another
        self.board = board = make_board(self.calls)
        # Where nothing is asked when a task is added, it goes straight to the end of the queue.
        asks = self.calls.hold or self.calls.admit or self.calls.admitted
        self.push = board.queue.append if isinstance(board, OneLane) and not asks else None
        now = self.clock()
        for task in waiting:
            self._join(task, now)

    def calls_of(self, task: Task[Any]) -> HookCalls:
        """The hooks with which a running attempt began."""
        return self.older.get(task, self.calls) if self.older else self.calls

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work in this loop; the clocks of two loops may differ, so times are moved from the old to the new."""
        if self.loop is loop:
            return
        shift = loop.time() - self.clock()
        self.loop, self.thread = loop, get_ident()
        # asyncio's own clock is this one behind another call.
        plain = getattr(type(loop), "time", None) is asyncio.BaseEventLoop.time
        self.clock = time.monotonic if plain else loop.time
        self.grain, self.added_at = (_GRAIN if plain else 0.0), -math.inf
        self.make, self.primes, self.eager = task_maker(loop, self.name)
        if abs(shift) > 1e-3:
            waiting = self.board.tasks()
            for task in [*waiting, *self.sleepers.until, *self.held]:
                task._added_at += shift
            self.sleepers.shift(shift)
            self._move(waiting)

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

    # Where a task waits.

    def enter(self, task: Task[Any], now: float, holder: int = 0) -> None:
        """Asleep, then held by a strategy, then in a lane: put a pending task where it belongs.

        Args:
            holder: Ask the strategies that may hold it from this position on.
        """
        at = self.sleepers.until.get(task)
        if at is not None:
            if at > now:
                self.sleep(task, at)
                return
            self.sleepers.drop(task)
        for position in range(holder, len(self.calls.hold)):
            # Noted before it is asked, so that a strategy may hand the task back at once.
            self.held[task] = position
            try:
                keeps = self.calls.hold[position](self.manager, task, now)
            except RAISED as error:
                self.held.pop(task, None)
                conclude(self, task, Outcome(None, hook_error(self.calls, "atm_hold", position, task, error)), now)
                return
            if keeps or self.held.get(task) != position:
                return
            del self.held[task]
        self._join(task, now)

    def _join(self, task: Task[Any], now: float) -> None:
        board = self.board
        try:
            board.add(task, now)
        except HookError as error:
            conclude(self, task, Outcome(None, error), now)
        else:
            if board is not self.board and task._state is PENDING:  # a hook has changed the plugins
                task._place = None
                self._join(task, now)
        self.soon()

    def sleep(self, task: Task[Any], at: float) -> None:
        self.sleepers.set(task, at)
        self.check_joined()
        if not self.busy:
            self._set_timer()

    def not_before(self, task: Task[Any]) -> Optional[float]:
        """See ``Task.not_before``."""
        return self.sleepers.until.get(task)

    def set_not_before(self, task: Task[Any], at: Optional[float]) -> None:
        """See ``Task.not_before``: at admission, or while it sleeps."""
        if at is not None and (isinstance(at, bool) or not isinstance(at, (int, float)) or at != at):
            raise ValueError(f"not_before must be a time or None, got {at!r}")
        if task is self.admitting:
            self.sleepers.until[task] = -math.inf if at is None else at  # it goes to sleep when it enters
        elif task in self.sleepers.until:
            now = self.clock()
            if at is not None and at > now:
                self.sleep(task, at)
            else:
                self.sleepers.drop(task)
                self.enter(task, now)
        else:
            raise ManagerStateError(f"{task!r} waits no more for its time: set not_before in atm_admitted")

    def set_recurring(self, task: Task[Any], recurs: bool) -> None:
        """See ``Task.recurring``."""
        self.sleepers.recur(task, recurs)
        if recurs and task is not self.admitting and task in self.sleepers.until:
            self.sleep(task, self.sleepers.until[task])

    def reorder(self, task: Task[Any]) -> None:
        """Ask for the order of a queued task again."""
        mine = task._origin is not None and task._origin.scheduler is self and task is not self.admitting
        if mine and task._state is PENDING and task not in self.held and task not in self.sleepers.until:
            self.board.reorder(task, self.clock())
            self.soon()

    # Turns and timers.

    def soon(self) -> None:
        """Take a turn as soon as the loop gets to it."""
        if not self.starting or self.turn_comes or self.busy:
            return
        if self.loop is not None and not self.loop.is_closed():
            self.turn_comes = True
            self.loop.call_soon(self._turn_now, context=self._context)

    def recoil(self) -> None:
        """What stops the loop was raised: start nothing before it has cancelled whom it cancels, the guard as well."""
        self._yields = self._recoils = True
        self.soon()

    def _turn_now(self) -> None:
        if self._recoils and self.loop is not None:
            self._recoils = False
            self.loop.call_soon(self._turn_now, context=self._context)
            return
        self.turn_comes = self._yields = False
        self.turn(self.clock(), _STARTS_PER_TURN)

    def turn(self, now: float, left: int) -> None:
        """Start what may start, up to ``left`` tasks, and see about the rest soon; not re-entrant."""
        if self.busy or self._yields or self.paused or not self.starting:
            return
        self.busy = True
        self._yields = left > 1
        board = self.board
        try:
            while left:
                task = board.next(now)
                if task is None:
                    self._yields = board is not self.board  # a hook changed the plugins: what waits is on the new one
                    break
                left -= 1
                if task is LATER or board is not self.board:
                    break
                if type(task) is Refused:
                    conclude(self, task.task, Outcome(None, task.error), now)
                else:
                    start(self, task, now)
                    if self.paused or not self.starting or board is not self.board:
                        break
                if self.eager:  # the start may have taken its time: it was the work's first step
                    now = self.clock()
        finally:
            self.busy = False
            if not self.turn_comes and (self._yields or not left):
                self.soon()
            if self.board.wake_at != _NEVER or self.sleepers.heap or self._timer is not None:
                self._set_timer()

    def _set_timer(self) -> None:
        # While it is paused, asking the gates at their times would change nothing.
        at = min(_NEVER if self.paused else self.board.wake_at, self.sleepers.next_at())
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
        self.busy = True  # one turn at the end, not one for each that wakes
        try:
            for task in self.sleepers.due(now):
                self.enter(task, now)
        finally:
            self.busy = False
        self.turn(now, _STARTS_PER_TURN)
        if not self.turn_comes:
            self._set_timer()

    # What is kept of a task beside the task itself.

    def forget(self, task: Task[Any]) -> None:
        """Drop it."""
        self.cancelling.discard(task)
        self.inner.discard(task)
        self.sleepers.forget(task)

    def claim(self, work: Any) -> bool:
        """Note an awaitable that somebody could add once more; whether nobody has."""
        before = len(self.claimed)
        self.claimed.add(_once(work))
        return len(self.claimed) > before

    def release_work(self, task: Task[Any]) -> None:
        """The task's awaitable is claimed no more."""
        if task._args is None:
            self.claimed.discard(_once(task._work))

    # The way out.

    @property
    def busy_with(self) -> int:
        """How many tasks run."""
        return len(self.running) + (self.at_start is not None)

    @property
    def waiting(self) -> int:
        """How many tasks are admitted and do not run."""
        return self.open - self.busy_with

    @property
    def queued(self) -> int:
        """How many tasks ``max_pending`` counts: those that wait, without recurring ones between two runs."""
        return self.waiting - len(self.sleepers.dormant)

    def is_full(self, max_pending: int) -> bool:
        """Whether so many tasks wait, after those have started that may."""
        if self.starting and get_ident() != self.thread:
            raise wrong_thread()
        if self.queued >= max_pending:
            self.turn(self.clock(), _STARTS_PER_TURN)
        return self.queued >= max_pending

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
        self.cancelling.add(task)
        if task._state is RUNNING:
            made = self.running.get(task)
            if made is not None:
                cancel(made)
            return True
        if self.held.pop(task, None) is None and task not in self.sleepers.until:
            self.board.discard(task)
        settle(self, task, Outcome(None, asyncio.CancelledError(), True), self.clock())
        self.soon()
        return True

    def reject(self, task: Task[Any], error: Exception) -> bool:
        """Settle a task that waits with ``error``, and do not ask whether it is to come again."""
        if task._state is not PENDING or task._origin is None or task._origin.scheduler is not self:
            return False
        if self.held.pop(task, None) is None and task not in self.sleepers.until:
            self.board.discard(task)
        settle(self, task, Outcome(None, error), self.clock())
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
        conclude(self, task, outcome, self.clock())

    def lent(self, by: Task[Any]) -> None:
        """A running task may have lent what it holds."""
        self.board.finished(by._place)
        self.soon()

    def pending(self) -> List[Task[Any]]:
        """Every task that waits for anything, the next first."""
        return [*self.board.tasks(), *self.held, *self.sleepers.until]

    def drop_pending(self, held: bool = True) -> int:
        """Settle everything that waits as cancelled, with ``held`` also what strategies hold; returns how many."""
        dropped = self.pending() if held else [*self.board.tasks(), *self.sleepers.until]
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
        self.for_room.append(waiter)
        await waiter

    def tell_room(self) -> None:
        waiters, self.for_room = self.for_room, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def joined(self) -> None:
        """Wait until nothing is pending or running, recurring tasks asleep not counted; or until the manager stops."""
        if self.open > len(self.sleepers.dormant):
            waiter = asyncio.get_running_loop().create_future()
            self.joining.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self.joining:
                    self.joining.remove(waiter)

    def check_joined(self) -> None:
        """Tell those in :meth:`joined` if there is nothing left."""
        if self.joining and self.open <= len(self.sleepers.dormant):
            self.end_joining()

    def end_joining(self) -> None:
        """Tell those in :meth:`joined`, whatever is left."""
        waiters, self.joining = self.joining, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _once(work: Any) -> Any:
    """What stands for an awaitable in a set: a coroutine itself; an id for others, which may be equal."""
    return work if type(work) is CoroutineType else id(work)
