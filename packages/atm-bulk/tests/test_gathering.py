"""What comes into one batch, and when it goes."""

from __future__ import annotations

import asyncio
import functools
import gc
import weakref
from typing import Any, List

import pytest
from atm_bulk import BulkStrategy, batch_size, batch_weight, batched

from atm_core import CostTooLargeError, SettingError, TaskManager, TaskRejected, current_task, hookimpl, in_thread
from atm_core.testing.virtual_time import run
from atm_plugins import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy


def test_each_item_has_its_own_handle_and_result(service: Any) -> None:
    s = service(bad=[2], partial=True)

    async def main() -> None:
        async with TaskManager(BulkStrategy()) as manager:
            tasks = [manager.submit(s.insert, n) for n in range(4)]
        assert [task.exception() is None for task in tasks] == [True, True, False, True]
        assert str(tasks[2].exception()) == "bad: 2"
        assert tasks[3].result() == "3 done"

    run(main())
    assert s.calls == [[0, 1, 2, 3]]


def test_the_wait_counts_from_the_first_item_and_later_ones_do_not_extend_it(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy(100, 1.0)) as manager:
            for n in range(5):
                manager.submit(s.insert, n)
                await asyncio.sleep(0.4)

    run(main())
    assert s.calls == [[0, 1, 2], [3, 4]]
    assert s.times == [1.0, 0.4 * 3 + 0.4 + 0.4]  # the last one by join, before its second is over


def test_a_full_batch_goes_at_once(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy(3, 3600.0)) as manager:
            await asyncio.gather(*(manager.submit(s.insert, n) for n in range(6)))

    run(main())
    assert s.calls == [[0, 1, 2], [3, 4, 5]]
    assert s.times == [0.0, 0.0]


def test_with_no_wait_a_batch_takes_what_comes_in_one_turn(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy(100, 0.0)) as manager:
            for turn in range(2):
                await asyncio.gather(*(manager.submit(s.insert, (turn, n)) for n in range(3)))

    run(main())
    assert s.calls == [[(0, 0), (0, 1), (0, 2)], [(1, 0), (1, 1), (1, 2)]]
    assert s.times == [0.0, 0.0]


def test_a_batch_takes_items_as_long_as_other_strategies_let_it_wait(service: Any) -> None:
    """One call that is as full as can be, in place of three small ones that wait behind each other."""
    s = service()

    async def main() -> None:
        async with TaskManager([BulkStrategy(4, 0.01), DelayedStrategy(10.0)]) as manager:
            await manager.submit(s.insert, "first")
            for n in range(5):
                manager.submit(s.insert, n)
                await asyncio.sleep(1.0)

    run(main())
    assert s.calls == [["first"], [0, 1, 2, 3], [4]]
    assert s.times == pytest.approx([0.01, 10.01, 20.01])


def test_batches_of_different_functions_do_not_mix(service: Any) -> None:
    s, t = service(), service()

    async def main() -> None:
        async with TaskManager(BulkStrategy()) as manager:
            for n in range(3):
                manager.submit(s.insert, n)
                manager.submit(t.insert, n)

    run(main())
    assert s.calls == t.calls == [[0, 1, 2]]


def test_a_method_is_batched_for_each_object() -> None:
    class Table:
        def __init__(self) -> None:
            self.rows: List[List[int]] = []

        @batched
        async def insert(self, rows: List[int]) -> None:
            """Insert."""
            self.rows.append(rows)

    a, b = Table(), Table()

    async def main() -> None:
        async with TaskManager(BulkStrategy()) as manager:
            for n in range(3):
                manager.submit(a.insert, n)
                manager.submit(b.insert, -n)

    run(main())
    assert (a.rows, b.rows) == ([[0, 1, 2]], [[0, -1, -2]])
    assert Table.insert.__doc__ == "Insert."


@pytest.mark.parametrize("key", ["host", lambda task: task.metadata["host"]])
def test_batches_are_formed_per_key(service: Any, key: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy(key=key)) as manager:
            for n in range(4):
                manager.add_task(functools.partial(s.insert, n), {"host": n % 2})

    run(main())
    assert s.calls == [[0, 2], [1, 3]]


