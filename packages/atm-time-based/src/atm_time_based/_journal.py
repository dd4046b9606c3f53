"""What the state file is told, and when; and what it knows of a task that is added."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Optional, Set

from atm_core import TaskRejected
from atm_time_based._errors import StateFileError
from atm_time_based._recurrence import Recurrence
from atm_time_based._schedules import After
from atm_time_based._state_file import Row, StateFile

__all__ = ["Journal"]

_log = logging.getLogger("atm_time_based")


class Journal:
    """Keeps the rows of named tasks; does nothing without a state file.

    A due time is noted when its run starts, and written before its work begins, so a run that a crash
    interrupts is not run again. Everything else that is noted in one turn of the loop is written in one
    transaction.

    Args:
        path: The state file; None for none.
    """

    def __init__(self, path: Optional[str]) -> None:
        self._file = None if path is None else StateFile(path)
        self._names: Set[str] = set()
        self._runs = False  # between open and close
        self._soon = False  # a flush is on its way

    def restore(self, recurrence: Recurrence) -> Optional[float]:
        """Give a task that is to be added its counts from before.

        Returns:
            The due time up to which it is dealt with; None if nothing is known of this task with this
            schedule.

        Raises:
            TaskRejected: Another task has the name: they would share a row.
            StateFileError: The file cannot be used.
        """
        name = recurrence.name
        if self._file is None or not name or isinstance(recurrence.schedule, After):
            return None  # a delay counts from each addition
        if name in self._names:
            raise TaskRejected(
                f"the name {name!r} must be that of one task, since state_file keeps its times by it"
            )
        recurrence.recorded = json.dumps(recurrence.schedule.to_dict(), sort_keys=True)
        row = self._file.get(name)
        if row is None or row.schedule != recurrence.recorded:
            return None
        recurrence.runs = recurrence.begun = row.runs
        recurrence.missed = row.missed
        return row.handled_at

    def add(self, recurrence: Recurrence) -> None:
        """The task is in."""
        if recurrence.recorded is not None:
            self._names.add(recurrence.name)

    def drop(self, recurrence: Recurrence) -> None:
        """The task is settled. Its row stays: one that is added by this name later goes on from there."""
        if recurrence.recorded is not None:
            self._names.discard(recurrence.name)
            if not self._names and not self._runs:
                self.close()  # no manager will tell

    def note(self, recurrence: Recurrence) -> None:
        """Something was dealt with: write it at the end of this turn of the loop."""
        if self._file is None or recurrence.recorded is None:
            return
        handled_at = recurrence.handled_at
        if recurrence.kept:  # those are still to be run
            handled_at = min(handled_at, recurrence.kept[0] - 1e-6)
        self._file.put(recurrence.name, Row(recurrence.recorded, handled_at, recurrence.begun, recurrence.missed))
        loop = asyncio._get_running_loop()
        if loop is None:
            self.flush()
        elif not self._soon:
            self._soon = True
            loop.call_soon(self.flush)

    def open(self) -> None:
        """Take the file.

        Raises:
            StateFileError: Another manager or process has it.
        """
        self._runs = True
        if self._file is not None:
            self._file.open()
            self.flush()

    def close(self) -> None:
        """Write what is not written, and give the file back."""
        self._runs = False
        if self._file is not None:
            self.flush()
            self._file.close()

    def flush(self) -> None:
        """Write what is noted and not written."""
        self._soon = False
        if self._file is None:
            return
        try:
            self._file.flush()
        except StateFileError as error:
            # The schedules go on; it is tried again with the next note.
            _log.error("%s", error)
