"""How an attempt, or a whole task, ended."""

from __future__ import annotations

from typing import Any, Optional

__all__ = ["Outcome"]


class Outcome:
    """A value, an exception, or cancelled.

    Args:
        value: What the work returned.
        exception: What it raised; ``asyncio.CancelledError`` only together with ``cancelled``.
        cancelled: It was cancelled.
        duration: Seconds from the first step of the attempt to its end; None if it never began. Waiting in the
            manager's queue is not in it.
    """

    __slots__ = ("cancelled", "duration", "exception", "value")

    def __init__(
        self,
        value: Any = None,
        exception: Optional[BaseException] = None,
        cancelled: bool = False,
        duration: Optional[float] = None,
    ) -> None:
        self.value = value
        self.exception = exception
        self.cancelled = cancelled
        self.duration = duration

    @property
    def failed(self) -> bool:
        """Whether it ended with an exception that is no cancellation."""
        return self.exception is not None and not self.cancelled

    @property
    def succeeded(self) -> bool:
        """Whether it returned a value."""
        return self.exception is None and not self.cancelled

    def __repr__(self) -> str:
        if self.cancelled:
            return "Outcome(cancelled)"
        return f"Outcome(exception={self.exception!r})" if self.exception is not None else f"Outcome({self.value!r})"