def test_a_batch_carries_the_fields_by_which_it_was_formed_and_no_others() -> None:
    found = []

    @batched
    async def load(keys: List[int]) -> None:
        task = current_task()
        assert task is not None
        found.append((keys, dict(task.metadata)))

    async def main() -> None:
        async with TaskManager(BulkStrategy(key=["host", "priority"])) as manager:
            manager.add_task(functools.partial(load, 1), {"host": "a", "priority": "low", "delay": 5})
            manager.add_task(functools.partial(load, 2), {"host": "a", "priority": "high"})
            manager.add_task(functools.partial(load, 3), {"host": "a", "priority": "low", "delay": 9})
            manager.submit(load, 4)

    run(main())
    name = f"batch of {load.name}"
    assert found == [
        ([1, 3], {"name": name, "host": "a", "priority": "low"}),
        ([2], {"name": name, "host": "a", "priority": "high"}),
        ([4], {"name": name}),
    ]


def test_a_keyed_limit_sees_each_batch_under_its_key(service: Any) -> None:
    s = service(seconds=1.0)

    async def main() -> None:
        limit = ConcurrentLimitStrategy(1, key="host")
        async with TaskManager([BulkStrategy(2, key="host"), limit]) as manager:
            for n in range(8):
                manager.add_task(functools.partial(s.insert, n), {"host": n % 2})

    run(main())
    assert s.calls == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert s.times == [0.0, 0.0, 1.0, 1.0]


def test_the_weight_of_a_batch_is_bounded(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy(weight=len, max_batch_weight=10)) as manager:
            for item in ["a" * 4, "b" * 5, "c" * 2, "d" * 8, "e" * 10, ""]:
                manager.submit(s.insert, item)

    run(main())
    assert s.calls == [["aaaa", "bbbbb"], ["cc", "dddddddd"], ["eeeeeeeeee"], [""]]
    assert s.times[:3] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("weight", "kind"), [(50, CostTooLargeError), (-1, TaskRejected)])
def test_a_weight_that_changes_before_it_is_in_a_batch_is_checked_again(service: Any, weight: Any, kind: Any) -> None:
    s = service()

    class Later:
        @hookimpl
        def atm_admitted(self, task: Any, now: float) -> None:
            if "bytes" in task.metadata:
                task.not_before = now + 1.0

    async def main() -> None:
        async with TaskManager([BulkStrategy(weight="bytes", max_batch_weight=5), Later()]) as manager:
            changed, other = [manager.add_task(functools.partial(s.insert, n), {"bytes": 3}) for n in range(2)]
            changed.metadata["bytes"] = weight
            await changed.wait()
            assert type(changed.exception()) is kind
            assert await other == "1 done"

    run(main())
    assert s.calls == [[1]]


def test_a_cancelled_item_leaves_its_room_to_others(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy(3, weight=len, max_batch_weight=10)) as manager:
            tasks = [manager.submit(s.insert, item) for item in ("a" * 4, "b" * 5)]
            tasks[0].cancel()
            for item in ("c" * 3, "d", "e"):
                manager.submit(s.insert, item)

    run(main())
    assert s.calls == [["bbbbb", "ccc", "d"], ["e"]]


def test_an_item_that_no_batch_has_room_for_is_refused(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy(weight="bytes", max_batch_weight=10)) as manager:
            with pytest.raises(CostTooLargeError, match="weighs 11, but max_batch_weight is 10"):
                manager.add_task(functools.partial(s.insert, 1), {"bytes": 11})
            for wrong in (-1, float("nan"), True, "x"):
                with pytest.raises(TaskRejected, match="must be a finite number, 0 or more"):
                    manager.add_task(functools.partial(s.insert, 1), {"bytes": wrong})
            manager.submit(s.insert, 2)  # without the field: 1

    run(main())
    assert s.calls == [[2]]


def test_other_strategies_can_count_items_or_their_weight(service: Any) -> None:
    """A window of 10 items, and one of 20 bytes, in place of 10 calls."""
    s = service()

    async def main() -> None:
        strategies = [
            BulkStrategy(4, weight=len),
            FixedWindowStrategy(10, 1.0, cost=batch_size),
            FixedWindowStrategy(20, 1.0, cost=batch_weight),
        ]
        async with TaskManager(strategies) as manager:
            for n in range(20):
                manager.submit(s.insert, f"{n:02}")

    run(main())
    assert [len(call) for call in s.calls] == [4, 4, 4, 4, 4]
    assert s.times == [0.0, 0.0, 1.0, 1.0, 2.0]


