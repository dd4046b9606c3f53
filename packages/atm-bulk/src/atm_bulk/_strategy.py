"""Many items, one call, a result for each."""

from __future__ import annotations

import math
from typing import Any, Dict, Hashable, Optional, Union

from atm_bulk._batch import Batch, Entry
from atm_bulk._batched import batched_call
from atm_bulk._settings import Key, OfItem, check_key, check_of_item, check_weights
from atm_bulk._slots import BatchSlots
from atm_bulk._splitting import check_splitting
from atm_core import (
    AtmError,
    ManagerStateError,
    Outcome,
    Settings,
    Task,
    TaskManager,
    TaskRejected,
    hookimpl,
)

__all__ = ["BulkStrategy"]


class BulkStrategy(BatchSlots):
    """Gathers the items submitted to a ``@batched`` function and calls it once for many of them.

    ::

        @batched
        async def insert_rows(rows): ...

        async with TaskManager(BulkStrategy(max_batch_size=500)) as manager:
            tasks = [manager.submit(insert_rows, row) for row in rows]

    A batch goes when it is full, when ``max_wait_seconds`` have passed since its first item came, or when
    someone waits for the manager's end (``join``). To every other strategy it is one task; while these let
    it wait, it takes items until it is full. Its items settle one by one, each with its own result or
    failure; ``retry`` is asked about the items, never about the batch. Items that are cancelled before the
    call drop out. Other tasks pass untouched.

    Batches by size and time are those of graphql/dataloader and of Bottleneck's Batcher; ``"bisect"`` is AWS
    Lambda's BisectBatchOnFunctionError, carried through to single items.

    O(1) an item in time; in memory two small objects an item until it is settled. Nothing is kept for idle
    functions and keys.

    Args:
        max_batch_size: The largest number of items in a call. 1 turns batching off.
        max_wait_seconds: How long the first item of a batch waits for others; later ones do not extend it.
            With 0 a batch takes what comes before the event loop's next turn, and while other strategies
            let it wait.
        max_batch_weight: The largest sum of the items' weights in a call; an item that weighs more is
            refused.
        weight: What an item weighs, 0 or more: a function of the item such as ``len`` (or its dotted name),
            or a metadata field's name. Without the field an item weighs 1.
        max_concurrent_batches: How many batches may run at once; None: any number.
        on_failure: After a failed call for several items: ``"isolate"`` calls again for each item alone,
            ``"bisect"`` for each half until the bad ones stand alone (2·log2(n)+1 calls for one among n),
            ``"raise"`` fails them all.
        max_splits: How many failed calls of a batch may be split; those after them fail as they are. None:
            any number. It bounds the calls to a service that is down.
        split_on_timeout: Whether a call that failed with a timeout is split, too. Nobody knows whether its
            work was done, so by default it is not.
        batch_timeout_seconds: After which a call is cancelled and has failed; None: never.
        dedupe: Items with the same value share one place in a batch and one result, also while that batch
            runs: a function of the item (or its dotted name), a metadata field's name, or True for the item
            itself.
        key: Batches are formed for each value: of a metadata field, given by its name; of several, in a
            list; or of a function of the task. A batch's task carries the fields by which it was formed,
            and no others.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(
        self,
        max_batch_size: int = 100,
        max_wait_seconds: float = 0.01,
        *,
        max_batch_weight: Optional[float] = None,
        weight: OfItem = None,
        max_concurrent_batches: Optional[int] = None,
        on_failure: str = "isolate",
        max_splits: Optional[int] = None,
        split_on_timeout: bool = False,
        batch_timeout_seconds: Optional[float] = None,
        dedupe: Union[bool, OfItem] = None,
        key: Key = None,
    ) -> None:
        with Settings("BulkStrategy") as check:
            self.max_batch_size: int = check.count("max_batch_size", max_batch_size)
            self.max_wait_seconds: float = check.duration("max_wait_seconds", max_wait_seconds)
            self._weights = check_weights(check, weight, max_batch_weight)
            check.count("max_concurrent_batches", max_concurrent_batches, optional=True)
            self.splitting = check_splitting(check, on_failure, max_splits, split_on_timeout)
            self.batch_timeout_seconds: Optional[float] = check.duration(
                "batch_timeout_seconds", batch_timeout_seconds, zero=False, optional=True
            )
            self._same = check_of_item(check, "dedupe", dedupe, itself=True)
            self._fields, self._key = check_key(check, key)
        super().__init__(max_concurrent_batches)
        if self._weights is None:
            self.atm_admit = None  # type: ignore[assignment, method-assign]  # hides the hook
        self._most = math.inf if self._weights is None else self._weights.most
        self._open: Dict[Hashable, Batch] = {}  # by function and key: the one that takes items
        self._entries: Dict[Task[Any], Entry] = {}  # of the items that are not settled
        self._found: Dict[Hashable, Entry] = {}  # by what makes items the same
        self.calls = self.splits = 0

    def flush(self) -> None:
        """Let everything that has gathered go now, as far as other strategies let it."""
        for batch in list(self._open.values()):
            self._go(batch)

    def explain(self, task: Task[Any], now: float) -> str:
        """Why an item, or a batch, waits."""
        entry = self._entries.get(task)
        if entry is None:
            return "as many batches run as max_concurrent_batches allows"
        batch = entry.batch
        words = f"it is in a batch of {len(batch.entries)}"
        return words if batch.task is None else f"{words}: {batch.manager.explain(batch.task)}"

    def stats(self) -> Dict[str, Any]:
        """Items and batches that wait or run, batches that take items; calls so far, and splits after them."""
        return {
            "items": len(self._entries),
            "batches": len(self._batches),
            "open_batches": len(self._open),
            "calls": self.calls,
            "splits": self.splits,
        }

    # Items come.

    @hookimpl
    def atm_admit(self, task: Task[Any]) -> None:
        """Refuse an item that no batch has room for."""
        call = batched_call(task)
        if call is not None and self._weights is not None:
            self._weights.of(task, call[1])

    @hookimpl(tryfirst=True)  # other holders shall see batches, not items
    def atm_hold(self, manager: TaskManager, task: Task[Any]) -> Optional[bool]:
        """Keep an item, in the batch of its function and key."""
        call = batched_call(task)
        if call is None:
            return None
        fn, item = call
        key = self._key(task)
        group = (fn.identity, key)
        same = None
        if self._same is not None:
            same = (group, self._same(task, item))
            twin = self._found.get(same)
            if twin is not None:
                twin.tasks.append(task)
                self._entries[task] = twin
                return True
        try:
            weight = 0.0 if self._weights is None else self._weights.of(task, item)
        except TaskRejected as error:  # its metadata has changed since it was admitted
            manager.settle(task, Outcome(None, error))
            return True
        batch = self._open.get(group)
        if batch is not None and batch.weight + weight > self._most:
            self._close(batch)
            batch = None
        opens = batch is None
        if batch is None:
            batch = self._open[group] = Batch(self, manager, fn, group)
        entry = self._entries[task] = Entry(batch, item, weight, same)
        entry.tasks.append(task)
        batch.add(entry)
        if same is not None:
            self._found[same] = entry
        if len(batch.entries) == self.max_batch_size or batch.weight == self._most:
            self._close(batch)
        if opens:
            self._hand_in(batch, {name: value for name, value in zip(self._fields, key) if value is not None})
        return True

    # Batches go.

    def _hand_in(self, batch: Batch, carried: Dict[str, Any]) -> None:
        """Its task joins the others: asleep while the batch gathers."""
        try:
            batch.manager.add_inner(batch, {"name": f"batch of {batch.fn.name}", **carried})
        except AtmError as error:  # another strategy does not admit it
            self._close(batch)
            for entry in list(batch.entries):
                self.decide(entry, Outcome(None, error))

    @hookimpl(trylast=True)  # what others say about its start is about tasks of another kind
    def atm_admitted(self, task: Task[Any], now: float) -> None:
        """A batch gathers for so long."""
        batch = task.work
        if type(batch) is Batch and batch.strategy is self:
            batch.task = task
            self._batches[task] = batch
            if self._open.get(batch.group) is batch:
                task.not_before = now + self.max_wait_seconds

    @hookimpl
    def atm_draining(self) -> None:
        """Someone waits for the end: gather no longer."""
        self.flush()

    def _close(self, batch: Batch) -> None:
        """It takes no more items, so there is nothing to wait for."""
        if self._open.get(batch.group) is batch:
            del self._open[batch.group]
        self._go(batch)

    def _go(self, batch: Batch) -> None:
        if batch.task is not None and batch.task.not_before is not None:
            batch.task.not_before = None

    @hookimpl
    def atm_started(self, task: Task[Any], now: float) -> None:
        """A batch takes no more items: others have booked it as it is."""
        super().atm_started(task, now)
        batch = self._batches.get(task)
        if batch is not None:
            self._close(batch)

    def begins(self, batch: Batch) -> bool:
        """Its call is about to begin: whether there is still anything to do."""
        if any(one is self for one in batch.manager.strategies.values()):
            return True
        # This strategy was unregistered meanwhile: the manager has taken the items back, and runs each alone.
        self._close(batch)
        for entry in list(batch.entries):
            self._forget(entry)
        if batch.task is not None:
            self._batches.pop(batch.task, None)
        return False

    # Calls end.

    def decide(self, entry: Entry, outcome: Outcome) -> None:
        """Settle the tasks that want this item's result, if any still do."""
        tasks = entry.tasks
        if not tasks:
            return
        self._forget(entry)
        for task in tasks:
            try:
                entry.batch.manager.settle(task, outcome)
            except ManagerStateError:
                # A callback has just cancelled it; or the manager took it back when this strategy was unregistered.
                continue

    def _forget(self, entry: Entry) -> None:
        for task in entry.tasks:
            del self._entries[task]
        entry.tasks = []
        entry.batch.remove(entry)
        if self._found.get(entry.same) is entry:
            del self._found[entry.same]

    @hookimpl
    def atm_settled(self, task: Task[Any], outcome: Outcome) -> None:
        """An item was cancelled, or a batch has ended."""
        entry = self._entries.pop(task, None)
        if entry is not None:
            self._drop(task, entry)
            return
        batch = self._batches.pop(task, None)
        if batch is None:
            return
        self._close(batch)
        if outcome.failed:
            task.exception()  # its items have it: it need not be reported
        left = list(batch.entries)  # it was refused, or cancelled, before it decided on these
        if not outcome.cancelled:
            for entry in left:
                self.decide(entry, Outcome(None, outcome.exception, duration=outcome.duration))
            return
        wanting = [one for entry in left for one in entry.tasks]
        for entry in left:  # all of them before the first callback, which may add a twin
            self._forget(entry)
        for one in wanting:
            one.cancel()

    def _drop(self, task: Task[Any], entry: Entry) -> None:
        """A task wants its item no more: with its last task the item goes, with its last item the batch."""
        entry.tasks.remove(task)
        if not entry.tasks:
            batch = entry.batch
            self._forget(entry)
            if not batch.entries and batch.task is not None:
                batch.task.cancel()
