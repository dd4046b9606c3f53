"""Tests: it composes with other strategies, in every order."""

from __future__ import annotations

import itertools
from typing import Any, Callable, List, NamedTuple, Sequence

from hypothesis import strategies as st

from atm_core.testing.conformance.gates import ClosedUntil
from atm_core.testing.conformance.loads import for_random, loads
from atm_core.testing.conformance.plays import Load, Piece, check
from atm_core.testing.conformance.subject import Subject
from atm_core.testing.recorder import Recorder
from atm_plugins import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy

__all__ = ["StackTests"]


class _BuiltIn(NamedTuple):
    name: str
    make: Callable[[], Any]
    promise: Callable[[Recorder], None]


BUILT_INS = (
    _BuiltIn("concurrent_limit", lambda: ConcurrentLimitStrategy(2), lambda recorder: recorder.max_running(2)),
    _BuiltIn(
        "delayed",
        lambda: DelayedStrategy(0.5),
        lambda recorder: recorder.min_gap(0.5, measure_from="completion"),
    ),
    _BuiltIn("fixed_window", lambda: FixedWindowStrategy(2, 1.0), lambda recorder: recorder.never_more_than(3, 1.0)),
)

_LOAD = [Piece(arrives, lasts) for arrives in (0.0, 0.125, 1.5) for lasts in (0.25, 0.0, 0.5)]


class StackTests(Subject):
    """It composes: every promise holds in every stack, and the order in which strategies are given does not matter."""

    def test_its_runs_repeat(self, settings: Any) -> None:
        """The same load gives the same times, so that a difference elsewhere means something."""
        load = [*_LOAD, Piece(fails=True)]
        first, second = (self.play(load, [self.factory(**settings)]).outcomes() for _ in range(2))
        check(first == second, "two equal runs differ: give valid a fixed seed, or none of what is random")

    def test_it_passes_no_closed_gate(self, settings: Any) -> None:
        """While another gate is closed no work runs, and afterwards all of it does: nothing goes round the gates."""
        for position in range(2):
            stack = [ClosedUntil(8.0)]
            stack.insert(position, self.factory(**settings))
            play = self.play(_LOAD, stack)
            early = [times for times in play.begun if times and times[0] < 8.0]
            check(not early, f"tasks began at {early} s, though another gate was closed until 8 s")

    def test_it_composes_with_each_built_in_strategy(self, settings: Any) -> None:
        """With one at a time, before it and behind it."""
        for built_in in BUILT_INS:
            self._in_every_order(settings, _LOAD, [built_in])

    def test_it_composes_with_random_stacks(self, settings: Any) -> None:
        """With several of them and random loads, in every order."""
        stacks = st.lists(st.sampled_from(BUILT_INS), min_size=2, max_size=2, unique=True)
        self._in_every_order(settings, _LOAD[:5], BUILT_INS)
        for_random(lambda load, stack: self._in_every_order(settings, load, stack), loads(5), stacks, examples=6)

    def _in_every_order(self, settings: Any, load: Load, stack: Sequence[_BuiltIn]) -> None:
        mine = _BuiltIn(self.name, lambda: self.factory(**settings), lambda recorder: self.promise(recorder, settings))
        first: List[Any] = []
        for order in itertools.permutations([mine, *stack]):
            play = self.play(load, [one.make() for one in order])
            for one in order:
                one.promise(play.recorder)
            outcomes = play.outcomes()
            first = first or outcomes
            names = ", ".join(one.name for one in order)
            check(outcomes == first, f"the order {names} gives {outcomes}, another one {first}, for {load}")
