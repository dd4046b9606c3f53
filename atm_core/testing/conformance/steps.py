"""A loop in virtual time that counts its steps: it can act before any of them, and ends what only spins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Dict, List, Optional, Sized, TypeVar

from atm_core.testing._virtual_time import suspension_report
from atm_core.testing.virtual_time import DeadlockError, VirtualTimeLoop, _finish

if TYPE_CHECKING:
    import contextvars

    from typing_extensions import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")

__all__ = ["SteppedLoop", "run_in"]

T = TypeVar("T")

# A busy loop: so many steps in less than a virtual second, in which nothing happened to any task ...
_IDLE_STEPS_A_SECOND = 2000
# ... or so many at all: what polls for a day has lost its task, and nobody wants to see the end of the day.
_MOST_IDLE_STEPS = 100000
# No test of the kit needs so many, whatever happens in them.
_MOST_STEPS = 300000


class SteppedLoop(VirtualTimeLoop):
    """Calls ``act`` before its step number ``at``; a step is one callback: a task's, a timer's, a future's.

    Args:
        events: Grows when something happens to a task, so that idling can be told from work.
        at: Which step, from 0; None: never.
        act: What to do then.
        eager: Whether attempts may begin in the step that starts them, as they do from Python 3.12 on unless the loop
            has a task factory of its own. Otherwise something can happen in between.
    """

    def __init__(
        self,
        events: Sized,
        at: Optional[int] = None,
        act: Optional[Callable[[], Any]] = None,
        eager: bool = True,
    ) -> None:
        super().__init__()
        if not eager:
            self.set_task_factory(lambda loop, coro, **options: asyncio.Task(coro, loop=loop, **options))
        self.steps = 0
        self.spins = ""
        self.complaints: List[str] = []
        self._at = at
        self._act = act
        self._events = events
        self._mark = (0, 0.0)  # steps and time when it was last looked at
        self._last = (0, 0.0, 0)  # steps, time and events when something had last happened
        self.set_exception_handler(self._complain)

    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Optional[contextvars.Context] = None,
    ) -> asyncio.Handle:
        """Call ``callback`` in the loop's next turn, as a step."""
        return super().call_soon(self._step, callback, args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: Unpack[_Ts],
        context: Optional[contextvars.Context] = None,
    ) -> asyncio.TimerHandle:
        """Call ``callback`` at a time, as a step."""
        return super().call_at(when, self._step, callback, args, context=context)

    def _step(self, callback: Any, args: Any) -> None:
        if self.steps == self._at and self._act is not None:
            self._act()
        self.steps += 1
        if self.steps - self._mark[0] >= _IDLE_STEPS_A_SECOND:
            self._check_spinning()
        callback(*args)

    def _check_spinning(self) -> None:
        now, events = self.time(), len(self._events)
        steps, since = self._mark
        if events != self._last[2]:
            self._last = (self.steps, now, events)
        elif self.steps - self._last[0] >= _MOST_IDLE_STEPS:
            steps, since, _ = self._last
            self._spin(steps, since)
        elif now - since < 1.0:
            self._spin(steps, since)
        if self.steps >= _MOST_STEPS:
            self.spins = (
                f"no end after {self.steps} steps, at {now:.9g} s: are tasks run again for ever? "
                f"Now {suspension_report(self._unfinished_tasks())}"
            )
        if self.spins:
            self.stop()
        self._mark = (self.steps, now)

    def _spin(self, steps: int, since: float) -> None:
        self.spins = (
            f"a busy loop: {self.steps - steps} steps from {since:.9g} s to {self.time():.9g} s, "
            "in which nothing happened to any task. Say when one may start, or math.inf and then manager.wake(); "
            "lose none; end what is cancelled. "
            f"Now {suspension_report(self._unfinished_tasks())}"
        )

    def _complain(self, loop: Any, context: Dict[str, Any]) -> None:
        if not self.spins:  # what was cut off in the middle may complain
            self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")


def run_in(loop: SteppedLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` in ``loop``, end what is left, and close it.

    Raises:
        AssertionError: The loop span, waited for what can never come, or reported an error to its exception handler.
    """
    asyncio.set_event_loop(loop)
    try:
        try:
            result = loop.run_until_complete(main)
        finally:
            _finish(loop)
    except DeadlockError as error:
        raise AssertionError(str(error)) from error
    except RuntimeError:
        if not loop.spins:
            raise
        raise AssertionError(loop.spins) from None
    if loop.complaints:
        raise AssertionError("the event loop reported: " + "; ".join(loop.complaints))
    return result
