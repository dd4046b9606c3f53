"""Read by type checkers only: what ``batched`` makes of functions, and ``submit`` of these."""

from __future__ import annotations

from typing import Dict, List, Optional, Union

from atm_bulk import Batched, batched

from atm_core import Task, TaskManager


@batched
async def nothing(rows: List[int]) -> None: ...


@batched
async def failures(rows: List[int]) -> Optional[Dict[int, Exception]]:
    return None


@batched
async def results(keys: List[str]) -> List[int]:
    return [len(key) for key in keys]


@batched
async def mixed(keys: List[str]) -> List[Union[int, Exception]]:
    return [len(key) or ValueError() for key in keys]


class Table:
    @batched
    async def insert(self, rows: List[int]) -> List[str]:
        return [str(row) for row in rows]


a: Batched[int, None] = nothing
b: Batched[int, None] = failures
c: Batched[str, int] = results
d: Batched[int, str] = Table().insert


def submitted(manager: TaskManager) -> None:
    one: Task[int] = manager.submit(results, "key")
    two: Task[str] = manager.submit(Table().insert, 1)
    three: Task[None] = manager.submit(nothing, 1)
    manager.submit(results, 1)  # type: ignore[arg-type]
    manager.submit(nothing, 1, 2)  # type: ignore[call-arg]
    print(one, two, three, manager.submit(mixed, "key"))
