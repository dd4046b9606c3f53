"""Base for strategies that limit how much runs at once."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Any, Awaitable, Deque, Dict, Generator, Hashable, List, Optional, Set, Tuple, Type

from atm_core.hookspecs import hookimpl
from atm_core.strategy import Cost, Gate, Key
from atm_core.task import TaskState

if TYPE_CHECKING:
    from atm_core.task import Task

__all__ = ["SlotGate"]


class SlotGate(Gate):
    """Base for strategies that limit how much runs at once: who holds how much, and lending while a holder waits.

    A subclass answers :meth:`limit_of`. When a running task awaits a task of the same manager that is still queued, it
    lends its slots while it waits, so nested work cannot deadlock on its own limit; before it goes on it takes them
    back, ahead of every queued task. A wait that is cancelled takes them back at once, which can for a moment mean
    more than the limit: what is being cancelled must not wait.

    O(1) a task in time; one dictionary entry a running task (none without ``key`` and ``cost``) and one a key in use.

    Args:
        key: See :class:`Gate`.
        cost: See :class:`Gate`.
    """

    def __init__(self, *, key: Key = None, cost: Cost = None) -> None:
        super().__init__(key=key, cost=cost)
        self._plain = self._key is None and self._cost is None
        self._make_pool: Type[_Pool] = _Pool if self._cost is None else _Sums
        self._shared = self._make_pool(None)  # of the key None; the only one without keys
        self._pools: Dict[Hashable, _Pool] = {}  # of the keys in use; dropped when the last slot comes back
        self._held: Dict[Task[Any], Tuple[_Pool, float]] = {}
        self._lent: Dict[Task[Any], _Loan] = {}
        # In the order of waiting, which is the same at every gate.
        self._waited_for: Dict[Task[Any], Dict[_Loan, None]] = {}

    def limit_of(self, key: Hashable) -> float:
        """How much may run at once under ``key``. When it rises, call :meth:`grant` and ``manager.wake()``."""
        return math.inf

    def capacity(self, key: Hashable) -> float:
        """The largest cost that can ever fit: the present limit."""
        return self.limit_of(key)

    def used(self, key: Hashable = None) -> float:
        """How much runs now under ``key``."""
        return self._shared.used if key is None else self._pools[key].used if key in self._pools else 0

    def lends(self, task: Task[Any]) -> bool:
        """Whether a running task has lent its slots, since it waits for another."""
        return task in self._lent

    def books(self, task: Task[Any]) -> bool:
        """Whether slots are booked for a running task, lent ones too; noted only with ``key`` or ``cost``."""
        return task in self._held

    def booked_key(self, task: Task[Any]) -> Hashable:
        """The key under which a running task's slots are booked, whatever its metadata say by now."""
        return None if self._plain else self._held[task][0].key

    def grant(self, key: Hashable = None) -> None:
        """Give free slots to the tasks that lent theirs and want to go on."""
        pool = self._shared if key is None else self._pools.get(key)
        while pool is not None and pool.returning and pool.used + pool.returning[0].cost <= self.limit_of(key):
            self._take_back(pool.returning[0])

    def explain(self, task: Task[Any], now: float) -> str:
        key = self.key_of(task)
        where = "" if key is None else f" for {key!r}"
        return f"{self.used(key):g} of {self.limit_of(key):g} slots{where} are taken"

    def stats(self) -> Dict[str, Any]:
        running = self._shared.used + sum(pool.used for pool in self._pools.values())
        return {"running": running, "keys": len(self._pools), "lending": len(self._lent)}

    @hookimpl
    def atm_ready_at(self, task: Task[Any], now: float) -> Optional[float]:
        """At once while there is room, otherwise when something finishes."""
        if self._plain:
            pool = self._shared
            return now if pool.used < self.limit_of(None) and not pool.returning else math.inf
        key, cost = self.key_of(task), self.cost_of(task)
        found = self._shared if key is None else self._pools.get(key)
        if found is None:
            return now if cost <= self.limit_of(key) else math.inf
        return now if found.used + cost <= self.limit_of(key) and not found.returning else math.inf

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """Take the slots."""
        if self._plain:
            self._shared.used += 1
            return
        key, cost = self.key_of(task), self.cost_of(task)
        found = self._shared if key is None else self._pools.get(key)
        if found is None:
            found = self._pools[key] = self._make_pool(key)
        found.take(cost)
        self._held[task] = (found, cost)  # remembered: the metadata may be different by the time they come back

    @hookimpl
    def atm_finished(self, task: Task[Any]) -> None:
        """Give the slots back."""
        if self._plain and not self._lent:
            self._shared.used -= 1
            return
        pool, cost = (self._shared, 1) if self._plain else self._held.pop(task)
        if not self._lent or task not in self._lent:
            pool.give(cost)
        else:
            self.__close(self._lent[task])
        if task in self._waited_for:
            # Those who waited for this task alone are about to go on: nothing queued may come before them.
            for loan in list(self._waited_for[task]):
                if len(loan.waits) == 1 and loan not in loan.pool.returning:
                    loan.pool.returning.append(loan)
                    if loan.pool is not pool:
                        self.grant(loan.pool.key)
        if pool.returning:
            self.grant(pool.key)
        if not pool.used and not pool.returning and pool.key is not None and not pool.lent:
            del self._pools[pool.key]

    @hookimpl
    def atm_awaited(self, task: Task[Any], by: Task[Any]) -> None:
        """Lend the slots of ``by`` if what it waits for is still queued, or itself waits and lends."""
        if task.state is not TaskState.PENDING and task not in self._lent:
            return
        loan = self._lent.get(by)
        if loan is None:
            pool, cost = (self._shared, 1) if self._plain else self._held[by]
            loan = self._lent[by] = _Loan(by, pool, cost)
            pool.give(cost)
            self.grant(pool.key)
        else:
            loan.stop_returning()  # it was about to come back, but another part of the task waits again
        loan.waits.add(task)
        self._waited_for.setdefault(task, {})[loan] = None

    @hookimpl
    def atm_resumed(self, task: Task[Any], by: Task[Any], cancelled: bool) -> Optional[Awaitable[None]]:
        """Take the slots back, as soon as there is room for them."""
        loan = self._lent.get(by)
        if loan is None:
            return None
        loan.waits.discard(task)
        self.__forget(task, loan)
        if loan.waits:
            return None
        if cancelled:
            self._take_back(loan)
            return None
        # It queues here and now, at all gates: who came first is then the first everywhere, so no two of them ever hold
        # what the other one waits for.
        if loan not in loan.pool.returning:
            loan.pool.returning.append(loan)
        self.grant(loan.pool.key)
        if by not in self._lent:
            return None
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        loan.slots.append(slot)
        return _Return(self, loan, slot)

    def _take_back(self, loan: _Loan) -> None:
        loan.pool.take(loan.cost)
        self.__close(loan)

    # Mangled: a subclass may well have methods of such names.

    def __close(self, loan: _Loan) -> None:
        del self._lent[loan.by]
        loan.pool.lent -= 1
        loan.stop_returning()
        for task in loan.waits:
            self.__forget(task, loan)

    def __forget(self, task: Task[Any], loan: _Loan) -> None:
        loans = self._waited_for.get(task)
        if loans is not None:
            loans.pop(loan, None)
            if not loans:
                del self._waited_for[task]


