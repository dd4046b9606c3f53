"""Runs beside a task's own, where overlap is allowed: tasks of their own, which pass every strategy."""

from __future__ import annotations

import functools
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, Optional, Set

from atm_core import AtmError, Outcome
from atm_time_based._recurrence import Recurrence
from atm_time_based._zones import UTC

if TYPE_CHECKING:
    from atm_core import Task, TaskManager

__all__ = ["Beside", "report_failure"]

_log = logging.getLogger("atm_time_based")


class Beside:
    """Starts them, counts them for their task, and cancels them with it."""

    def __init__(self) -> None:
        self._owners: Dict[Task[Any], Task[Any]] = {}  # of those that are not settled
        self._recurrences: Dict[Task[Any], Recurrence] = {}
        self._runs: Dict[Task[Any], Set[Task[Any]]] = {}

    def start(self, manager: TaskManager, task: Task[Any], recurrence: Recurrence, due: float) -> None:
        """Hand in the work of ``task`` once more, for its run that was due at ``due``."""
        work = functools.partial(task.work, *task.args) if task.args else task.work
        metadata = {**task.metadata, "schedule": None, "scheduled_at": due}
        assert recurrence.context is not None
        try:
            run = recurrence.context.run(manager.add_task, work, metadata)
        except AtmError as error:  # refused, or the manager is being closed
            recurrence.missed += 1
            recurrence.last_outcome = Outcome(None, error)
            _log.warning("%s: missed a run: %s", recurrence, error)
            return
        recurrence.begun += 1
        self._owners[run] = task
        self._recurrences[run] = recurrence
        self._runs.setdefault(task, set()).add(run)

    def settled(self, run: Task[Any], outcome: Outcome) -> Optional[Task[Any]]:
        """A task is settled; if it is one of these, count it and give the task whose run it was."""
        task = self._owners.pop(run, None)
        if task is None:
            return None
        recurrence = self._recurrences.pop(run)
        runs = self._runs[task]
        runs.discard(run)
        if not runs:
            del self._runs[task]
        recurrence.runs += 1
        recurrence.last_outcome = outcome
        if outcome.failed:
            run.exception()  # it is reported here, so it need not be again when the handle goes
            report_failure(recurrence, run.metadata["scheduled_at"], outcome)
        return task

    def cancel(self, task: Task[Any]) -> None:
        """The task was cancelled, and so are its runs."""
        for run in list(self._runs.get(task, ())):
            run.cancel()


def report_failure(recurrence: Recurrence, due: float, outcome: Outcome) -> None:
    """Log that a run failed, since its exception ends nowhere else."""
    error = outcome.exception
    assert error is not None
    when = datetime.fromtimestamp(due, UTC).isoformat()
    _log.error(
        "%s: its run of %s failed", recurrence, when, exc_info=(type(error), error, error.__traceback__)
    )
