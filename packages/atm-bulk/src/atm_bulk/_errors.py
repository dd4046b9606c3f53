"""What can go wrong with a batch itself, as opposed to the work of its function."""

from __future__ import annotations

import asyncio

from atm_core import AtmError

__all__ = ["BatchResultError", "BatchTimeoutError"]


class BatchResultError(AtmError, TypeError):
    """A batch function returned what cannot be dealt out to its items: the wrong length, or the wrong thing.

    The call has done its work by then, so its batch is never split for this.
    """


class BatchTimeoutError(AtmError, asyncio.TimeoutError):
    """A call of a batch function took longer than ``batch_timeout_seconds``."""
