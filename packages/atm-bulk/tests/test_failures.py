"""Calls that fail: as a whole, in part, in time, and what other strategies see of it."""

from __future__ import annotations

import asyncio
import math
import socket
from typing import Any, List

import pytest
from atm_bulk import BatchResultError, BatchTimeoutError, BulkStrategy, batched

from atm_core import TaskManager, TaskRejected, WorkError, hookimpl
from atm_core.testing.virtual_time import run


async def insert_all(strategy: Any, service: Any, n: int) -> List[Any]:
    """Submit 0 to n-1; their failures."""
    async with TaskManager(strategy) as manager:
        tasks = [manager.submit(service.insert, item) for item in range(n)]
    return [task.exception() for task in tasks]


def test_isolate_calls_again_for_each_item_alone(service: Any) -> None:
    s = service(bad=[1])
    failures = run(insert_all(BulkStrategy(), s, 4))
    assert s.calls == [[0, 1, 2, 3], [0], [1], [2], [3]]
    assert [str(one) for one in failures] == ["None", "bad: [1]", "None", "None"]


def test_bisect_halves_until_the_bad_ones_stand_alone(service: Any) -> None:
    s = service(bad=[1, 4])
    failures = run(insert_all(BulkStrategy(on_failure="bisect"), s, 5))
    assert s.calls == [[0, 1, 2, 3, 4], [0, 1, 2], [0, 1], [0], [1], [2], [3, 4], [3], [4]]
    assert [failure is not None for failure in failures] == [False, True, False, False, True]


@pytest.mark.parametrize("n", [2, 3, 7, 8, 64, 100, 1000])
def test_bisect_needs_about_two_log_n_calls_for_one_bad_item(service: Any, n: int) -> None:
    for bad in {0, n // 3, n - 1}:
        s = service(bad=[bad])
        run(insert_all(BulkStrategy(n, on_failure="bisect"), s, n))
        assert len(s.calls) <= 2 * math.ceil(math.log2(n)) + 1
        assert sorted(s.done) == [item for item in range(n) if item != bad]


def test_raise_fails_all_with_one_call(service: Any) -> None:
    s = service(bad=[1])
    failures = run(insert_all(BulkStrategy(on_failure="raise"), s, 4))
    assert s.calls == [[0, 1, 2, 3]]
    assert len({id(one) for one in failures}) == 1


def test_items_settle_as_soon_as_they_are_decided(service: Any) -> None:
    s = service(bad=[3], seconds=1.0)

    async def main() -> List[float]:
        loop = asyncio.get_running_loop()
        at = []
        async with TaskManager(BulkStrategy(4, on_failure="bisect")) as manager:
            for item in range(4):
                manager.submit(s.insert, item).add_done_callback(lambda task: at.append(loop.time()))
        return at

    assert run(main()) == [2.0, 2.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("on_failure", "max_splits", "calls"),
    [("isolate", 1, 9), ("bisect", None, 15), ("bisect", 3, 7), ("bisect", 1, 3)],
)
def test_max_splits_bounds_the_calls_to_a_service_that_is_down(
    service: Any, on_failure: str, max_splits: Any, calls: int
) -> None:
    s = service(bad=range(8))
    strategy = BulkStrategy(8, on_failure=on_failure, max_splits=max_splits)
    failures = run(insert_all(strategy, s, 8))
    assert len(s.calls) == calls
    assert None not in failures
    assert strategy.stats()["splits"] == (calls - 1) // (8 if on_failure == "isolate" else 2)


@pytest.mark.parametrize("answer", [[], [1], [1, 2, 3]])
def test_a_result_of_the_wrong_length_fails_the_batch_with_both_lengths(answer: Any) -> None:
    """And it is not split: the call has done its work, which must not be done twice."""
    calls = []

    @batched
    async def load(items: List[int]) -> Any:
        calls.append(items)
        return answer

    async def main() -> None:
        async with TaskManager(BulkStrategy(2)) as manager:
            tasks = [manager.submit(load, item) for item in range(2)]
        for task in tasks:
            with pytest.raises(BatchResultError, match=f"load got 2 items and returned {len(answer)} results"):
                task.result()

    run(main())
    assert calls == [[0, 1]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (5, "must return None, a list of 2 results or {index: exception}, got int"),
        ("ab", "must return None, a list of 2 results or {index: exception}, got str"),
        ({0: "x"}, "must give an exception for item 0, got 'x'"),
        ({2: ValueError()}, "got 2 items and returned a failure at 2"),
    ],
)
def test_what_cannot_be_dealt_out_fails_the_batch(answer: Any, message: str) -> None:
    @batched
    async def load(items: List[int]) -> Any:
        return answer

    async def main() -> None:
        async with TaskManager(BulkStrategy(2)) as manager:
            tasks = [manager.submit(load, item) for item in range(2)]
        for task in tasks:
            assert isinstance(task.exception(), BatchResultError)
            assert message in str(task.exception())

    run(main())


def test_a_plain_function_is_refused_with_the_way_out() -> None:
    @batched
    def load(items: List[int]) -> Any:
        return items

    async def main() -> None:
        async with TaskManager(BulkStrategy()) as manager:
            with pytest.raises(
                WorkError, match=r"load returned list, not an awaitable: make it async, or batched\(in_thread"
            ):
                await manager.submit(load, 1)

    run(main())


def test_a_cancellation_among_the_results_cancels_its_item() -> None:
    @batched
    async def load(items: List[int]) -> Any:
        return [asyncio.CancelledError(), 1]

    async def main() -> None:
        async with TaskManager(BulkStrategy()) as manager:
            tasks = [manager.submit(load, item) for item in range(2)]
        assert tasks[0].cancelled()
        assert tasks[1].result() == 1

    run(main())


