"""CPU, memory and loop lag: hysteresis."""

from __future__ import annotations

import math

from atm_adaptive._resources import Band, ResourceLimit


def make() -> ResourceLimit:
    bands = {"cpu": Band(0.7, 0.85), "memory": Band(0.8, 0.9)}
    return ResourceLimit(bands, backoff_ratio=0.9, min_limit=2, max_limit=50)


def test_without_pressure_it_limits_nothing() -> None:
    limit = make()
    limit.observe({"cpu": 0.5, "memory": 0.5}, 30)
    assert limit.limit == math.inf


def test_pressure_takes_away_from_what_is_in_flight() -> None:
    """Not from a limit that is not used: that would help nobody."""
    limit = make()
    limit.observe({"cpu": 0.85}, 30)
    assert (limit.limit, limit.why) == (27, "cpu")
    limit.observe({"cpu": 0.9}, 27)
    assert limit.limit == 24


def test_between_the_marks_nothing_changes() -> None:
    limit = make()
    limit.observe({"cpu": 0.9}, 30)
    for _ in range(10):
        limit.observe({"cpu": 0.84, "memory": 0.1}, 27)
        limit.observe({"cpu": 0.71, "memory": 0.1}, 27)
    assert limit.limit == 27


def test_it_returns_only_when_all_are_low() -> None:
    limit = make()
    limit.observe({"cpu": 0.9}, 30)
    limit.observe({"cpu": 0.1, "memory": 0.85}, 27)
    assert limit.limit == 27
    limits = []
    for _ in range(8):
        limit.observe({"cpu": 0.7, "memory": 0.8}, 27)
        limits.append(limit.limit)
    assert limits == [31, 35, 39, 44, 49, math.inf, math.inf, math.inf]


def test_the_worst_one_is_named() -> None:
    limit = make()
    limit.observe({"cpu": 0.86, "memory": 0.99}, 30)
    assert limit.why == "memory"


def test_never_below_the_floor_and_never_for_nothing() -> None:
    limit = make()
    limit.observe({"cpu": 1.0}, 0)  # others load the machine
    assert limit.limit == math.inf
    for _ in range(50):
        limit.observe({"cpu": 1.0}, 3)
    assert limit.limit == 2


def test_what_is_not_watched_or_not_known_says_nothing() -> None:
    limit = make()
    limit.observe({"loop_lag": 9.0}, 30)
    assert limit.limit == math.inf
    limit.observe({"cpu": 0.9}, 30)
    limit.observe({}, 30)  # nothing known speaks against more
    assert limit.limit == 31
    assert limit.readings == {}