class _Return:
    """Awaits the slots that a loan is to get back; closed instead, it takes them at once."""

    __slots__ = ("_gate", "_loan", "_slot")

    def __init__(self, gate: SlotGate, loan: _Loan, slot: asyncio.Future[None]) -> None:
        self._gate = gate
        self._loan = loan
        self._slot = slot

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield from self._slot
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        if self._gate._lent.get(self._loan.by) is self._loan and not self._loan.waits:
            self._gate._take_back(self._loan)


class _Pool:
    """The slots of one key."""

    __slots__ = ("key", "lent", "returning", "used")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.used: float = 0
        self.lent = 0
        self.returning: Deque[_Loan] = deque()

    def take(self, cost: float) -> None:
        self.used += cost

    def give(self, cost: float) -> None:
        self.used -= cost


class _Sums(_Pool):
    """With costs, whose sums are not exact (0.1 + 0.2): nothing is left of them when all have come back."""

    __slots__ = ("_holders",)

    def __init__(self, key: Hashable) -> None:
        super().__init__(key)
        self._holders = 0

    def take(self, cost: float) -> None:
        super().take(cost)
        self._holders += 1

    def give(self, cost: float) -> None:
        self._holders -= 1
        self.used = self.used - cost if self._holders else 0


class _Loan:
    """The slots of a task that waits for others."""

    __slots__ = ("by", "cost", "pool", "slots", "waits")

    def __init__(self, by: Task[Any], pool: _Pool, cost: float) -> None:
        self.by = by
        self.pool = pool
        self.cost = cost
        self.waits: Set[Task[Any]] = set()
        self.slots: List[asyncio.Future[None]] = []  # of the parts of the task that want to go on
        pool.lent += 1

    def stop_returning(self) -> None:
        """Whoever waits for these slots need not any more."""
        if self in self.pool.returning:
            self.pool.returning.remove(self)
        for slot in self.slots:
            if not slot.done():
                slot.set_result(None)
        self.slots.clear()
