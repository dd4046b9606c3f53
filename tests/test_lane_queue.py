"""Both kinds of lane give the same tasks in the same order, whatever comes late and whatever dies."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from atm_core.lane_queue import FifoLane, SortedLane, waits
from atm_core.task import PENDING, SUCCEEDED

STEPS = st.lists(st.tuples(st.sampled_from(["push", "again", "pop", "die", "sweep"]), st.integers(0, 9)), max_size=200)


def twin(lanes, order, n):
    """One task, with an entry in each lane; it dies in both."""
    tasks = []
    for lane in lanes:
        task = SimpleNamespace(_state=PENDING, _place=None, n=n)
        task._place = entry = (*order, n, task, lane)
        lane.live += 1
        assert lane.push(entry) == (lane.first() is entry)
        tasks.append(task)
    return tasks


@given(steps=STEPS)
def test_a_queue_gives_what_a_heap_would(steps):
    lanes = [FifoLane(()), SortedLane(())]
    alive = []
    for n, (step, number) in enumerate(steps):
        if step in ("push", "again"):  # mostly in order; "again" is of an earlier time
            alive.append(twin(lanes, ((), float(n if step == "push" else number), int(step == "push")), n))
        elif step == "pop":
            heads = [lane.head() for lane in lanes]
            ranks = [head and head[:4] for head in heads]
            assert ranks[0] == ranks[1]
            if heads[0] is not None:
                for lane in lanes:
                    lane.pop()
                    lane.live -= 1
                alive = [pair for pair in alive if pair[0] is not heads[0][4]]
        elif step == "die" and alive:
            for task, lane in zip(alive.pop(number % len(alive)), lanes):
                task._state = SUCCEEDED
                lane.live -= 1
        else:
            for lane in lanes:
                lane.sweep()
        for lane in lanes:
            entries = lane.entries()
            assert len(entries) == lane.live == len(alive)
            assert all(waits(one) for one in entries)
            assert lane.head() is min(entries, default=None)


def test_dead_entries_are_swept_once_they_are_the_more():
    for lane in (FifoLane(()), SortedLane(())):
        tasks = [twin([lane], ((), float(n), 1), n)[0] for n in range(200)]
        for task in tasks[:150]:
            task._state = SUCCEEDED
            lane.live -= 1
            lane.sweep()
        assert len(lane) < 150
        assert lane.head()[4] is tasks[150]
