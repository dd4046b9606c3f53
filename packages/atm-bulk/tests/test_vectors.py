"""The numbers of the reference implementations: dataloader, aiodataloader, Bottleneck, AWS Lambda, split-and-retry."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, List

import pytest
from atm_bulk import BatchResultError, BulkStrategy, batched

from atm_core import TaskManager
from atm_core.testing.virtual_time import run


@pytest.fixture
def vector(vectors: List[Dict[str, Any]]) -> Callable[..., Dict[str, Any]]:
    """The one vector whose source ends like this, and whose inputs have these values."""

    def find(source: str, **inputs: Any) -> Dict[str, Any]:
        found = [
            one
            for one in vectors
            if one["source"].endswith(source)
            and all(one["inputs"].get(name) == value for name, value in inputs.items())
        ]
        assert len(found) == 1, (source, found)
        return found[0]

    return find


def test_every_vector_is_tested_here(vectors: List[Dict[str, Any]]) -> None:
    assert len(vectors) == 19  # with a new one comes a new test


async def load(loads: List[Any], **settings: Any) -> Any:
    """Load these keys at once; the calls, and what came of each key."""
    calls: List[List[Any]] = []

    @batched
    async def loader(keys: List[Any]) -> List[Any]:
        calls.append(list(keys))
        return [ValueError(f"Odd: {key}") if settings.get("odd_fails") and key % 2 else key for key in keys]

    strategy = BulkStrategy(**{name: value for name, value in settings.items() if name != "odd_fails"})
    async with TaskManager(strategy) as manager:
        tasks = [manager.submit(loader, key) for key in loads]
        await asyncio.gather(*(task.wait() for task in tasks))
    return calls, [task.exception() or task.result() for task in tasks]


def test_max_batch_size_counts_distinct_keys(vector: Any) -> None:
    one = vector("applies maxBatchSize correctly with duplicate keys")
    calls, results = run(load(one["inputs"]["loads"], max_batch_size=one["inputs"]["max_batch"], dedupe=True))
    assert calls == one["expected"]["batches"]
    assert results == one["inputs"]["loads"]


def test_a_duplicate_joins_a_batch_that_has_gone_already(vector: Any) -> None:
    one = vector("coalesces identical requests across sized batches")
    calls, results = run(load(one["inputs"]["loads"], max_batch_size=one["inputs"]["max_batch"], dedupe=True))
    assert calls == one["expected"]["batches"]
    assert results == one["inputs"]["loads"]


def test_loads_that_come_a_little_later_join(vector: Any) -> None:
    one = vector("batches loads occuring within promises")

    async def main() -> List[List[str]]:
        calls: List[List[str]] = []

        @batched
        async def loader(keys: List[str]) -> List[str]:
            calls.append(keys)
            return keys

        async def nested(keys: str) -> None:
            if keys:
                first = manager.submit(loader, keys[0])
                await asyncio.sleep(0)
                await asyncio.gather(nested(keys[1:]), first)

        async with TaskManager(BulkStrategy()) as manager:
            await nested("ABCD")
        return calls

    assert run(main()) == one["expected"]["batches"]


@pytest.mark.parametrize("limit", [None, 1])
def test_a_loader_calls_a_loader(vector: Any, limit: Any) -> None:
    """Also with one batch at a time: the batch that waits lends its slot."""
    one = vector("can call a loader from a loader")

    async def main() -> Dict[str, Any]:
        seen: Dict[str, Any] = {"deep_batches": [], "a_batches": [], "b_batches": []}

        @batched
        async def deep(keys: List[List[str]]) -> List[List[str]]:
            seen["deep_batches"].append(keys)
            return keys

        def loader(name: str) -> Any:
            async def load(keys: List[str]) -> List[str]:
                seen[name].append(keys)
                return await manager.submit(deep, keys)

            return batched(load)

        a, b = loader("a_batches"), loader("b_batches")
        async with TaskManager(BulkStrategy(max_concurrent_batches=limit)) as manager:
            tasks = [manager.submit(a, key) for key in one["inputs"]["a"]]
            tasks += [manager.submit(b, key) for key in one["inputs"]["b"]]
        assert [task.result() for task in tasks] == ["A1", "A2", "B1", "B2"]
        return seen

    assert run(main()) == one["expected"]


def test_failures_and_successes_in_one_batch(vector: Any) -> None:
    one = vector("Can represent failures and successes simultaneously")
    calls, results = run(load(one["inputs"]["loads"], odd_fails=True))
    assert calls == one["expected"]["batches"]
    assert isinstance(results[0], ValueError)
    assert results[1] == 2


def test_all_loads_fail_with_the_same_error_object(vector: Any) -> None:
    one = vector("Propagates error to all loads")
    error = RuntimeError("I am a terrible loader")

    async def main() -> List[Any]:
        @batched
        async def loader(keys: List[int]) -> None:
            raise error

        async with TaskManager(BulkStrategy(on_failure="raise")) as manager:
            tasks = [manager.submit(loader, key) for key in one["inputs"]["loads"]]
        return [task.exception() for task in tasks]

    failures = run(main())
    assert failures[0] is error
    assert failures[1] is error


def test_batching_can_be_turned_off(vector: Any) -> None:
    one = vector("May disable batching")
    calls, _ = run(load(one["inputs"]["loads"], max_batch_size=1))
    assert calls == one["expected"]["batches"]


def test_without_dedupe_keys_are_repeated(vector: Any) -> None:
    one = vector("Keys are repeated in batch when cache disabled")
    calls, _ = run(load(one["inputs"]["loads"]))
    assert calls == one["expected"]["batches"]


def test_a_cancelled_caller_harms_nobody(vector: Any) -> None:
    vector("test_does_not_attempt_to_set_cancelled_future")

    async def main() -> None:
        @batched
        async def loader(keys: List[int]) -> List[int]:
            await asyncio.sleep(1.0)
            return keys

        async with TaskManager(BulkStrategy()) as manager:
            first, second = manager.submit(loader, 1), manager.submit(loader, 2)
            await asyncio.sleep(0.5)  # the call is under way
            assert first.cancel()
        assert first.cancelled()
        assert second.result() == 2

    run(main())


@pytest.mark.parametrize(
    "name",
    ["Should batch by time and size", "Should batch by size", "Should force then stagger flushes"],
)
def test_by_time_and_size(vector: Any, name: str) -> None:
    one = vector(name)
    inputs, expected = one["inputs"], one["expected"]

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        calls, times = [], []

        @batched
        async def loader(keys: List[int]) -> None:
            calls.append(keys)
            times.append(loop.time())

        wait = inputs.get("max_time_ms", 60000) / 1000
        async with TaskManager(BulkStrategy(inputs["max_size"], wait)) as manager:
            for add in inputs["adds"]:
                key, at = add if isinstance(add, list) else (add, 0)
                await asyncio.sleep(at / 1000 - loop.time())
                manager.submit(loader, key)
            await asyncio.sleep(0.2)
        return calls, times

    calls, times = run(main())
    assert calls == expected["batches"]
    if "flush_bucket_50ms" in expected:
        assert [int(at / 0.05) for at in times] == expected["flush_bucket_50ms"]
        first_of_last = inputs["adds"][3][1]
        assert times == [pytest.approx(inputs["adds"][2][1] / 1000), pytest.approx((first_of_last + 50) / 1000)]
    else:
        assert times == [expected["waits_ms"], expected["waits_ms"]]


async def answered(answer: Any) -> List[Any]:
    """What becomes of two items whose call answers this."""

    @batched
    async def loader(keys: List[Any]) -> Any:
        return answer

    async with TaskManager(BulkStrategy()) as manager:
        tasks = [manager.submit(loader, key) for key in "ab"]
    return [task.exception() for task in tasks]


def test_no_failures_reported_is_a_complete_success(vector: Any) -> None:
    """AWS's lists hold failures, as our dicts do: an empty one, or None."""
    one = vector("batchfailurereporting", response=["[] failures", "null list", "empty response", "null response"])
    assert one["expected"] == "complete success"
    answer: Any
    for answer in ({}, None):
        assert run(answered(answer)) == [None, None]