def test_the_number_of_batches_at_once_is_bounded_and_other_tasks_are_not(service: Any) -> None:
    s = service(seconds=1.0)
    plain = []

    async def work() -> None:
        plain.append(asyncio.get_running_loop().time())

    async def main() -> None:
        async with TaskManager(BulkStrategy(2, max_concurrent_batches=2)) as manager:
            for n in range(10):
                manager.submit(s.insert, n)
            await asyncio.sleep(0.5)  # the third batch waits
            await asyncio.gather(*(manager.submit(work) for _ in range(10)))

    run(main())
    assert s.times == [0.0, 0.0, 1.0, 1.0, 2.0]
    assert s.most_running == 2
    assert plain == [0.5] * 10


def test_other_work_passes_untouched(seen: Any) -> None:
    async def work(n: int) -> int:
        return n

    @batched
    async def load(keys: List[int]) -> List[int]:
        return keys

    async def main() -> None:
        async with TaskManager([BulkStrategy(100, 3600.0), seen]) as manager:
            tasks = [manager.submit(work, 1), manager.add_task(work(2)), manager.add_task(lambda: load(3))]
            assert [await task for task in tasks] == [1, 2, 3]  # a lambda hides the function: a batch of one
            assert seen.started == tasks

    run(main())


def test_partial_is_the_same_call_and_a_call_with_other_arguments_fails_as_calls_do(service: Any) -> None:
    s = service()

    async def main() -> None:
        async with TaskManager(BulkStrategy()) as manager:
            manager.add_task(functools.partial(s.insert, 1))
            manager.add_task(functools.partial(functools.partial(s.insert), 2))
            wrong = [manager.submit(s.insert, 1, 2), manager.submit(s.insert), manager.submit(s.insert, rows=3)]
            for task in wrong:
                with pytest.raises(TypeError, match="__call__"):
                    await task

    run(main())
    assert s.calls == [[1, 2]]


def test_without_the_strategy_and_called_directly_an_item_is_a_batch_of_one(service: Any) -> None:
    s = service(bad=["x"], partial=True)

    async def main() -> None:
        async with TaskManager() as manager:
            assert await manager.submit(s.insert, 1) == "1 done"
        assert await s.insert(2) == "2 done"
        assert await s.insert.fn([3, 4]) == ["3 done", "4 done"]
        with pytest.raises(ValueError, match="bad: x"):
            await s.insert("x")

    run(main())
    assert s.calls == [[1], [2], [3, 4], ["x"]]


def test_blocking_functions_run_in_a_thread() -> None:
    @batched
    @in_thread
    def double(numbers: List[int]) -> List[int]:
        return [2 * n for n in numbers]

    async def main() -> List[int]:
        async with TaskManager(BulkStrategy()) as manager:
            return await asyncio.gather(*(manager.submit(double, n) for n in range(3)))

    assert run(main(), allow_io=True) == [0, 2, 4]


def test_duplicates_share_one_place_and_one_result(service: Any) -> None:
    s = service(bad=["b1"], seconds=1.0, partial=True)

    async def main() -> None:
        async with TaskManager(BulkStrategy(3, dedupe=lambda item: item[0])) as manager:
            tasks = [manager.submit(s.insert, item) for item in ("a1", "b1", "a2", "b2")]
            assert tasks[0].cancel()  # the second one wants it still
            await asyncio.sleep(0.5)
            tasks.append(manager.submit(s.insert, "a3"))  # joins the running call
        assert [task.cancelled() for task in tasks] == [True, False, False, False, False]
        assert tasks[2].result() == tasks[4].result() == "a1 done"
        assert tasks[1].exception() is tasks[3].exception() is not None
        async with TaskManager(BulkStrategy(3, dedupe=True)) as manager:
            assert await manager.submit(s.insert, "a4") == "a4 done"  # what is settled is not kept

    run(main())
    assert s.calls == [["a1", "b1"], ["a4"]]


