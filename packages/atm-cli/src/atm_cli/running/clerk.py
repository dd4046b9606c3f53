"""Takes part in the manager as a plugin: tells it what an input is, and notes what becomes of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Callable, Dict, Iterator, List, Optional

from atm_cli.failure import place_of, text_of
from atm_cli.running.inputs import Record, metadata_of
from atm_cli.running.journal import Entry
from atm_cli.running.jsonable import encoded, json_text
from atm_core import Outcome, QueueFullError, Task, TaskManager, TaskRejected, TaskState, hookimpl

__all__ = ["Clerk", "Finished"]


class Finished:
    """An input with its outcome."""

    __slots__ = ("attempts", "began_at", "ended_at", "key", "outcome", "record", "submitted_at")

    def __init__(self, record: Record, submitted_at: float, key: Any) -> None:
        self.record = record
        self.submitted_at = submitted_at  # these three: POSIX time in seconds
        self.began_at: Optional[float] = None
        self.ended_at = submitted_at
        self.key = key
        self.attempts = 0
        self.outcome = Outcome()

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return not self.outcome.succeeded

    def entry(self) -> Entry:
        """Its line of output."""
        row: Dict[str, Any] = {}
        error = self.outcome.exception
        if not self.failed:
            row["result"] = self.outcome.value
        elif error is not None:
            row["error"] = {"type": type(error).__name__, "message": text_of(error), "where": place_of(error)}
        row["attempts"] = self.attempts
        row["key"] = self.key
        row["started_at"] = None if self.began_at is None else round(self.began_at, 6)
        row["ended_at"] = round(self.ended_at, 6)
        row["waited_seconds"] = round((self.began_at or self.ended_at) - self.submitted_at, 6)
        row["ran_seconds"] = None if self.outcome.duration is None else round(self.outcome.duration, 6)
        head = f'{{"index": {self.record.number}, "input": {self.record.text}, '
        return Entry(self.record.number, self.record.digest(), self.failed, encoded(head + json_text(row)[1:]))


class Clerk:
    """Submits inputs, and calls ``finished`` with each that is settled.

    Args:
        manager: Where it registers itself.
        call: The function.
        finished: Called on the loop's thread.
        began: Called when an attempt begins, just before its first step.
    """

    def __init__(
        self,
        manager: TaskManager,
        call: Callable[[Any], Any],
        finished: Callable[[Finished], None],
        began: Callable[[], None],
    ) -> None:
        self._manager = manager
        self._call = call
        self._finished = finished
        self._began = began
        self._open: Dict[Task[Any], Finished] = {}
        self._incoming: Optional[Record] = None
        self._keyed: List[Callable[[Task[Any]], Any]] = [
            one.key_of for one in manager.strategies.values() if callable(getattr(one, "key_of", None))
        ]
        self._offset = 0.0  # from the loop's clock to POSIX time
        manager.register(self, "atm-run")

    def submit(self, record: Record) -> bool:
        """Hand an input to the manager; what a strategy refuses is finished at once.

        Returns:
            False if the manager has no room (``max_pending``).
        """
        self._incoming = record
        before = len(self._open)
        try:
            self._manager.submit(self._call, record.item)
        except QueueFullError:
            return False
        except TaskRejected as error:
            if len(self._open) > before:
                self._open.popitem()
            refused = Finished(record, time.time(), None)
            refused.outcome = Outcome(None, error)
            self._finished(refused)
        finally:
            self._incoming = None
        return True

    def waiting(self, most: int) -> Iterator[Task[Any]]:
        """Up to ``most`` of the tasks that wait, the oldest first."""
        for task in self._open:
            if task.state is TaskState.PENDING:
                yield task
                most -= 1
                if not most:
                    return

    @hookimpl
    def atm_manager_started(self, manager: TaskManager) -> None:
        """Where the loop's clock stands in the world's."""
        self._offset = time.time() - asyncio.get_running_loop().time()

    @hookimpl(tryfirst=True)
    def atm_admit(self, task: Task[Any], now: float) -> None:
        """Before any strategy looks at a task: what it may know of the input."""
        if self._incoming is not None:
            record, self._incoming = self._incoming, None
            task.metadata.update(metadata_of(record.item))
            self._open[task] = Finished(record, now + self._offset, None)

    @hookimpl
    def atm_admitted(self, task: Task[Any]) -> None:
        """The key under which strategies file it."""
        done = self._open.get(task)
        if done is not None:
            keys = (key_of(task) for key_of in self._keyed)
            done.key = next((key for key in keys if key is not None), None)

    @hookimpl
    def atm_began(self, task: Task[Any], now: float) -> None:
        """An attempt begins."""
        done = self._open.get(task)
        if done is not None:
            done.attempts += 1
            if done.began_at is None:
                done.began_at = now + self._offset
        self._began()

    @hookimpl
    def atm_settled(self, task: Task[Any], outcome: Outcome, now: float) -> None:
        """It is final."""
        done = self._open.pop(task, None)
        if done is None:
            return
        if outcome.failed:
            task.exception()  # it goes into the output: nobody needs to be told that it was not looked at
        done.outcome = outcome
        done.attempts = max(done.attempts, task.attempts)
        done.ended_at = now + self._offset
        self._finished(done)
