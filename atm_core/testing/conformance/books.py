"""Tests: every task is settled once, and what was booked for it is given back."""

from __future__ import annotations

import asyncio
from typing import Any, List, Optional, Tuple

from hypothesis import strategies as st

from atm_core.hookspecs import hookimpl
from atm_core.testing.conformance.loads import CROWD, for_random, loads
from atm_core.testing.conformance.plays import Load, Objection, Piece, Play, check
from atm_core.testing.conformance.subject import Settings, Subject

__all__ = ["BooksTests", "check_like_new", "probe", "probes_of_new"]

_ROUNDS = 10
_PROBES = [Piece(arrives=0.0, lasts=0.25)] * 6


class BooksTests(Subject):
    """Every task is settled once, and what was booked for it is given back."""

    def test_every_task_is_settled_once(self, settings: Any) -> None:
        """Arrivals, durations, failures and cancellations at random: none is lost, none runs twice unless
        ``atm_again`` said so, each has its own result, and the strategy's promise holds."""

        def holds(load: Load, eager: bool) -> None:
            play = self.play(load, [self.factory(**settings)], eager)
            self.promise(play.recorder, settings)

        holds(CROWD, True)
        holds(CROWD, False)
        for_random(holds, loads(), st.booleans())

    def test_success_gives_back(self, settings: Any) -> None:
        """After tasks that return, and a rest, it behaves as new."""
        self.like_new_after([Piece(lasts=0.25)] * 4, settings)

    def test_failure_gives_back(self, settings: Any) -> None:
        """After tasks that raise, and a rest, it behaves as new."""
        self.like_new_after([Piece(lasts=0.25, fails=True)] * 4, settings)

    def test_cancellation_gives_back(self, settings: Any) -> None:
        """After tasks that are cancelled, in the queue and while they run, and a rest, it behaves as new."""
        self.like_new_after([Piece(lasts=2.0, cancelled_at=at) for at in (0.0, 0.125, 0.5, 0.5, 1.0)], settings)

    def test_refusal_gives_back(self, settings: Any) -> None:
        """After tasks that another plugin has refused, and a rest, it behaves as new.

        Nobody gives back what ``atm_admit`` books for a task that is then refused: book in ``atm_admitted``.
        """
        self.like_new_after([Piece(lasts=0.25)] * 4, settings, Objects())

    def like_new_after(self, load: Load, settings: Settings, *others: Any) -> None:
        """Run ``load`` over and over; then the same tasks must begin as early as under a new strategy."""
        play = Play(self, load, [self.factory(**settings), *others])

        async def main() -> Tuple[float, List[Any]]:
            await play.manager.idle()
            for _ in range(_ROUNDS):
                one = play.again(load)
                await one.feed()
                await one.join()
                one.look_at_results()
                await rest(play)
            for other in others:
                play.manager.unregister(other)
            at = asyncio.get_running_loop().time()
            probes = await probe(play, at)
            await play.manager.aclose()
            return at, probes

        at, probes = play.in_loop(main())
        if not self.remembers:
            check_like_new(probes, probes_of_new(self, settings, at))


class Objects:
    """Refuses every second task, after the others were asked."""

    def __init__(self) -> None:
        self._objects = False

    @hookimpl(trylast=True)
    def atm_admit(self) -> None:
        """The last word."""
        self._objects = not self._objects
        if self._objects:
            raise Objection("every second task is refused")


async def rest(play: Play, until: Optional[float] = None) -> None:
    """Stop the manager, wait until the strategy has forgotten what was, and start it again."""
    loop = asyncio.get_running_loop()
    await play.manager.stop()
    await asyncio.sleep(play.subject.rest_seconds if until is None else until - loop.time())
    await play.manager.idle()


async def probe(play: Play, at: float) -> List[Any]:
    """At a certain time, some tasks that show how the strategy behaves; when they began and ended."""
    await rest(play, until=at)
    probes = play.again(_PROBES)
    await probes.feed()
    await probes.join()
    probes.look_at_results()
    return probes.outcomes()


def probes_of_new(subject: Subject, settings: Settings, at: float, eager: bool = True) -> List[Any]:
    """The same under a strategy that is new."""
    play = Play(subject, [], [subject.factory(**settings)])
    play.eager = eager

    async def main() -> List[Any]:
        await play.manager.idle()
        probes = await probe(play, at)
        await play.manager.aclose()
        return probes

    return play.in_loop(main())


def check_like_new(used: List[Any], new: List[Any]) -> None:
    """The same tasks began at the same times, to the accuracy of sums of floats."""
    ours, theirs = ([times for times, _, _ in outcomes] for outcomes in (used, new))
    same = all(
        len(one) == len(other) and all(abs(a - b) < 1e-6 for a, b in zip(one, other))
        for one, other in zip(ours, theirs)
    )
    check(
        same,
        f"tasks begin at {ours} s, under a new strategy at {theirs} s: something was not given back (or set remembers)",
    )
