"""What a task went through: kept while it is retried, and left on the exception with which it ends."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from atm_core import Outcome

__all__ = ["RetryHistory", "Round", "leave_history"]

_KEPT = 10  # earlier outcomes; a task without a limit of attempts must not grow


class RetryHistory(NamedTuple):
    """Stands in ``error.retry_history`` of an exception with which a task under ``RetryStrategy`` ended.

    ``attempts``: how many were made, refused ones included; ``earlier``: how those before the last one ended,
    the latest ten of them; ``elapsed_seconds``: from the beginning of the first to the end of the last;
    ``reason``: why there is no further one.
    """

    attempts: int
    earlier: Tuple[Outcome, ...]
    elapsed_seconds: float
    reason: str


class Round:
    """The attempts of one task since it was added, or since its last success if it recurs."""

    __slots__ = ("began_at", "earlier", "memory", "ran", "tries")

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.tries = 0
        self.ran = False  # or was it only refused so far?
        self.memory: Optional[float] = None  # of the backoff
        self.earlier: Tuple[Outcome, ...] = ()

    def keep(self, outcome: Outcome) -> None:
        """There is to be another attempt after this outcome."""
        self.earlier = (*self.earlier[1 - _KEPT :], outcome)


def leave_history(error: BaseException, history: RetryHistory) -> None:
    """Leave the history on the exception; from Python 3.11 also as a note, which tracebacks show.

    An exception that takes no attributes stays as it is.
    """
    # The same object may have been raised before: it must not hold itself.
    history = history._replace(earlier=tuple(one for one in history.earlier if one.exception is not error))
    target: Any = error
    with contextlib.suppress(AttributeError, TypeError):
        target.retry_history = history
        if history.attempts > 1 and hasattr(target, "add_note"):
            note = f"gave up after {history.attempts} attempts ({history.reason}); before: "
            note += ", ".join(map(_shown, history.earlier)) or "the same"
            if note not in getattr(target, "__notes__", ()):
                target.add_note(note)


def _shown(outcome: Outcome) -> str:
    shown = repr(outcome.exception) if outcome.failed else f"returned {outcome.value!r}"
    return shown if len(shown) <= 100 else shown[:97] + "..."
