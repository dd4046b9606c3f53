"""Numbers from reference implementations: every entry of vectors/priorityqueue.json."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from atm_priority_queue import PriorityQueueStrategy

from atm_core import ConcurrentLimitStrategy, Task, TaskManager
from atm_core.testing import run

VECTORS: List[Dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "priorityqueue.json").read_text("utf-8")
)["vectors"]
AGEING = [vector for vector in VECTORS if vector["source"].startswith("derived here")]
BY_NAME = (
    "basic.ts::.add() - priority",
    "basic.ts::priority defaults to 0",
    "advanced.ts::.setPriority()",
    "priority-queue.ts::appends same-priority after partial dequeue",
    "priority.js::Should do basic ordering",
    "priority.js::Should have the right priority",
    "priority.js::OVERFLOW",
    "priority.js::OVERFLOW_PRIORITY",
    "priority/priority.go",
    "test_priority.py::test_lock_effective_priority",
    "test_priority.py::test_priority_inheritance",
    "test_priority.py::test_lock_cancel",
    "test_priority.py::test_fifo",
    "test_priority.py::test_priority_boost",
)
Order = Callable[..., List[Any]]
STRICT: Dict[str, Any] = {"aging_seconds": None, "default": 0}


def vector(name: str) -> Tuple[Any, Any]:
    """Inputs and expectation of the only vector whose source ends so."""
    assert name in BY_NAME
    (found,) = [one for one in VECTORS if one["source"].endswith(name)]
    return found["inputs"], found["expected"]


def test_every_vector_is_tested() -> None:
    """Nothing in the file is left out."""
    others = [one["source"] for one in VECTORS if one not in AGEING]
    assert len(others) == len(BY_NAME)
    assert all(sum(source.endswith(name) for source in others) == 1 for name in BY_NAME)


@pytest.mark.parametrize("aging_seconds", [None, 60.0])
def test_p_queue_add(start_order: Order, aging_seconds: Optional[float]) -> None:
    """The more urgent first; there the larger number, so the signs are turned."""
    inputs, expected = vector("basic.ts::.add() - priority")
    adds = [((n, value), -priority) for n, (value, priority) in enumerate(inputs["adds"])]
    order = start_order(adds, inputs["concurrency"], default=0, aging_seconds=aging_seconds)
    assert [value for _, value in order] == expected["order"]


def test_p_queue_default(start_order: Order) -> None:
    """Without a priority a task has the default."""
    inputs, expected = vector("basic.ts::priority defaults to 0")
    adds = [(name, -priority if priority else None) for name, priority in inputs["adds"]]
    assert start_order(adds, inputs["concurrency"], **STRICT) == expected["order"]


def test_p_queue_set_priority(start_order: Order) -> None:
    """Two queued tasks get another priority."""
    inputs, expected = vector("advanced.ts::.setPriority()")

    def change(strategy: PriorityQueueStrategy, tasks: Dict[str, Task[Any]]) -> None:
        for name, priority in inputs["set_priority"].items():
            assert strategy.set_priority(tasks[name], -priority)

    adds = [(name, None) for name in inputs["adds"]]
    assert start_order(adds, inputs["concurrency"], change, **STRICT) == expected["order"]


def test_p_queue_by_hand() -> None:
    """One of the same priority comes after those that are there, also after some were taken."""
    inputs, expected = vector("priority-queue.ts::appends same-priority after partial dequeue")
    strategy = PriorityQueueStrategy(**STRICT)
    found: List[Optional[str]] = []
    for operation in inputs["ops"]:
        words = operation.split()
        if words[0] == "enq":
            strategy.add_task(Task(lambda: asyncio.sleep(0), {"name": words[1], "priority": -int(words[2])}))
            continue
        for _ in range(int(words[1][1:]) if len(words) > 1 else 1):
            task = strategy.get_next_task()
            found.append(None if task is None else task.metadata["name"])
    assert found == expected["deq"]


@pytest.mark.parametrize("name", ["Should do basic ordering", "Should have the right priority"])
def test_bottleneck_ordering(start_order: Order, name: str) -> None:
    """Smaller numbers first."""
    inputs, expected = vector(f"priority.js::{name}")
    assert start_order(inputs["adds"], inputs["max_concurrent"], aging_seconds=None) == expected["order"]


@pytest.mark.parametrize("aging_seconds", [None, 60.0])
@pytest.mark.parametrize(("name", "overflow"), [("OVERFLOW", "reject"), ("OVERFLOW_PRIORITY", "drop_lowest")])
def test_bottleneck_overflow(start_order: Order, name: str, overflow: str, aging_seconds: Optional[float]) -> None:
    """Who goes when the queue is full."""
    inputs, expected = vector(f"priority.js::{name}")
    settings = {"max_pending": inputs["high_water"], "overflow": overflow, "aging_seconds": aging_seconds}
    assert start_order(inputs["adds"], **settings) == expected["order"]


def test_bottleneck_leak(start_order: Order) -> None:
    """Its LEAK is our drop_oldest: the numbers of test/priority.js, "Should support LEAK", with its final job."""
    adds = [(1, 5), (2, 5), (3, 5), (4, 5), (5, 2), (6, 1), (7, 9), ("last", 5)]
    assert start_order(adds, max_pending=3, overflow="drop_oldest") == [1, 6, 5, "last"]


def test_failsafe_classes(start_order: Order) -> None:
    """Finer levels inside a class, by which a part of it can be shed, are numbers between two names."""
    inputs, _ = vector("priority/priority.go")
    assert "VeryHigh 400-499" in inputs["levels"]
    names = ("very_high", "high", "medium", "low", "very_low")
    adds = [("first", None), ("low, upper half", 3.2), ("low, lower half", 3.7), ("very low", "very_low"), ("new", 3.5)]
    settings = {
        "levels": names,
        "default": "medium",
        "max_pending": 3,
        "overflow": "drop_lowest",
        "aging_seconds": None,
    }
    assert start_order(adds, **settings) == ["first", "low, upper half", "new", "low, lower half"]


@pytest.mark.parametrize("found", AGEING, ids=lambda found: f"rate {found['inputs']['rate']}")
def test_ageing(found: Dict[str, Any]) -> None:
    """One low task against an urgent one every second: it waits so long, no longer. aging_seconds is 1 / rate."""
    rate = found["inputs"]["rate"]
    assert found["inputs"]["jobs"] == "L prio 10 @0; H0..H29 prio 0 at 0..29 s"

    async def main() -> List[str]:
        names: List[str] = []

        async def work(name: str) -> None:
            names.append(name)
            await asyncio.sleep(1)

        strategy = PriorityQueueStrategy(aging_seconds=1 / rate if rate else None)
        async with TaskManager([ConcurrentLimitStrategy(1), strategy]) as manager:
            manager.add_task(lambda: work("L"), {"priority": 10})
            for n in range(30):
                manager.add_task(lambda n=n: work(f"H{n}"), {"priority": 0})  # type: ignore[misc]
                await asyncio.sleep(1)
        return names

    assert run(main()).index("L") == found["expected"]["position_of_L"]


@pytest.mark.parametrize("name", ["test_lock_effective_priority", "test_priority_inheritance"])
def test_asynkit_inheritance(name: str, closed: Any) -> None:
    """What is awaited has the priority of the most urgent one that waits, and its own again when nobody waits."""
    inputs, expected = vector(f"test_priority.py::{name}")
    own = inputs.get("holder_priority", 1e12)  # a lock has none
    strategy = PriorityQueueStrategy(aging_seconds=None)

    async def main() -> None:
        async with TaskManager([strategy, closed]) as manager:
            holder = manager.add_task(lambda: asyncio.sleep(0), {"priority": own, "closed": True})
            waiters: List[Task[Any]] = []
            effective: List[float] = []
            for priority in inputs["waiters_added"]:
                waiters.append(manager.add_task(holder.wait, {"priority": priority}))
                await asyncio.sleep(0.1)
                effective.append(strategy.level_of(holder))
            assert effective == expected.get("lock_effective", expected.get("holder_effective"))
            for waiter in waiters:
                waiter.cancel()
            await asyncio.sleep(0.1)
            assert strategy.level_of(holder) == expected.get("after_release", own)
            holder.cancel()

    run(main())


def test_asynkit_cancel(start_order: Order) -> None:
    """Two of twenty are cancelled while they wait: the others start in the order of their priority."""
    inputs, _ = vector("test_priority.py::test_lock_cancel")
    count = inputs["n"]
    priorities = {n: (n * 7) % count for n in range(count)}
    done: List[int] = []

    async def main() -> None:
        async def work(n: int) -> None:
            done.append(n)
            await asyncio.sleep(1)

        async with TaskManager([ConcurrentLimitStrategy(1), PriorityQueueStrategy(aging_seconds=None)]) as manager:
            tasks = [manager.add_task(lambda n=n: work(n), {"priority": priorities[n]}) for n in range(count)]  # type: ignore[misc]
            for n in (3, 9):
                tasks[n].cancel()

    run(main())
    assert done == sorted((n for n in range(count) if n not in (3, 9)), key=lambda n: priorities[n])


def test_asynkit_fifo(start_order: Order) -> None:
    """First in, first out inside a level."""
    inputs, expected = vector("test_priority.py::test_fifo")
    assert expected == "FIFO within the same priority"
    adds = list(enumerate(inputs["priorities"]))
    order = start_order(adds, running=0, aging_seconds=None)
    assert order == sorted(range(len(adds)), key=lambda n: (inputs["priorities"][n], n))


def test_asynkit_boost() -> None:
    """The most urgent items come back again and again, and yet everyone has a turn: waiting makes urgent."""
    inputs, _ = vector("test_priority.py::test_priority_boost")
    seen = set()

    async def main() -> int:
        strategy = PriorityQueueStrategy(aging_seconds=10.0)
        for n in range(inputs["items"]):
            strategy.add_task(Task(lambda: asyncio.sleep(0), {"name": n, "priority": n % 10}))
        for pops in range(100_000):
            task = strategy.get_next_task()
            assert task is not None
            seen.add(task.metadata["name"])
            if len(seen) == inputs["items"]:
                return pops
            await asyncio.sleep(0.01)
            strategy.add_task(task)
        return 100_000

    assert run(main()) < 100_000