def test_a_call_that_takes_too_long_is_cancelled_and_not_split(service: Any) -> None:
    s = service(seconds=60.0)

    async def main() -> None:
        async with TaskManager(BulkStrategy(3, batch_timeout_seconds=5.0)) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(3)]
        assert asyncio.get_running_loop().time() == 5.0
        for task in tasks:
            with pytest.raises(BatchTimeoutError, match="took longer than 5 s for 3 items"):
                task.result()
            assert isinstance(task.exception(), asyncio.TimeoutError)

    run(main())
    assert len(s.calls) == 1
    assert s.running == 0


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("kind", [asyncio.TimeoutError, TimeoutError, socket.timeout])
def test_any_timeout_is_split_only_if_asked(kind: Any, asked: bool) -> None:
    calls = []

    @batched
    async def load(items: List[int]) -> None:
        calls.append(items)
        raise kind

    async def main() -> None:
        async with TaskManager(BulkStrategy(2, split_on_timeout=asked)) as manager:
            tasks = [manager.submit(load, item) for item in range(2)]
        assert [type(task.exception()) for task in tasks] == [kind, kind]

    run(main())
    assert len(calls) == (3 if asked else 1)


@pytest.mark.parametrize("ignores", [False, True])
def test_cancelling_a_batch_under_a_timeout_ends_its_call(ignores: bool) -> None:
    ended = []

    @batched
    async def load(items: List[int]) -> None:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            if not ignores:
                raise
            raise ValueError("not now") from None
        finally:
            ended.append(True)

    async def main() -> None:
        manager = TaskManager(BulkStrategy(1, batch_timeout_seconds=50.0))
        await manager.idle()
        task = manager.submit(load, 1)
        await asyncio.sleep(1.0)
        await manager.stop(timeout=0)
        assert task.cancelled()
        await manager.aclose()

    run(main())
    assert ended == [True]


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("bulk_first", [False, True])
def test_retry_is_asked_about_items_and_never_about_the_batch(
    service: Any, again: Any, seen: Any, partial: bool, bulk_first: bool
) -> None:
    """Whichever of the two was registered first."""
    s = service(bad=[1], partial=partial)
    retry = again(3)

    async def main() -> None:
        both = [BulkStrategy(4), retry] if bulk_first else [retry, BulkStrategy(4)]
        async with TaskManager([*both, seen]) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(4)]
        assert set(map(id, retry.asked)) == set(map(id, tasks))
        assert [task.attempts for task in tasks] == [1, 3, 1, 1]
        assert tasks[1].exception() is not None

    run(main())
    isolated = [] if partial else [[0], [1], [2], [3]]
    assert s.calls == [[0, 1, 2, 3], *isolated, [1], [1]]
    assert len(seen.started) == 3


def test_items_of_a_whole_batch_that_failed_come_again_together(service: Any, again: Any) -> None:
    s = service(bad=range(4))

    async def main() -> None:
        async with TaskManager([BulkStrategy(4, on_failure="raise"), again(2)]) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(4)]
            await asyncio.sleep(0.5)
            s.bad = set()
        assert [task.result() for task in tasks] == [f"{item} done" for item in range(4)]

    run(main())
    assert s.calls == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert s.times == [0.0, 1.0]


@pytest.mark.parametrize(
    ("bad", "partial", "failed"),
    [([], False, False), ([0], False, False), ([0, 1], False, True), ([0, 1], True, False)],
)
def test_a_batch_has_failed_for_others_if_no_call_succeeded(
    service: Any, seen: Any, bad: Any, partial: bool, failed: bool
) -> None:
    """So a breaker opens when the service is down, and not for bad items."""
    s = service(bad=bad, partial=partial)
    failures = run(insert_all([BulkStrategy(2), seen], s, 2))
    assert [failure is not None for failure in failures] == [item in bad for item in range(2)]
    assert [outcome.failed for outcome in seen.outcomes] == [failed]


class Refuses:
    """Admits no batch, or lets none start."""

    def __init__(self, admit: bool) -> None:
        self.admit = admit

    @hookimpl
    def atm_admit(self, task: Any) -> None:
        if not self.admit and task.metadata:
            raise TaskRejected("closed", retry_after=1.0)

    @hookimpl
    def atm_ready_at(self, task: Any, now: float) -> None:
        raise TaskRejected("closed", retry_after=1.0)


@pytest.mark.parametrize("admit", [False, True])
@pytest.mark.parametrize("bulk_first", [False, True])
def test_when_a_batch_is_refused_so_are_its_items(service: Any, again: Any, admit: bool, bulk_first: bool) -> None:
    s = service()
    retry = again(0)

    async def main() -> None:
        both = [BulkStrategy(), retry] if bulk_first else [retry, BulkStrategy()]
        async with TaskManager([*both, Refuses(admit)]) as manager:
            tasks = [manager.submit(s.insert, item) for item in range(3)]
        assert set(map(id, retry.asked)) == set(map(id, tasks))
        for task in tasks:
            with pytest.raises(TaskRejected, match="closed"):
                task.result()
            assert task.attempts == 0

    run(main())
    assert s.calls == []


def test_a_failure_that_stops_the_program_stops_it() -> None:
    class Stop(SystemExit):
        pass

    tasks: List[Any] = []

    @batched
    async def load(items: List[int]) -> None:
        raise Stop

    async def main() -> None:
        manager = TaskManager(BulkStrategy(2))
        await manager.idle()
        tasks.extend(manager.submit(load, item) for item in range(2))
        await asyncio.sleep(1.0)

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(Stop):
            loop.run_until_complete(main())
        assert [type(task.exception()) for task in tasks] == [Stop, Stop]
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
