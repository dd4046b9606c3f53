"""What is kept about the resources, event by event."""

from __future__ import annotations

import math
from typing import Any

from atm_weighted_round_robin.fleet import Fleet
from hypothesis import given, settings
from hypothesis import strategies as st


def test_an_ejection_that_ended_early_does_not_end_the_next_one() -> None:
    """A check saw it come back; then it failed again: that ejection has its own time."""
    fleet = Fleet(max_failures=1, ejection_seconds=10.0)
    one = fleet.add("a", 1, fresh=False)
    fleet.failed(one, 0.0)
    assert fleet.checked(one, False, 1.0) and fleet.checked(one, True, 2.0) and one.healthy(2.0)
    fleet.failed(one, 3.0)
    fleet.tell(10.0)
    assert not one.healthy(10.0) and one.ejected_until == 23.0


def test_the_first_check_is_no_return() -> None:
    """It never failed one: its ejection stands."""
    fleet = Fleet(max_failures=1, ejection_seconds=10.0)
    one = fleet.add("a", 1, fresh=False)
    fleet.failed(one, 0.0)
    assert not fleet.checked(one, True, 1.0)
    assert not one.healthy(1.0)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["fail", "succeed", "check", "uncheck", "weight", "load", "swap", "tell"]),
        st.integers(0, 4),
        st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    ),
    max_size=60,
)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(EVENTS, st.booleans(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.sampled_from([0.0, 2.0]))
def test_what_is_kept_agrees_with_what_is_asked(events: Any, use_all: bool, fraction: float, slow: float) -> None:
    """The open ones, kept up to date event by event, are those of the definition; the cap holds; and ejections end."""
    fleet = Fleet(
        max_running=2,
        max_failures=2,
        ejection_seconds=1.0,
        max_ejection_seconds=4.0,
        max_ejected_fraction=fraction,
        slow_start_seconds=slow,
        use_all=use_all,
    )
    for name in range(5):
        fleet.add(name, 1, fresh=False)
    now = 0.0
    for event, name, number in events:
        one = fleet.resources[name]
        if event == "fail":
            before = sum(not r.healthy(now) for r in fleet.resources.values() if r.weight and r.passes is not False)
            was = one.ejected_until
            fleet.failed(one, now)
            if one.ejected_until != was:
                assert before / sum(r.weight > 0 for r in fleet.resources.values()) < fraction
                assert now < one.ejected_until <= now + 4.0
        elif event == "succeed":
            one.failures = 0
        elif event in ("check", "uncheck"):
            fleet.checked(one, event == "check", now)
        elif event == "weight":
            fleet.set_weight(name, number)
        elif event == "load":
            fleet.load(one, number)
        elif event == "swap":
            fleet.remove(name)
            fleet.add(name, number)
        now += number / 4
        fleet.tell(now)
        assert fleet.changes_at > now
        assert set(fleet.open) == {r for r in fleet.in_use(now) if r.running < 2}
        assert all(r.open == (r in fleet.open) for r in fleet.resources.values())
    fleet.tell(now + 100.0)
    assert fleet.changes_at == math.inf
    assert all(r.ejected_until == -math.inf for r in fleet.resources.values())
