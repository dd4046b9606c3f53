"""A loop in virtual time that counts its steps: it can act before any of them, and ends what only spins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Dict, List, Optional, Sized, TypeVar

from atm_core.testing.virtual_time import DeadlockError, VirtualTimeLoop, _finish

if TYPE_CHECKING:
    import contextvars

    from typing_extensions import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")

__all__ = ["SteppedLoop", "run_in"]

T = TypeVar("T")

# A busy loop: so many steps in less than a virtual second, in which nothing happened to any task.
_IDLE_STEPS_A_SECOND = 2000
_MOST_STEPS = 2000000


class SteppedLoop(VirtualTimeLoop):
    """Calls ``act`` before its step number ``at``; a step is one callback: a task's, a timer's, a future's.

    Args:
        at: Which step, from 0; None: never.
        act: What to do then.
        events: Grows when something happens; None: nobody knows, so that idling cannot be told from work.
        eager: Whether attempts may begin in the step that starts them, as they do from Python 3.12 on unless the loop
            has a task factory of its own. Otherwise something can happen in between.
    """

    def __init__(
        self,
        at: Optional[int] = None,
        act: Optional[Callable[[], Any]] = None,
        events: Optional[Sized] = None,
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
        self._mark = (0, 0.0, 0)  # steps, time and events when something had last happened
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
        steps, since, events = self._mark
        now, happened = self.time(), self.steps if self._events is None else len(self._events)
        if self.steps >= _MOST_STEPS or (happened == events and now - since < 1.0):
            self.spins = (
                f"a busy loop: {self.steps - steps} steps from {since:.9g} s to {now:.9g} s, "
                "in which nothing happened to any task"
            )
            self.stop()
        self._mark = (self.steps, now, happened)

    def _complain(self, loop: Any, context: Dict[str, Any]) -> None:
        if not self.spins:  # what was cut off in the middle may complain
            self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")


def run_in(loop: SteppedLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` in ``loop``, end what is left, and close it.

    Raises:
        AssertionError: The loop span, or reported an error to its exception handler.
    """
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(main)
    except DeadlockError as error:
        raise AssertionError(str(error)) from error
    except RuntimeError:
        if not loop.spins:
            raise
        raise AssertionError(loop.spins) from None
    finally:
        _finish(loop)
    if loop.complaints:
        raise AssertionError("the event loop reported: " + "; ".join(loop.complaints))
    return result
