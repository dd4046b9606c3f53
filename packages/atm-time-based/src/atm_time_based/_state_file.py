"""What is to outlive the process: one row a named task, in SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Dict, NamedTuple, Optional

from atm_time_based._errors import StateFileError

__all__ = ["Row", "StateFile"]

_TABLE = """
CREATE TABLE IF NOT EXISTS atm_time_based (
    name TEXT PRIMARY KEY, schedule TEXT NOT NULL, handled_at REAL NOT NULL, runs INTEGER NOT NULL, missed
    INTEGER NOT NULL
)
"""


class Row(NamedTuple):
    """A task's schedule in JSON, the due time up to which it is dealt with, and its counts."""

    schedule: str
    handled_at: float
    runs: int
    missed: int


class StateFile:
    """The file, held for this process alone from its first use until :meth:`close`.

    Rows are written together, in one transaction, when :meth:`flush` is called: either all or none are in
    the file, also after a crash. What cannot be written waits, one row a name. The lock is SQLite's and
    goes with the process, so a crash leaves nothing to clean up.

    Args:
        path: Where; made if there is none.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._connection: Optional[sqlite3.Connection] = None
        self._unwritten: Dict[str, Row] = {}

    def get(self, name: str) -> Optional[Row]:
        """The row of this task; None if there is none."""
        if name in self._unwritten:
            return self._unwritten[name]
        connection = self._open()
        try:
            found = connection.execute(
                "SELECT schedule, handled_at, runs, missed FROM atm_time_based WHERE name = ?", (name,)
            )
            values = found.fetchone()
            if values is None:
                return None
            schedule, handled_at, runs, missed = values
            return Row(str(schedule), float(handled_at), int(runs), int(missed))
        except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
            raise StateFileError(f"state_file {self.path!r} cannot be read: {error}") from error

    def put(self, name: str, row: Row) -> None:
        """Write this row with the next :meth:`flush`."""
        self._unwritten[name] = row

    def flush(self) -> None:
        """Write what waits.

        Raises:
            StateFileError: It cannot be written; what waits goes on waiting.
        """
        if not self._unwritten:
            return
        connection = self._open()
        rows = [(name, *row) for name, row in self._unwritten.items()]
        try:
            connection.execute("BEGIN")
            connection.executemany("INSERT OR REPLACE INTO atm_time_based VALUES (?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:  # a full disk may have ended it
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise StateFileError(f"state_file {self.path!r} cannot be written: {error}") from error
        self._unwritten.clear()

    def open(self) -> None:
        """Take the file.

        Raises:
            StateFileError: Another process has it, or it cannot be opened.
        """
        self._open()

    def close(self) -> None:
        """Give the file back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._take()
        return self._connection

    def _take(self) -> sqlite3.Connection:
        connection: Optional[sqlite3.Connection] = None
        try:
            connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            # Exclusive mode keeps the lock after the transaction. With a write-ahead log a commit is
            # cheap, and nothing is lost when the process dies.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute(_TABLE)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if "locked" in str(error) or "busy" in str(error):
                whose = "is in use by another manager or process: give each a file of its own"
                raise StateFileError(f"state_file {self.path!r} {whose}") from error
            raise StateFileError(f"state_file {self.path!r} cannot be used: {error}") from error
        return connection
