"""The journal: a SQLite file that knows which inputs are finished, and with which line of output.

A result is committed before its line is written to the output, in the order of writing. So at any instant, also after
``kill -9``, the output is a prefix of what the journal holds, perhaps torn in its last line; :mod:`.output` needs
nothing else to make it whole again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from atm_cli.failure import Failure, describe
from atm_cli.running.inputs import Record

__all__ = ["Entry", "Journal"]

_APPLICATION = 0x41544D4A  # "ATMJ" in the file's header
_VERSION = "1"
_PAGE = 2000

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE done (
    seq INTEGER PRIMARY KEY,
    idx INTEGER NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    failed INTEGER NOT NULL,
    line BLOB NOT NULL
);
"""


class Entry(NamedTuple):
    """A finished input: its record's number and digest, whether it failed, its line of output."""

    number: int
    digest: bytes
    failed: bool
    line: bytes


class Journal:
    """What is finished, on disk. One process at a time; every call may block.

    A commit costs one write to the disk (``synchronous=FULL``, write-ahead log), whatever the number of results in it.

    Args:
        path: The file; made if it is not there.
        settings: What must be the same when the journal is used again, by name; the first run's are kept.

    Raises:
        Failure: It is no journal, belongs to another run, is in use, or cannot be written.
    """

    def __init__(self, path: str, settings: Dict[str, str]) -> None:
        self.path = path
        self._one = threading.Lock()  # a transaction at a time, from whatever thread
        if os.path.isdir(path):
            raise Failure(f"{path} is a directory: --journal needs a file")
        try:
            self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise Failure(f"{path}: the journal cannot be opened: {describe(error)}") from error
        try:
            self._set_up(settings)
            self.alive_at = float(self._get("alive_at") or 0.0)
            self.clean = self._get("clean") == "1"
            self.finished, self.failed, self._last = self._db.execute(
                "SELECT count(*), coalesce(sum(failed), 0), coalesce(max(idx), -1) FROM done"
            ).fetchone()
        except BaseException as error:
            self._db.close()
            raise self._failure(error) from error

    def forget(self, failed_only: bool = False) -> None:
        """Forget everything, or what failed, so that it runs again; the output is then to be written anew."""
        with self._transaction():
            self._db.execute("DELETE FROM done WHERE failed" if failed_only else "DELETE FROM done")
            self._put("rewrite", "1")
        self.finished, self.failed = (self.finished - self.failed if failed_only else 0), 0

    @property
    def rewrites(self) -> bool:
        """Whether the output still holds what was forgotten."""
        return self._get("rewrite") == "1"

    def rewritten(self) -> None:
        """The output holds nothing any more that was forgotten."""
        with self._transaction():
            self._put("rewrite", "0")

    def lines(self, ordered: bool, start: int = 0) -> Iterator[bytes]:
        """The output as it has to be: in the order of completion, or by number as far as there is no gap.

        Args:
            ordered: By number.
            start: From this number on, if ordered.
        """
        column = "idx" if ordered else "seq"
        at = start if ordered else 0
        while True:
            page = self._run(f"SELECT {column}, line FROM done WHERE {column} >= ? ORDER BY {column} LIMIT {_PAGE}", at)
            for number, line in page:
                if ordered and number != at:
                    return
                at = number + 1
                yield bytes(line)
            if len(page) < _PAGE:
                return

    def knows(self, records: Sequence[Record]) -> List[bool]:
        """Of some records in their order: which were finished when the journal was opened.

        Raises:
            Failure: One of them is not the input that the journal has under its number.
        """
        if not records or records[0].number > self._last:
            return [False] * len(records)
        found = dict(
            self._run("SELECT idx, digest FROM done WHERE idx BETWEEN ? AND ?", records[0].number, records[-1].number)
        )
        for record in records:
            if record.number in found and found[record.number] != record.digest():
                raise Failure(
                    f"input number {record.number + 1} is not the one that {self.path} knows: a journal goes with one "
                    "input; give the same one, or --restart, or another --journal"
                )
        return [record.number in found for record in records]

    def add(self, entries: Sequence[Entry]) -> None:
        """Make results durable, all or none of them."""
        with self._transaction():
            self._db.executemany("INSERT INTO done (idx, digest, failed, line) VALUES (?, ?, ?, ?)", entries)
            self._put("alive_at", repr(time.time()))
            self._put("clean", "0")
        self.finished += len(entries)
        self.failed += sum(entry.failed for entry in entries)

    def alive(self, clean: bool = False) -> None:
        """Note that tasks may have started until now; ``clean``: and none will any more."""
        with self._transaction():
            self._put("alive_at", repr(time.time()))
            self._put("clean", "1" if clean else "0")

    def close(self) -> None:
        """Close the file; the write-ahead log becomes part of it."""
        self._db.close()

    def _set_up(self, settings: Dict[str, str]) -> None:
        # Held until the process ends, however it ends: a second run on this journal finds it locked.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        new = application == 0 and self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not new and application != _APPLICATION:
            raise Failure(f"{self.path} is a database, but no journal of atm run")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")
        if new:
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
            for name, value in {"version": _VERSION, **settings}.items():
                self._put(name, value)
        self._db.execute("COMMIT")
        for name, value in {"version": _VERSION, **settings}.items():
            kept = self._get(name)
            if kept != value:
                raise Failure(
                    f"{self.path} is the journal of a run with {name} {kept}, not {value}: use another --journal"
                )

    def _get(self, name: str) -> Optional[str]:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _put(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _run(self, query: str, *values: Any) -> List[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def _failure(self, error: BaseException) -> BaseException:
        if not isinstance(error, sqlite3.Error):
            return error
        said = str(error)
        if "locked" in said:
            return Failure(f"{self.path} is in use by another run")
        if "not a database" in said:
            return Failure(f"{self.path} is no journal of atm run")
        return Failure(f"{self.path}: the journal failed: {said}")


class _Transaction:
    """All or nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._db = journal._db

    def __enter__(self) -> None:
        self._journal._one.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._journal._one.release()
            raise self._journal._failure(error) from error

    def __exit__(self, kind: Any, error: Optional[BaseException], trace: Any) -> None:
        try:
            self._end(error)
        finally:
            self._journal._one.release()

    def _end(self, error: Optional[BaseException]) -> None:
        try:
            self._db.execute("COMMIT" if error is None else "ROLLBACK")
        except sqlite3.Error as failed:
            if error is None:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise self._journal._failure(failed) from failed
        if isinstance(error, sqlite3.Error):
            raise self._journal._failure(error) from error
