"""The real use: rows into a database, bad ones among them, none lost, none doubled."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any, List, Tuple

import pytest
from atm_bulk import BulkStrategy, batched

from atm_core import ConcurrentLimitStrategy, TaskManager, in_thread

Row = Tuple[int, Any]


class Table:
    """A table in a file; a call inserts all its rows in one transaction, or none."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(str(path), check_same_thread=False)
        self.db.execute("PRAGMA synchronous = OFF")  # else it is the disk that is measured: 30 ms for each commit
        self.db.execute("CREATE TABLE rows (id INTEGER, value INTEGER NOT NULL)")
        self.calls = 0
        self.insert = batched(in_thread(self._insert))

    def _insert(self, rows: List[Row]) -> None:
        self.calls += 1
        with self.db:
            self.db.executemany("INSERT INTO rows VALUES (?, ?)", rows)

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *error: Any) -> None:
        self.db.close()

    def ids(self) -> List[int]:
        return [one for (one,) in self.db.execute("SELECT id FROM rows ORDER BY id")]


async def insert(strategies: List[Any], table: Table, rows: List[Row]) -> Tuple[List[Any], float]:
    """What became of each row, and rows a second."""
    began = time.perf_counter()
    async with TaskManager(strategies) as manager:
        results = manager.map(table.insert, rows, max_in_flight=10000, return_exceptions=True)
        outcomes = [one async for one in results]
    return outcomes, len(rows) / (time.perf_counter() - began)


@pytest.mark.slow
@pytest.mark.parametrize(("on_failure", "size"), [("bisect", 100_000), ("isolate", 20_000)])
def test_rows_by_the_thousand(tmp_path: Path, on_failure: str, size: int, capsys: Any) -> None:
    bad = set(range(777, size, 7_919))
    rows = [(n, None if n in bad else n * n % 1000) for n in range(size)]

    with Table(tmp_path / "bulk.db") as table:
        bulk = BulkStrategy(1000, max_concurrent_batches=1, on_failure=on_failure)
        outcomes, rate = asyncio.run(insert([bulk], table, rows))
        assert table.ids() == [n for n in range(size) if n not in bad]  # sorted: none is there twice
    for n, outcome in enumerate(outcomes):
        assert isinstance(outcome, sqlite3.IntegrityError) if n in bad else outcome is None
    # One call a thousand rows, and those that it takes to find the bad ones.
    assert table.calls <= size / 1000 + len(bad) * (21 if on_failure == "bisect" else 1001)

    with Table(tmp_path / "alone.db") as alone:
        _, rate_alone = asyncio.run(insert([ConcurrentLimitStrategy(1)], alone, rows[:700]))
        assert alone.calls == 700
    with capsys.disabled():
        figures = f"{rate:,.0f} rows/s in {table.calls} calls; one by one: {rate_alone:,.0f}"
        print(f"\n{on_failure}: {figures}")
