"""From a blocking reader to the event loop: a thread that reads ahead, but not far."""

from __future__ import annotations

import asyncio
import collections
import threading
from typing import Deque, Generic, Iterable, List, Optional, TypeVar

__all__ = ["Pump"]

T = TypeVar("T")


class Pump(Generic[T]):
    """Takes items from an iterable that may block for ever, in a thread of its own.

    The thread is a daemon: nothing can end a read of a pipe that stays silent, and the program must not wait for it.

    Args:
        items: Iterated in that thread.
        most: How many items may be read and not taken.
    """

    def __init__(self, items: Iterable[T], most: int) -> None:
        self._items = items
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._ready: Deque[T] = collections.deque()
        self._ended = False
        self._closed = False
        self._error: Optional[BaseException] = None
        self._hungry: Optional[asyncio.Future[None]] = None
        threading.Thread(target=self._read, name="atm-inputs", daemon=True).start()

    async def take(self) -> List[T]:
        """Whatever has been read, at least one item; nothing at the end.

        Raises:
            BaseException: What the iterable raised, after everything that it gave before.
        """
        while True:
            with self._changed:
                taken = list(self._ready)
                self._ready.clear()
                self._changed.notify()
                if taken:
                    return taken
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return []
                hungry = self._hungry = self._loop.create_future()
            await hungry

    def close(self) -> None:
        """Read no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _read(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    while len(self._ready) >= self._most and not self._closed:
                        self._changed.wait()
                    if self._closed:
                        return
                    self._ready.append(item)
                    self._tell()
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._tell()

    def _tell(self) -> None:
        hungry, self._hungry = self._hungry, None
        if hungry is None:
            return
        try:
            self._loop.call_soon_threadsafe(_wake, hungry)
        except RuntimeError:
            self._closed = True  # the loop is gone, and so is whoever wanted the items


def _wake(hungry: asyncio.Future[None]) -> None:
    if not hungry.done():
        hungry.set_result(None)
