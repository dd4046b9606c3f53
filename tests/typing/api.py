"""What type checkers must see, and must refuse; never run."""

from __future__ import annotations

from typing import Any, Dict, Optional

from atm_core import BaseStrategy, ConcurrentLimitStrategy, Task, TaskManager, hookimpl


async def fetch(url: str, retries: int = 0) -> bytes:
    return url.encode()


async def right(manager: TaskManager) -> None:
    task: Task[bytes] = manager.submit(fetch, "x", retries=1)
    coroutine: Task[bytes] = manager.add_task(fetch("x"), {"host": "a"})
    result: bytes = await task
    metadata: Dict[str, Any] = coroutine.metadata
    async for one in manager.map(fetch, ["a", "b"]):
        part: bytes = one
        print(part, result, metadata)


async def wrong(manager: TaskManager) -> None:
    manager.submit(fetch, 3)  # type: ignore[arg-type]
    manager.submit(fetch)  # type: ignore[call-arg]
    task: Task[str] = manager.submit(fetch, "x")  # type: ignore[arg-type]
    number: int = await manager.submit(fetch, "x")  # type: ignore[arg-type]
    ConcurrentLimitStrategy()  # type: ignore[call-arg]
    print(task, number)


class Missing(BaseStrategy):
    def add_task(self, task: Task[Any]) -> None: ...

    def get_next_task(self) -> Optional[Task[Any]]:
        return None


Missing()  # type: ignore[abstract]


class Observer:
    @hookimpl
    def atm_settled(self, task: Task[Any]) -> None:
        print(task)
