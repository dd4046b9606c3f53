"""Run it again if it failed."""

from __future__ import annotations

import concurrent.futures
import math
import random
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Type, Union

from atm_core import HookError, Settings, TaskRejected, WaitCycleError, WorkError, hookimpl
from atm_retry._budget import Budget, RetryBudget, RetryThrottle
from atm_retry._delays import BACKOFFS, GROWING_JITTERS, JITTERS, Delays
from atm_retry._history import RetryHistory, Round, leave_history

if TYPE_CHECKING:
    from atm_core import Outcome, Task

__all__ = ["NotRepeatableError", "RetryStrategy"]

ExceptionType = Union[Type[BaseException], str]
Errors = Union[ExceptionType, Sequence[ExceptionType], Callable[[BaseException], bool]]

#: Never retried: the first is a cancellation by another name, the others tell of a mistake in the program.
_FINAL = (concurrent.futures.CancelledError, HookError, WorkError, WaitCycleError)


class NotRepeatableError(TaskRejected, WorkError):
    """A coroutine was handed to a manager that retries; it could run only once."""


class RetryStrategy:
    """Runs a task again when it fails, after a growing delay, up to ``max_attempts`` times in all.

    While it waits, a task is in no other strategy's books: it holds no slot and spends no rate, and passes
    every gate again, in the order of its original age. Its last exception is its own, with
    ``error.retry_history``.

    Never retried: cancellations, exceptions that are no ``Exception`` (``KeyboardInterrupt``), and refusals
    by a strategy (:class:`~atm_core.TaskRejected`), unless these carry a ``retry_after`` that is at most
    ``max_retry_after_seconds``; a refusal counts as an attempt, but takes nothing from the budget.

    O(1) an attempt in time; nothing is kept of a task that has not failed, and at most ten outcomes of one
    that has.

    Args:
        max_attempts: In all, the first included, at least 1; None: no limit.
        backoff: ``"exponential"``: ``initial * multiplier ** (n - 1)`` after the n-th attempt; ``"linear"``:
            ``initial * n``; ``"constant"``: ``initial``; or a function of n that gives seconds.
        initial_delay_seconds: 0 or more.
        max_delay_seconds: The cap of every delay but those that a server or a refusal asks for.
        multiplier: At least 1.
        jitter: ``"full"``, ``"equal"``, ``"decorrelated"``, ``"smooth"``, ``"none"``, or a number from 0 to
            1: plus or minus this part. The third and the fourth grow by themselves and need
            ``backoff="exponential"``.
        max_elapsed_seconds: No attempt is made whose delay would end later than this after the beginning of
            the first one. Other strategies may let it wait longer.
        retry_on: Exception classes (or their dotted names), or a function of the exception.
        abort_on: Classes or a function as well, for what is not retried though ``retry_on`` says so. Classes
            also stop refusals from coming back.
        retry_on_result: A function of what the work returned: True to try again. The last result stands as it
            is.
        delay_from: A function of the exception that gives the seconds which the server asks for, exactly, or
            None: ``retry_after_of`` for the exceptions of HTTP clients. Negative: do not retry (gRPC's
            push-back).
        max_retry_after_seconds: Who is asked to wait longer than this gives up at once.
        budget: A :class:`RetryBudget` or :class:`RetryThrottle`, or a dict of the parameters of either.
        seed: For the same delays in each run.

    Raises:
        SettingError: Naming the parameter and the value.
    """

    def __init__(
        self,
        max_attempts: Optional[int] = 3,
        *,
        backoff: Union[str, Callable[[int], float]] = "exponential",
        initial_delay_seconds: float = 0.1,
        max_delay_seconds: float = 30,
        multiplier: float = 2.0,
        jitter: Union[str, float] = "full",
        max_elapsed_seconds: Optional[float] = None,
        retry_on: Errors = (Exception,),
        abort_on: Errors = (),
        retry_on_result: Union[str, Callable[[Any], bool], None] = None,
        delay_from: Union[str, Callable[[BaseException], Optional[float]], None] = None,
        max_retry_after_seconds: float = 60,
        budget: Union[Budget, Mapping[str, Any], None] = None,
        seed: Optional[int] = None,
    ) -> None:
        with Settings("RetryStrategy") as check:
            self.max_attempts: Optional[int] = check.count("max_attempts", max_attempts, optional=True)
            backoff = check.callable("backoff", backoff, optional=False, also=BACKOFFS)
            initial = check.duration("initial_delay_seconds", initial_delay_seconds)
            most = check.duration("max_delay_seconds", max_delay_seconds, zero=False)
            multiplier = check.number("multiplier", multiplier, least=1)
            if isinstance(jitter, (int, float)) and not isinstance(jitter, bool):
                jitter = check.number("jitter", jitter, least=0, most=1)
            elif check.choice("jitter", jitter, JITTERS) in GROWING_JITTERS and backoff != "exponential":
                check.fail("backoff", backoff, f"must be 'exponential' with jitter={jitter!r}")
            self.max_elapsed_seconds: Optional[float] = check.duration(
                "max_elapsed_seconds", max_elapsed_seconds, optional=True
            )
            self._retries = check.failure("retry_on", retry_on)
            aborts: Any = check.exceptions("abort_on", abort_on, predicate=True)
            self._unwanted = check.callable("retry_on_result", retry_on_result)
            self._told = check.callable("delay_from", delay_from)
            self.max_retry_after_seconds: float = check.duration(
                "max_retry_after_seconds", max_retry_after_seconds
            )
            self.budget: Optional[Budget] = _budget(check, budget)
            check.count("seed", seed, least=0, optional=True)
        # A function is written for what retry_on lets through, and cannot be asked about the refusals of others.
        self._aborts: Callable[[BaseException], bool] = aborts if callable(aborts) else lambda error: False
        self._final = _FINAL if callable(aborts) else (*_FINAL, *aborts)
        self._delays = Delays(backoff, initial, most, multiplier, jitter, random.Random(seed).random)
        self._rounds: Dict[Task[Any], Round] = {}  # of the tasks that have failed, until they are settled
        self._retried = self._given_up = 0
        if self.max_attempts == 1:
            self.atm_admit = None  # type: ignore[assignment, method-assign]  # hides the hook: nothing is run again

    def stats(self) -> Dict[str, Any]:
        """How many retries were made, how many tasks failed in spite of it, and how many are under way."""
        return {"retries": self._retried, "gave_up": self._given_up, "retrying": len(self._rounds)}

    @hookimpl
    def atm_admit(self, task: Task[Any]) -> None:
        """Refuse what could not be run again."""
        if task.args is None:
            name = getattr(task.work, "__qualname__", "work")
            raise NotRepeatableError(
                f"{task!r} can run only once, so it cannot be retried: hand in the function, not what it "
                f"returns, submit({name}, ...) instead of add_task({name}(...))"
            )

    # First, so that a recurring schedule sees an attempt only when this strategy lets it be.
    @hookimpl(tryfirst=True)
    def atm_again(self, task: Task[Any], outcome: Outcome, now: float) -> Optional[float]:
        """When to run it again; None if it has succeeded or there is to be no further attempt."""
        if outcome.cancelled:
            return None
        if outcome.exception is None and self._unwanted is None and self.budget is None and task not in self._rounds:
            return None
        refused = isinstance(outcome.exception, TaskRejected)
        wanted = self._wants(outcome)
        round_ = self._rounds.get(task)
        if self.budget is not None and not refused:
            self.budget.ended(round_ is None or not round_.ran, wanted, now)
        if not wanted and outcome.succeeded:
            self._forget(task)
            return None
        if round_ is None:
            round_ = Round(now - (outcome.duration or 0.0))
        round_.tries += 1
        round_.ran = round_.ran or not refused
        delay, reason = self._next(task, outcome, round_, now) if wanted else (0.0, "it is not one to retry")
        if reason is not None:
            self._give_up(task, outcome, round_, now, reason)
            return None
        if task not in self._rounds:
            self._rounds[task] = round_
            # It may be cancelled in between. Not by atm_settled, which would be told of every task: most never fail.
            task.add_done_callback(self._forget)
        round_.keep(outcome)
        self._retried += 1
        return now + delay

    def _forget(self, task: Task[Any]) -> None:
        if self._rounds.pop(task, None) is not None:
            task.remove_done_callback(self._forget)  # it may recur, and fail again for ever

    def _wants(self, outcome: Outcome) -> bool:
        """Whether this outcome is one to retry, for as long as there are attempts."""
        error = outcome.exception
        if error is None:
            return self._unwanted is not None and bool(self._unwanted(outcome.value))
        if not isinstance(error, Exception) or isinstance(error, self._final):
            return False
        return isinstance(error, TaskRejected) or (self._retries(error) and not self._aborts(error))

    def _next(
        self, task: Task[Any], outcome: Outcome, round_: Round, now: float
    ) -> Tuple[float, Optional[str]]:
        """The delay until the next attempt, or the reason why there is none."""
        if round_.tries == self.max_attempts:
            return 0.0, f"max_attempts={self.max_attempts}"
        if task.args is None:
            return 0.0, "its work can run only once"
        error = outcome.exception
        refused = isinstance(error, TaskRejected)
        delay = error.retry_after if isinstance(error, TaskRejected) else self._asked(error)
        if delay is None:
            if refused:
                return 0.0, "it was refused"
            delay, round_.memory = self._delays.after(round_.tries, round_.memory)
        elif not 0 <= delay <= self.max_retry_after_seconds:
            limit = f"max_retry_after_seconds={self.max_retry_after_seconds:g}"
            return 0.0, f"asked to retry after {delay:g} s, {limit}"
        if self.max_elapsed_seconds is not None and now + delay - round_.began_at > self.max_elapsed_seconds:
            return 0.0, f"max_elapsed_seconds={self.max_elapsed_seconds:g}"
        if self.budget is not None and not refused and not self.budget.withdraw(now):
            return 0.0, "the retry budget is used up"
        return delay, None

    def _asked(self, error: Optional[BaseException]) -> Optional[float]:
        """What the server asks for, if it asks."""
        if self._told is None or error is None:
            return None
        seconds = self._told(error)
        if seconds is None:
            return None
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or math.isnan(seconds):
            raise TypeError(f"delay_from answered {seconds!r}: it must be seconds or None")
        return float(seconds)

    def _give_up(self, task: Task[Any], outcome: Outcome, round_: Round, now: float, reason: str) -> None:
        self._forget(task)
        if round_.tries > 1:
            self._given_up += 1
        if outcome.exception is not None:
            history = RetryHistory(round_.tries, round_.earlier, now - round_.began_at, reason)
            leave_history(outcome.exception, history)


def _budget(check: Settings, budget: Any) -> Any:
    if budget is None or isinstance(budget, Budget):
        return budget
    if not isinstance(budget, Mapping):
        expected = "must be a RetryBudget, a RetryThrottle, or a dict of their parameters"
        check.fail("budget", budget, expected, wrong_type=True)
        return None
    kind: Type[Budget] = RetryThrottle if "max_tokens" in budget or "token_ratio" in budget else RetryBudget
    try:
        return kind(**budget)
    except (TypeError, ValueError) as error:  # a wrong name, a wrong value
        check.fail("budget", dict(budget), f"must hold parameters of {kind.__name__} ({error})")
        return None
