"""Whatever comes, whenever: every item is decided once, and every promise holds."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Dict, List

from atm_bulk import BulkStrategy
from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import TaskManager
from atm_core.testing.virtual_time import run
from atm_plugins import ConcurrentLimitStrategy, DelayedStrategy

# Tenths of seconds as integers, so that times can be compared exactly enough.
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "after": st.integers(0, 8),  # since the one before
            "bad": st.booleans(),
            "cancel_after": st.one_of(st.none(), st.none(), st.integers(0, 30)),
        }
    ),
    min_size=1,
    max_size=30,
)
SETTINGS = st.fixed_dictionaries(
    {
        "max_batch_size": st.integers(1, 6),
        "max_wait_seconds": st.sampled_from([0.0, 0.3, 1.0]),
        "max_concurrent_batches": st.one_of(st.none(), st.integers(1, 2)),
        "on_failure": st.sampled_from(["isolate", "bisect", "raise"]),
        "batch_timeout_seconds": st.sampled_from([None, 100.0]),
    }
)


async def drive(strategies: List[Any], service: Any, items: List[Dict[str, Any]]) -> List[Any]:
    """Submit the items at their times, cancel some; their tasks, all settled."""
    loop = asyncio.get_running_loop()
    settled: List[int] = []

    def noted(number: int, task: Any) -> None:
        settled.append(number)

    async with TaskManager(strategies) as manager:
        tasks: List[Any] = []
        for number, item in enumerate(items):
            await asyncio.sleep(item["after"] / 10)
            task = manager.submit(service.insert, number)
            task.add_done_callback(functools.partial(noted, number))
            if item["cancel_after"] is not None:
                loop.call_later(item["cancel_after"] / 10, task.cancel)
            tasks.append(task)
    assert all(task.cancelled() or task.exception() or task.result() for task in tasks)
    assert sorted(settled) == list(range(len(items)))
    return tasks


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ITEMS, SETTINGS, st.booleans(), st.sampled_from([0.0, 0.5]))
def test_every_item_is_decided_once(service: Any, items: Any, chosen: Any, partial: bool, seconds: float) -> None:
    s = service([number for number, item in enumerate(items) if item["bad"]], seconds, partial)
    strategy = BulkStrategy(**chosen)
    tasks = run(drive([strategy], s, items))
    for number, task in enumerate(tasks):
        if task.cancelled():
            assert items[number]["cancel_after"] is not None
        elif chosen["on_failure"] == "raise" and not partial:
            (call,) = [call for call in s.calls if number in call]  # never made again
            assert (task.exception() is None) == s.bad.isdisjoint(call)
        else:
            assert (task.exception() is None) == (number not in s.bad)
    assert len(s.done) == len(set(s.done))  # none doubled
    assert {number for number, task in enumerate(tasks) if not task.cancelled() and task.exception() is None} <= set(
        s.done
    )
    assert max(map(len, s.calls), default=0) <= chosen["max_batch_size"]
    assert s.most_running <= (chosen["max_concurrent_batches"] or len(items))
    stats = strategy.stats()
    assert stats["items"] == stats["batches"] == stats["open_batches"] == 0
    assert not strategy._found


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ITEMS, SETTINGS)
def test_no_item_waits_longer_than_it_must(service: Any, items: Any, chosen: Any) -> None:
    """With nothing else in the way: its call begins max_wait_seconds after it came, or before."""
    s = service()
    run(drive([BulkStrategy(**{**chosen, "max_concurrent_batches": None})], s, items))
    came, at = {}, 0.0
    for number, item in enumerate(items):
        at += item["after"] / 10
        came[number] = at
    for call, time in zip(s.calls, s.times):
        assert time <= came[call[0]] + chosen["max_wait_seconds"] + 1e-9
        assert call == sorted(call)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ITEMS, SETTINGS, st.booleans())
def test_stacked_with_others_their_promises_hold_too(
    service: Any, again: Any, items: Any, chosen: Any, dedupe: bool
) -> None:
    s = service([number for number, item in enumerate(items) if item["bad"]], 0.25)
    bulk = BulkStrategy(**chosen, dedupe=(lambda item: item // 2) if dedupe else None)
    tasks = run(
        drive([again(2), DelayedStrategy(0.5, measure_from="start"), bulk, ConcurrentLimitStrategy(2)], s, items)
    )
    assert s.most_running <= 2
    starts = s.times if chosen["on_failure"] == "raise" else []
    assert all(later - earlier >= 0.5 - 1e-9 for earlier, later in zip(starts, starts[1:]))
    assert bulk.stats()["items"] == 0
    assert max((task.attempts for task in tasks), default=0) <= 2
    if not dedupe and chosen["on_failure"] != "raise":
        assert len(s.done) == len(set(s.done))
        for number, task in enumerate(tasks):
            if not task.cancelled():
                assert task.attempts == (2 if number in s.bad else 1)