def test_nothing_is_kept_of_idle_functions_keys_and_items() -> None:
    class Table:
        @batched
        async def insert(self, rows: List[Any]) -> None:
            pass

    class Row:
        pass

    strategy = BulkStrategy(key="host", dedupe=id)

    async def main() -> Any:
        async with TaskManager(strategy) as manager:
            table, row = Table(), Row()
            task = manager.submit(table.insert, row)
            for n in range(1000):
                manager.add_task(functools.partial(table.insert, Row()), {"host": n})
            refs = [weakref.ref(one) for one in (table, row, task)]
            del table, row, task
            await manager.join()
            gc.collect()
            assert [ref() for ref in refs] == [None, None, None]
            return strategy.stats()

    assert run(main()) == {"items": 0, "batches": 0, "open_batches": 0, "calls": 1001, "splits": 0}


def test_an_idle_manager_never_wakes(service: Any) -> None:
    s = service()

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with TaskManager(BulkStrategy(2, 5.0)) as manager:
            await asyncio.gather(manager.submit(s.insert, 1), manager.submit(s.insert, 2))
            await asyncio.sleep(0)
            assert [timer for timer in loop._scheduled if not timer.cancelled()] == []

    run(main())


def test_explain_says_which_batch_and_what_that_waits_for(service: Any) -> None:
    s = service(seconds=1.0)

    async def main() -> None:
        strategy = BulkStrategy(2, 5.0, max_concurrent_batches=1)
        async with TaskManager(strategy) as manager:
            first = manager.submit(s.insert, 1)
            assert manager.explain(first).strategy == "bulk"
            assert "it is in a batch of 1: " in str(manager.explain(first)) and "another 5.000 s" in str(
                manager.explain(first)
            )
            second = [manager.submit(s.insert, n) for n in (2, 3, 4)]
            await asyncio.sleep(0.5)
            assert "runs" in str(manager.explain(first))
            assert "as many batches run as max_concurrent_batches allows" in str(manager.explain(second[-1]))
            assert manager.stats()["strategies"]["bulk"] == {
                "items": 4,
                "batches": 2,
                "open_batches": 0,
                "calls": 1,
                "splits": 0,
            }

    run(main())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_batch_size": 0}, "max_batch_size must be greater than 0, got 0"),
        ({"max_batch_size": True}, "max_batch_size must be a whole number"),
        ({"max_wait_seconds": -1}, "max_wait_seconds .* got -1"),
        ({"max_wait_seconds": float("inf")}, "max_wait_seconds .* got inf"),
        ({"weight": len, "max_batch_weight": 0}, "max_batch_weight .* got 0"),
        ({"max_batch_weight": 5}, "max_batch_weight needs weight.* got 5"),
        ({"weight": 5}, "weight must be .* got 5"),
        ({"weight": "no.such.module:len"}, "weight must be .* got 'no.such.module:len'"),
        ({"max_concurrent_batches": 0}, "max_concurrent_batches must be greater than 0, got 0"),
        ({"on_failure": "bisekt"}, "did you mean 'bisect'"),
        ({"max_splits": 0}, "max_splits must be greater than 0, got 0"),
        ({"split_on_timeout": 1}, "split_on_timeout must be True or False, got 1"),
        ({"batch_timeout_seconds": 0}, "batch_timeout_seconds .* got 0"),
        ({"dedupe": 7}, "dedupe must be .* got 7"),
        ({"key": 7}, "key must be .* got 7"),
        ({"key": []}, "key must be .* got \\[\\]"),
        ({"key": ["host", 7]}, "key must be .* got \\['host', 7\\]"),
        ({"key": ""}, "key must be .* got ''"),
    ],
)
def test_settings_are_checked_by_name(settings: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        BulkStrategy(**settings)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        BulkStrategy(0, -1.0, on_failure="x")
    assert [one.parameter for one in caught.value.problems] == ["max_batch_size", "max_wait_seconds", "on_failure"]


def test_settings_from_a_config_are_plain_values(service: Any) -> None:
    s = service()

    async def main() -> None:
        strategy = BulkStrategy(weight="builtins:len", max_batch_weight=4, dedupe="builtins:str", key="builtins:type")
        async with TaskManager(strategy) as manager:
            for item in ("aa", "bb", "aa", "cc"):
                manager.submit(s.insert, item)

    run(main())
    assert s.calls == [["aa", "bb"], ["cc"]]


def test_a_batched_function_must_be_callable_and_no_generator() -> None:
    from atm_core import WorkError

    def generator(items: Any) -> Any:
        yield

    wrong: Any
    for wrong in (generator, 5, list):
        with pytest.raises(WorkError, match="batched takes an async function of a list"):
            batched(wrong)
