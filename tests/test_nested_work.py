"""Work that awaits work: slots are lent and taken back, and nothing hangs, leaks or is told too often."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest

from atm_core import TaskManager, hookimpl
from atm_core.testing import run
from atm_plugins import ConcurrentLimitStrategy


def test_a_background_wait_of_an_earlier_attempt():
    """Nested work cannot deadlock: the second attempt lends its slot, too."""

    class Again:
        @hookimpl
        def atm_again(self, task, outcome, now):
            return now if outcome.failed and task.attempts < 2 else None

    async def main():
        manager = TaskManager([ConcurrentLimitStrategy(1), Again()])
        await manager.idle()
        child, watching = [], []

        async def watch():
            await child[0]

        async def parent():
            if not child:
                manager.pause()
                child.append(manager.submit(asyncio.sleep, 0))
                watching.append(asyncio.ensure_future(watch()))
                await asyncio.sleep(1)
                asyncio.get_running_loop().call_later(1, manager.resume)
                raise ValueError
            await child[0]

        task = manager.submit(parent)
        await asyncio.sleep(20)
        assert task.done()
        await manager.stop()

    run(main())


def test_closing_ends_what_waits_for_queued_work():
    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(2))
        await manager.idle()

        async def outer():
            await asyncio.sleep(1)
            await manager.submit(asyncio.sleep, 1)

        async def waits():
            await queued

        outside = manager.submit(outer)
        inside = manager.submit(waits)
        manager.pause()
        queued = manager.submit(asyncio.sleep, 1)
        manager.resume()
        await asyncio.sleep(0)
        manager.pause()
        await asyncio.sleep(0.5)
        await manager.aclose()
        assert queued.done() and inside.done() and outside.done()
        return asyncio.get_running_loop().time()

    assert run(main()) == 1.0


async def two_limits():
    """One task at once for each ``a``, and for each ``b``; and how to add work with both."""
    one, two = ConcurrentLimitStrategy(1, key="a"), ConcurrentLimitStrategy(1, key="b")
    manager = TaskManager([one, two])
    await manager.idle()
    return one, two, manager, lambda work, a, b: manager.add_task(work, {"a": a, "b": b})


@pytest.mark.parametrize("seconds", [(9, 5), (5, 9)])
def test_two_limits_and_room_that_comes_before_it_is_waited_for(seconds):
    """What was lent comes back, though the first limit had no room when the second one had none either."""

    async def main():
        one, two, manager, add = await two_limits()

        async def parent():
            child = add(lambda: asyncio.sleep(2), 2, 2)
            # While it waits, others take what it lends, one of them longer than the other.
            add(lambda: asyncio.sleep(seconds[0]), 1, 3)
            add(lambda: asyncio.sleep(seconds[1]), 3, 1)
            await child

        task = add(parent, 1, 1)
        await asyncio.sleep(60)
        assert task.done()
        assert (one.stats()["running"], two.stats()["running"]) == (0, 0)
        await manager.stop()

    run(main())


def test_a_wait_for_two_limits_is_cancelled():
    async def main():
        one, two, manager, add = await two_limits()

        async def parent():
            child = add(lambda: asyncio.sleep(2), 2, 2)
            add(lambda: asyncio.sleep(9), 1, 3)
            add(lambda: asyncio.sleep(5), 3, 1)
            await child

        task = add(parent, 1, 1)
        await asyncio.sleep(4)
        task.cancel()
        await manager.join()
        assert task.cancelled()
        assert (one.stats()["running"], two.stats()["running"]) == (0, 0)
        await manager.stop()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run(main())
        gc.collect()
    assert not [one for one in told if "never awaited" in str(one.message)]


def test_lending_is_transitive():
    """D waits for B, which runs and waits for C, which is queued: no circle."""

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1))
        await manager.idle()

        async def c():
            return 2

        async def first():
            async def other():
                return await first_task

            manager.submit(other)
            return await manager.submit(c)

        first_task = manager.submit(first)
        await asyncio.sleep(10)
        assert first_task.done()
        await manager.stop()

    run(main())


def test_two_parts_of_a_task_go_on():
    """Both hear of the slot that comes back; the wait of one of them began when nothing had to be lent."""

    async def main():
        manager = TaskManager(ConcurrentLimitStrategy(1, key="key"))
        await manager.idle()

        def add(seconds, key):
            return manager.add_task(lambda: asyncio.sleep(seconds), {"key": key})

        async def parent():
            running = add(2.5, "other")
            await asyncio.sleep(0.5)
            part = asyncio.ensure_future(running.wait())  # it runs already: nothing is lent
            await asyncio.sleep(0)
            add(0.2, "third")
            queued = add(1, "third")
            add(5, "parent")  # has the slot when both parts want to go on
            await queued
            await part

        task = manager.add_task(parent, {"key": "parent"})
        await asyncio.sleep(60)
        assert task.done()
        await manager.stop()

    run(main())


def test_a_wait_that_many_share_is_told_of_once_each():
    """However often what they wait for begins to wait, and stops again."""
    told = []

    class Hears:
        @hookimpl
        def atm_awaited(self, task, by):
            told.append((task, by))

    async def main():
        async with TaskManager([ConcurrentLimitStrategy(1), Hears()]) as manager:

            async def shared():
                await asyncio.sleep(1)
                for _ in range(10):
                    await manager.submit(asyncio.sleep, 1)

            async def waits():
                await first

            first = manager.submit(shared)
            others = [manager.submit(waits) for _ in range(50)]
            await first
        assert all(task.exception() is None for task in others)
        return sum(task is first for task, _ in told)

    assert run(main()) <= 100


def test_a_long_chain_of_waits():
    """Longer than Python's stack is deep, and each of them lends its slot."""

    async def main():
        async with TaskManager(ConcurrentLimitStrategy(1)) as manager:
            tasks = {}

            async def work(n):
                return await tasks[n - 1] + 1 if n else 0

            manager.pause()
            for n in reversed(range(2000)):  # the first to start waits for the second, and so on
                tasks[n] = manager.submit(work, n)
            manager.resume()
            return await tasks[1999]

    assert run(main()) == 1999


def test_a_gate_tells_what_it_has_booked():
    """For subclasses: who lends, and under which key, though the metadata have changed."""

    async def main():
        limit = ConcurrentLimitStrategy(1, key="host")
        async with TaskManager(limit) as manager:

            async def parent():
                me.metadata["host"] = "b"
                assert (limit.books(me), limit.lends(me), limit.booked_key(me)) == (True, False, "a")
                child = manager.add_task(lambda: asyncio.sleep(1), {"host": "c"})
                asyncio.get_running_loop().call_later(0.5, lambda: lent.append(limit.lends(me)))
                await child

            lent = []
            me = manager.add_task(parent, {"host": "a"})
            await me
            assert lent == [True]  # until the wait ends
            assert not limit.books(me)

    run(main())