def test_a_failure_without_a_place_fails_the_whole_batch(vector: Any) -> None:
    names = ['itemIdentifier ""', "null itemIdentifier", "bad key name"]
    one = vector("batchfailurereporting", response=names)
    assert one["expected"] == "complete failure of the batch"
    for index in ("", None, 2, -1, True):
        failures = run(answered({index: ValueError("bad")}))
        assert [type(failure) for failure in failures] == [BatchResultError, BatchResultError]


@pytest.mark.parametrize(
    "inputs", [{"failures_at": [7, 4], "batch": 10, "bisect": False}, {"partial_failure": True, "bisect": True}]
)
def test_contradiction_only_what_failed_is_retried(vector: Any, again: Any, inputs: Dict[str, Any]) -> None:
    """AWS retries a *stream* from its lowest failure on, since there a later record must not overtake an earlier one.

    Our items are independent, and the issue says "with `retry`, only what failed is retried". So items 4 and 7 come
    again, 5, 6, 8 and 9 do not; and what was reported item by item is not split either.
    """
    vector("batchfailurereporting", **inputs)

    async def main() -> List[List[int]]:
        calls = []

        @batched
        async def loader(keys: List[int]) -> Any:
            calls.append(keys)
            return {7: ValueError("7"), 4: ValueError("4")} if len(calls) == 1 else None

        on_failure = "bisect" if inputs["bisect"] else "isolate"
        async with TaskManager([BulkStrategy(10, on_failure=on_failure), again(2)]) as manager:
            for key in range(10):
                manager.submit(loader, key)
        return calls

    assert run(main()) == [list(range(10)), [4, 7]]


@pytest.mark.parametrize("n", [1, 100])
def test_calls_to_find_one_bad_item(vector: Any, service: Any, n: int) -> None:
    one = vector("all-or-nothing batch function", batch=n)
    bad = service(bad=one["inputs"]["poison"])

    async def main() -> List[int]:
        async with TaskManager(BulkStrategy(n, on_failure="bisect")) as manager:
            tasks = [manager.submit(bad.insert, key) for key in range(n)]
        return [key for key, task in enumerate(tasks) if task.exception() is not None]

    assert run(main()) == one["expected"]["isolated"]
    assert len(bad.calls) == one["expected"]["batch_calls"]
    assert sorted(bad.done) == [key for key in range(n) if key not in bad.bad]


def test_sequential_loads_do_not_wait_for_each_other(vector: Any) -> None:
    one = vector("Resolves to error to indicate failure")

    async def main() -> Any:
        calls = []

        @batched
        async def loader(keys: List[int]) -> List[Any]:
            calls.append(keys)
            return [ValueError(f"Odd: {key}") if key % 2 else key for key in keys]

        found: Dict[str, Any] = {}
        async with TaskManager(BulkStrategy()) as manager:
            for key in one["inputs"]["sequential_loads"]:
                try:
                    found[str(key)] = await manager.submit(loader, key)
                except ValueError as error:
                    found[str(key)] = f'Error "{error}"'
        return calls, found

    calls, found = run(main())
    assert calls == one["expected"]["batches"]
    assert found == one["expected"]["result"]
