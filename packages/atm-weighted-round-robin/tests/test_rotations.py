"""The algorithms against plain copies of what they follow, at random."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

import pytest
from atm_weighted_round_robin.fleet import Fleet, Resource
from atm_weighted_round_robin.rotations import EarliestDeadline, LeastRequest, Rounds, Smooth
from hypothesis import given, settings
from hypothesis import strategies as st

NOTHING: Set[Resource] = set()
WEIGHTS = st.lists(st.integers(1, 12), min_size=1, max_size=8)
repeatable = settings(derandomize=True, max_examples=80, deadline=None)


def fleet_of(weights: Any, **more: Any) -> Fleet:
    fleet = Fleet(**more)
    for name, weight in enumerate(weights):
        fleet.add(name, weight, fresh=False)
    return fleet


class Nginx:
    """``ngx_http_upstream_get_peer`` and ``ngx_http_upstream_free_round_robin_peer``, in integers."""

    def __init__(self, weights: List[int], max_fails: int) -> None:
        self.weight = weights
        self.effective = list(weights)
        self.current = [0] * len(weights)
        self.max_fails = max_fails

    def get(self, down: Set[int]) -> int:
        best: Optional[int] = None
        total = 0
        for i, weight in enumerate(self.weight):
            if i in down:
                continue
            self.current[i] += self.effective[i]
            total += self.effective[i]
            if self.effective[i] < weight:
                self.effective[i] += 1
            if best is None or self.current[i] > self.current[best]:
                best = i
        assert best is not None
        self.current[best] -= total
        return best

    def failed(self, i: int) -> None:
        self.effective[i] = max(0, self.effective[i] - self.weight[i] // self.max_fails)


@repeatable
@given(WEIGHTS, st.integers(1, 5), st.data())
def test_smooth_is_nginx(weights: List[int], max_failures: int, data: st.DataObject) -> None:
    """Pick by pick, with failures, and with servers that are out for a while."""
    fleet = fleet_of(weights, max_failures=max_failures, max_ejected_fraction=0.0)
    smooth, nginx = Smooth(fleet), Nginx(weights, max_failures)
    for _ in range(30):
        down = data.draw(st.sets(st.integers(0, len(weights) - 1), max_size=len(weights) - 1))
        for i in range(len(weights)):
            fleet.load(fleet.resources[i], float("inf") if i in down else 0)
        picked = smooth.pick({fleet.resources[i] for i in down}, 0.0)
        assert picked.name == nginx.get(down)
        assert [one.effective for one in fleet.resources.values()] == nginx.effective
        if data.draw(st.booleans()):
            fleet.failed(picked, 0.0)
            nginx.failed(picked.serial)


@repeatable
@given(WEIGHTS)
def test_smooth_gives_each_its_weight_in_every_round(weights: List[int]) -> None:
    """Exactly, wherever the round is taken to begin, and the next round is the same."""
    rotation, total = Smooth(fleet_of(weights)), sum(weights)
    picks = [rotation.pick(NOTHING, 0.0).name for _ in range(3 * total)]
    for start in range(2 * total):
        assert Counter(picks[start : start + total]) == dict(enumerate(weights))


@repeatable
@given(WEIGHTS, st.integers(1, 300))
def test_edf_is_grpc(weights: List[int], picks: int) -> None:
    """Pick by pick, to the last bit of each deadline."""
    rotation = EarliestDeadline(fleet_of(weights))
    entries: List[Tuple[float, int]] = [(1.0 / weight, i) for i, weight in enumerate(weights)]
    for _ in range(picks):
        deadline, i = min(entries)
        entries[i] = (deadline + 1.0 / weights[i], i)
        assert rotation.pick(NOTHING, 0.0).name == i


@repeatable
@given(WEIGHTS, st.integers(1, 300))
def test_edf_is_never_more_than_a_turn_off(weights: List[int], picks: int) -> None:
    """After any number of picks, each has had its share, but for less than one turn more or less per resource."""
    rotation = EarliestDeadline(fleet_of(weights))
    counts = Counter(rotation.pick(NOTHING, 0.0).name for _ in range(picks))
    for i, weight in enumerate(weights):
        assert abs(counts[i] - picks * weight / sum(weights)) < len(weights)


@pytest.mark.parametrize("rotation", [Smooth, EarliestDeadline, LeastRequest])
@repeatable
@given(WEIGHTS, st.data())
def test_only_who_is_open_and_not_avoided_is_picked(rotation: Any, weights: List[int], data: st.DataObject) -> None:
    """Under any change of rooms, weights and names."""
    fleet = fleet_of(weights, max_running=1)
    subject = rotation(fleet)
    names = st.integers(0, len(weights) - 1)
    for _ in range(30):
        action = data.draw(st.sampled_from(["fill", "free", "weight", "swap", "pick", "pick", "pick"]))
        name = data.draw(names)
        if action in ("fill", "free"):
            fleet.load(fleet.resources[name], int(action == "fill"))
        elif action == "weight":
            fleet.set_weight(name, data.draw(st.sampled_from([0, 1e-6, 0.5, 3, 1e6])))
        elif action == "swap":
            fleet.remove(name)
            fleet.add(name, data.draw(st.integers(1, 9)))
        avoid = {fleet.resources[i] for i in data.draw(st.sets(names))}
        usable = set(fleet.open) - avoid
        assert set(fleet.open) == {one for one in fleet.resources.values() if one.weight and one.running < 1}
        if usable:
            assert subject.pick(avoid, 0.0) in usable


@pytest.mark.parametrize("rotation", [Smooth, EarliestDeadline])
@pytest.mark.parametrize("absent", [10, 1000])
def test_nobody_catches_up(rotation: Any, absent: int) -> None:
    """Who was full for long gets its share afterwards, and no more."""
    fleet = fleet_of([1, 1, 2], max_running=1)
    subject = rotation(fleet)
    fleet.load(fleet.resources[0], 1)
    away = Counter(subject.pick(NOTHING, 0.0).name for _ in range(absent))
    assert away[0] == 0 and away[2] == pytest.approx(2 * away[1], abs=2)
    fleet.load(fleet.resources[0], 0)
    back = Counter(subject.pick(NOTHING, 0.0).name for _ in range(400))
    assert [back[i] for i in range(3)] == pytest.approx([100, 100, 200], abs=2)


@pytest.mark.parametrize("rotation", [Smooth, EarliestDeadline, LeastRequest])
def test_equals_take_turns_in_the_order_of_adding(rotation: Any) -> None:
    """Also after one of them was full for a while."""
    fleet = fleet_of([1, 1, 1], max_running=1)
    for load in (1, 0):
        fleet.load(fleet.resources[0], load)
    subject = rotation(fleet)
    assert [subject.pick(NOTHING, 0.0).name for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_edf_who_is_avoided_keeps_its_turn() -> None:
    """It is the task that does not want it: the next one gets it."""
    fleet = fleet_of([3, 2, 1])
    rotation = EarliestDeadline(fleet)
    gets = 0
    for _ in range(100):
        assert rotation.pick({fleet.resources[0]}, 0.0).name != 0
        gets += rotation.pick(NOTHING, 0.0).name == 0
    assert gets > 90


def test_edf_finds_the_one_that_is_open_among_heavy_ones_that_are_not() -> None:
    """A light resource among many heavy ones that are full: a look at the open ones, not a million lost turns."""
    fleet = fleet_of([1e6] * 50 + [1e-6], max_running=1)
    rotation = EarliestDeadline(fleet)
    for i in range(50):
        fleet.load(fleet.resources[i], 1)
    assert [rotation.pick(NOTHING, 0.0).name for _ in range(500)] == [50] * 500
    assert len(rotation._heap) <= 2 * 51 + 8, "void entries do not pile up"


def test_edf_in_long_runs() -> None:
    """Its time does not grow so far that the smallest gap, 1e-6, would be lost in rounding."""
    fleet = fleet_of([1e-6] + [1e6] * 100, max_running=1)
    rotation = EarliestDeadline(fleet)
    for name in range(1, 101):
        fleet.load(fleet.resources[name], 1)
    for _ in range(150):
        assert rotation.pick(NOTHING, 0.0).name == 0
        assert rotation._time < 2**21
    for name in range(1, 101):
        fleet.load(fleet.resources[name], 0)
    counts = Counter(rotation.pick(NOTHING, 0.0).name for _ in range(1000))
    assert {counts[name] for name in range(1, 101)} == {10}


@repeatable
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_least_request_goes_where_the_most_weight_is_free(loads: List[Tuple[int, int]]) -> None:
    """The largest weight / (running + 1), unless nothing runs at all."""
    fleet = fleet_of([weight for weight, _ in loads])
    for name, (_, running) in enumerate(loads):
        fleet.load(fleet.resources[name], running)
    weight, running = loads[LeastRequest(fleet).pick(NOTHING, 0.0).serial]
    if any(running for _, running in loads):
        assert weight / (running + 1) == max(weight / (running + 1) for weight, running in loads)


def test_least_request_takes_turns_among_equals() -> None:
    """Equal weights and loads: none is preferred. And nothing running: by weight."""
    fleet = fleet_of([2, 1, 1])
    rotation = LeastRequest(fleet)
    assert Counter(rotation.pick(NOTHING, 0.0).name for _ in range(40)) == {0: 20, 1: 10, 2: 10}
    for one in fleet.resources.values():
        fleet.load(one, 2 * one.weight - 1)
    assert Counter(rotation.pick(NOTHING, 0.0).name for _ in range(40)) == {0: 20, 1: 10, 2: 10}


@pytest.mark.parametrize("algorithm", ["smooth", "edf", "least_request"])
def test_each_key_has_its_own_round(algorithm: str) -> None:
    """However the keys' tasks are mixed, each key's shares are exact."""
    rounds = Rounds(algorithm, fleet_of([5, 3, 2]))
    counts: Dict[str, Counter[Any]] = {"x": Counter(), "y": Counter()}
    for i in range(300):
        key = "y" if i % 3 == 2 else "x"
        counts[key][rounds.pick(key, NOTHING, 0.0).name] += 1
    assert counts == {"x": {0: 100, 1: 60, 2: 40}, "y": {0: 50, 1: 30, 2: 20}}


@pytest.mark.parametrize("algorithm", ["smooth", "edf", "least_request"])
def test_thousands_of_keys_of_one_task_each_follow_the_weights_and_are_forgotten(algorithm: str) -> None:
    """They do not all meet at the heaviest, and what is remembered has a bound."""
    rounds = Rounds(algorithm, fleet_of([5, 3, 2]))
    counts = Counter(rounds.pick(key, NOTHING, 0.0).name for key in range(10_000))
    assert counts == {0: 5000, 1: 3000, 2: 2000}
    assert len(rounds) <= 4097
    for i in range(5000):
        rounds.pick("one key", NOTHING, 61.0 + i)
    assert len(rounds) == 2


def test_new_resources_and_weights_count_at_once(drive: Callable[..., Any]) -> None:
    """A resource that joins, or gets more weight, need not wait for a turn that was far away."""
    for algorithm in ("smooth", "edf", "least_request"):
        driven = drive({"a": 1, "b": 1e-6}, algorithm=algorithm)
        driven.picks(10)
        driven.strategy.set_weight("b", 1)
        driven.strategy.add("c", 2)
        assert Counter(driven.picks(8)) == {"a": 2, "b": 2, "c": 4}
