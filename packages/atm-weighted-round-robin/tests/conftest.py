"""What the tests share: a strategy driven by hand, step by step, and a retry."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, List, Optional

import pytest
from atm_weighted_round_robin import WeightedRoundRobinStrategy

from atm_core import Outcome, Task, hookimpl


class Drive:
    """Calls a strategy's hooks as a manager does, at times that the test chooses."""

    def __init__(self, strategy: WeightedRoundRobinStrategy) -> None:
        self.strategy = strategy

    def ready_at(self, now: float = 0.0, task: Optional[Task[Any]] = None) -> Optional[float]:
        return self.strategy.atm_ready_at(_task() if task is None else task, now)

    def start(self, now: float = 0.0, task: Optional[Task[Any]] = None, key: Any = None) -> Task[Any]:
        task = _task() if task is None else task
        if key is not None:
            task.metadata["key"] = key
        assert self.strategy.atm_ready_at(task, now) == now
        self.strategy.atm_started(task, now)
        return task

    def end(self, task: Task[Any], error: Optional[BaseException] = None, now: float = 0.0, final: bool = True) -> Any:
        resource = task.metadata["resource"]
        self.strategy.atm_finished(task, Outcome(None, error), now)
        if final:
            task.cancel()  # no manager settles it
        return resource

    def pick(self, now: float = 0.0, error: Optional[BaseException] = None, key: Any = None) -> Any:
        """One whole task; returns its resource."""
        return self.end(self.start(now, key=key), error, now)

    def picks(self, n: int, now: float = 0.0) -> List[Any]:
        return [self.pick(now) for _ in range(n)]

    def fail(self, resource: Any, times: int = 1, now: float = 0.0) -> None:
        """Tasks that fail on this resource, started all at once with as many on the others as that takes."""
        started: List[Task[Any]] = []
        while sum(task.metadata["resource"] == resource for task in started) < times:
            started.append(self.start(now))
            assert len(started) < 10_000, f"{resource!r} is not picked"
        for task in started:
            if task.metadata["resource"] == resource:
                self.end(task, OSError("down"), now)
            else:
                self.cancel(task, now)

    def state(self, resource: str = "a", now: float = 0.0) -> Dict[str, Any]:
        return self.strategy.snapshot(now)[resource]

    def cancel(self, task: Task[Any], now: float = 0.0) -> None:
        self.strategy.atm_finished(task, Outcome(None, asyncio.CancelledError(), True), now)
        task.cancel()


def _task() -> Task[Any]:
    return Task(_nothing)


async def _nothing() -> None:
    return None


class Retry:
    """Again after a pause, so many times."""

    def __init__(self, max_attempts: int = 10, pause_seconds: float = 0.01) -> None:
        self.max_attempts = max_attempts
        self.pause_seconds = pause_seconds

    @hookimpl
    def atm_again(self, task: Task[Any], outcome: Outcome, now: float) -> Optional[float]:
        return now + self.pause_seconds if outcome.failed and task.attempts < self.max_attempts else None


@pytest.fixture(scope="session")
def drive() -> Callable[..., Drive]:
    """``drive({"a": 5, "b": 1}, algorithm="edf")``: a new strategy, to be driven by hand."""

    def make(resources: Any, **settings: Any) -> Drive:
        return Drive(WeightedRoundRobinStrategy(resources, **settings))

    return make


@pytest.fixture(scope="session")
def retry() -> Callable[..., Retry]:
    """A stand-in for the package atm-retry."""
    return Retry
