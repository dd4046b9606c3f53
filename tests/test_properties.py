"""Whatever arrives, lasts, fails or is cancelled: the promises hold, nothing is lost, everything is given back."""

from __future__ import annotations

import asyncio
import collections

from hypothesis import given, settings
from hypothesis import strategies as st

from atm_core import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy, TaskManager, hookimpl
from atm_core.testing import run

TIMES = st.integers(0, 40).map(lambda n: n / 8)
TASKS = st.lists(
    st.fixed_dictionaries(
        {
            "arrival": TIMES,
            "duration": st.one_of(st.just(0.0), TIMES),
            "end": st.sampled_from(["value", "failure", "cancelled inside"]),
            "cancel_at": st.one_of(st.none(), TIMES),
            "key": st.sampled_from("ab"),
            "cost": st.integers(1, 3),
            "priority": st.integers(0, 2),
            "retries": st.integers(0, 2),
        }
    ),
    max_size=25,
)


class Again:
    @hookimpl
    def atm_again(self, task, outcome, now):
        return now + 0.25 if outcome.failed and task.attempts <= task.metadata["retries"] else None


class ByPriority:
    @hookimpl
    def atm_order(self, task):
        return task.metadata["priority"]


class Witness:
    """Writes down what happens to each task."""

    def __init__(self):
        self.counts = collections.Counter()
        self.starts = []  # (time, key, cost)
        self.ends = []  # (time, key, cost)

    @hookimpl
    def atm_admitted(self, task):
        self.counts["admitted"] += 1

    @hookimpl
    def atm_started(self, task, now):
        self.counts[task, "booked"] += 1
        assert self.counts[task, "booked"] == 1

    @hookimpl
    def atm_began(self, task, now):
        self.starts.append((now, task.metadata["key"], task.metadata["cost"]))

    @hookimpl
    def atm_finished(self, task, now):
        self.counts[task, "booked"] -= 1
        assert self.counts[task, "booked"] == 0
        self.ends.append((now, task.metadata["key"], task.metadata["cost"]))

    @hookimpl
    def atm_settled(self, task):
        self.counts["settled"] += 1
        self.counts[task, "settled"] += 1
        assert self.counts[task, "settled"] == 1


def play(strategies, tasks):
    """Run the tasks; returns the witness. Fails if anything is lost, doubled, hung or not given back."""
    witness = Witness()

    async def main():
        loop = asyncio.get_running_loop()

        async def work(one):
            await asyncio.sleep(one["duration"])
            if one["end"] == "failure":
                raise ValueError
            if one["end"] == "cancelled inside":
                raise asyncio.CancelledError
            return one["arrival"]

        handles = []
        async with TaskManager([*strategies, Again(), witness]) as manager:
            for one in sorted(tasks, key=lambda one: one["arrival"]):
                await asyncio.sleep(one["arrival"] - loop.time())
                task = manager.add_task(lambda one=one: work(one), one)
                handles.append(task)
                if one["cancel_at"] is not None:
                    loop.call_later(one["cancel_at"], task.cancel)
        for task in handles:
            assert task.done()
            if not task.cancelled() and task.exception() is None:
                assert task.result() == task.metadata["arrival"]
        figures = manager.stats()
        assert figures["added"] == len(tasks) == witness.counts["settled"]
        assert (figures["pending"], figures["running"], figures["asleep"], figures["held"]) == (0, 0, 0, 0)

    run(main())
    return witness


def at_once(witness, weigh=lambda cost: 1):
    """The most that ran at any time; an end counts before a start of the same instant."""
    events = [(at, 1, weigh(cost)) for at, _, cost in witness.starts]
    events += [(at, 0, -weigh(cost)) for at, _, cost in witness.ends]
    most = running = 0
    for _, _, change in sorted(events):
        running += change
        most = max(most, running)
    return most


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TASKS, st.integers(1, 3))
def test_concurrent_limit(tasks, limit):
    strategy = ConcurrentLimitStrategy(limit)
    witness = play([strategy], tasks)
    assert strategy.used() == 0
    if all(one["duration"] for one in tasks):
        assert at_once(witness) <= limit


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TASKS, st.integers(3, 5))
def test_keyed_and_weighted_limits_in_one_stack(tasks, limit):
    strategies = [ConcurrentLimitStrategy(limit, key="key", cost="cost"), ConcurrentLimitStrategy(4), ByPriority()]
    play(strategies, tasks)
    assert strategies[0].stats()["running"] == strategies[0].stats()["keys"] == strategies[1].used() == 0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TASKS, st.integers(1, 3))
def test_fixed_window(tasks, n):
    witness = play([FixedWindowStrategy(n, 2.0)], tasks)
    opened, used = None, 0
    for at, _, _ in sorted(witness.starts):
        if opened is None or at >= opened + 2.0:
            opened, used = at, 0
        used += 1
        assert used <= n


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TASKS)
def test_delayed_from_completion(tasks):
    witness = play([DelayedStrategy(1.0)], tasks)
    if all(one["duration"] for one in tasks):
        ends = sorted(at for at, _, _ in witness.ends)
        starts = sorted(at for at, _, _ in witness.starts)
        for start in starts[1:]:
            before = [end for end in ends if end < start]
            assert before
            assert start >= before[-1] + 1.0 or before[-1] not in [end for end, _, _ in witness.ends]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TASKS, st.permutations(range(4)))
def test_a_stack_in_every_order_keeps_every_promise(tasks, order):
    strategies = [
        ConcurrentLimitStrategy(2),
        FixedWindowStrategy(3, 2.0, key="key"),
        DelayedStrategy(0.25, measure_from="start"),
        ByPriority(),
    ]
    witness = play([strategies[i] for i in order], tasks)
    assert strategies[0].used() == 0
    starts = sorted(at for at, _, _ in witness.starts)
    assert all(after - before >= 0.25 for before, after in zip(starts, starts[1:]))
