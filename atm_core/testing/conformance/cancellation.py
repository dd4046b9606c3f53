"""Tests: a cancellation at any moment leaks nothing, and leaves nothing stuck."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Coroutine, List, Optional, Tuple

from atm_core.testing.conformance.books import check_like_new, probe, probes_of_new
from atm_core.testing.conformance.plays import Piece, Play, check
from atm_core.testing.conformance.subject import Subject

__all__ = ["CancellationTests"]

Life = Callable[[Play], Coroutine[Any, Any, None]]
Cut = Callable[[Play, "asyncio.Future[None]"], bool]

_LOAD = [Piece(lasts=0.25), Piece(lasts=0.0), Piece(lasts=0.5)]


class CancellationTests(Subject):
    """A cancellation at any moment leaks nothing, and leaves nothing stuck.

    A run is repeated, and cut by a cancellation before its first step of the event loop, before its second, and so on,
    until it comes to its end undisturbed. Each time all tasks must be settled, and the strategy as good as new.
    """

    def test_cancelling_the_work_at_every_await(self, settings: Any) -> None:
        """``task.cancel()``, for each task in turn, before each step from its admission to its end."""
        sweep = _Sweep(self, settings, eager=False)
        for victim in range(len(_LOAD)):
            sweep.at_every_step(f"task {victim} was cancelled", _simply, _cut_task(victim))

    def test_work_that_cancels_itself(self, settings: Any) -> None:
        """``cancel()`` inside the work: in its first step, and between its awaits."""
        sweep = _Sweep(self, settings, eager=False)
        for place in range(3):
            sweep.run(f"a task cancelled itself at place {place}", _simply, itself=(0, place))

    def test_cancelling_the_manager_at_every_await(self, settings: Any) -> None:
        """``run()``, ``stop()``, ``join()`` and ``async with`` are cancelled before each of their steps."""
        sweep = _Sweep(self, settings, eager=True)
        for life, words in (
            (_running, "run()"),
            (_stopping, "stop()"),
            (_joining, "join()"),
            (_within, "async with"),
        ):
            sweep.at_every_step(f"{words} was cancelled", life, lambda play, story: story.cancel())


def _cut_task(n: int) -> Cut:
    return lambda play, story: play.cancel(n)


async def _simply(play: Play) -> None:
    await play.manager.idle()
    await play.feed()
    await play.join()


async def _running(play: Play) -> None:
    _add_all(play)
    await play.manager.run()


async def _stopping(play: Play) -> None:
    _add_all(play)
    await play.manager.idle()
    await asyncio.sleep(0.125)
    await play.manager.stop()


async def _joining(play: Play) -> None:
    _add_all(play)
    await play.manager.idle()
    await play.manager.join()


async def _within(play: Play) -> None:
    async with play.manager:
        _add_all(play)


def _add_all(play: Play) -> None:
    for n in range(len(play.load)):
        play.cancelled.add(n)  # what the manager does when it is cancelled
        play.add(n)


class _Sweep:
    """Runs the same story again and again, cut somewhere else each time.

    Args:
        subject: The strategy.
        settings: Its settings.
        eager: Whether an attempt may begin in the step that starts it; otherwise there is one in between.
    """

    def __init__(self, subject: Subject, settings: Any, eager: bool) -> None:
        self._eager = eager
        self._subject = subject
        self._settings = settings
        self._probes_at = 2 * subject.rest_seconds
        self._new: List[Any] = []

    def at_every_step(self, what: str, life: Life, cut: Cut) -> None:
        """Cut ``life`` before step 0, 1, ... until it comes to its end first."""
        step = 0
        while self.run(f"{what} before step {step}", life, step=step, cut=cut):
            step += 1
        check(step > 3, f"nothing happened until {what}")

    def run(
        self,
        what: str,
        life: Life,
        step: Optional[int] = None,
        cut: Optional[Cut] = None,
        itself: Optional[Tuple[int, int]] = None,
    ) -> bool:
        """One run; whether it was cut."""
        strategy = self._subject.factory(**self._settings)
        play = Play(self._subject, _LOAD, [strategy])
        play.cancels_itself = itself
        play.eager = self._eager
        cuts = _Cuts(play, cut)
        try:
            probes = play.in_loop(self._main(play, life, cuts), step, cuts.act)
            if probes and not self._subject.remembers:
                self._new = self._new or probes_of_new(self._subject, self._settings, self._probes_at, self._eager)
                check_like_new(probes, self._new)
        except AssertionError as error:
            raise AssertionError(f"after {what}: {error}") from error
        return cuts.done

    async def _main(self, play: Play, life: Life, cuts: _Cuts) -> List[Any]:
        manager = play.manager
        story = cuts.story = asyncio.ensure_future(life(play))
        if life is _running:  # which does not end by itself
            await asyncio.wait([story], timeout=0.375)
            await manager.stop()
        await asyncio.wait([story])
        cuts.over = True
        if not story.cancelled():
            story.result()
        if life is _within:
            check(all(task.done() for task in play.handles()), "there are tasks that are not settled")
            return []
        await manager.stop()
        await manager.idle()
        for n, task in enumerate(play.tasks):
            if task is None:
                play.add(n)
        await play.join()
        play.look_at_results()
        probes = await probe(play, self._probes_at)
        await manager.aclose()
        return probes


class _Cuts:
    """Cuts a story, while it lasts.

    Args:
        play: What goes on in it.
        cut: Called with the play and the story's ``asyncio.Task``; whether that could have an effect.
    """

    def __init__(self, play: Play, cut: Optional[Cut]) -> None:
        self.story: Optional[asyncio.Future[None]] = None
        self.over = False
        self.done = False
        self._play = play
        self._cut = cut

    def act(self) -> None:
        """The step has come."""
        if not self.over and self._cut is not None:
            self.done = self.story is None or self._cut(self._play, self.story)
