"""What the tests of this package share."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Dict, List

import pytest
from atm_bulk import Batched, batched

from atm_core import hookimpl


class Service:
    """A batch function that records its calls; bad items fail the call, or only themselves."""

    def __init__(self, bad: Any = (), seconds: float = 0.0, partial: bool = False) -> None:
        self.bad = set(bad)
        self.seconds = seconds
        self.partial = partial
        self.calls: List[List[Any]] = []
        self.times: List[float] = []
        self.done: List[Any] = []
        self.running = self.most_running = 0
        self.insert: Batched[Any, Any] = batched(self._insert)

    async def _insert(self, items: List[Any]) -> Any:
        self.calls.append(list(items))
        self.times.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
        bad = [item for item in items if item in self.bad]
        if bad and not self.partial:
            raise ValueError(f"bad: {bad}")
        self.done.extend(item for item in items if item not in self.bad)
        return [ValueError(f"bad: {item}") if item in self.bad else f"{item} done" for item in items]


class Again:
    """The smallest retry, which also notes what it is asked about."""

    def __init__(self, max_attempts: int = 3, delay: float = 1.0) -> None:
        self.max_attempts = max_attempts
        self.delay = delay
        self.asked: List[Any] = []

    @hookimpl(tryfirst=True)
    def atm_again(self, task: Any, outcome: Any, now: float) -> Any:
        self.asked.append(task)
        return now + self.delay if outcome.failed and task.attempts < self.max_attempts else None


class Seen:
    """Notes the attempts that other strategies see, and how they end."""

    def __init__(self) -> None:
        self.started: List[Any] = []
        self.outcomes: List[Any] = []

    @hookimpl
    def atm_started(self, task: Any) -> None:
        self.started.append(task)

    @hookimpl
    def atm_finished(self, task: Any, outcome: Any) -> None:
        self.outcomes.append(outcome)


@pytest.fixture(scope="session")
def again() -> Any:
    """Makes an :class:`Again`."""
    return Again


@pytest.fixture
def seen() -> Seen:
    """An observer of attempts."""
    return Seen()


@pytest.fixture(scope="session")
def service() -> Any:
    """Makes a :class:`Service`."""
    return Service


@pytest.fixture(scope="session")
def vectors() -> List[Dict[str, Any]]:
    """The reference numbers."""
    path = Path(__file__).parent / "vectors" / "bulk.json"
    return json.loads(path.read_text(encoding="utf-8"))["vectors"]  # type: ignore[no-any-return]
