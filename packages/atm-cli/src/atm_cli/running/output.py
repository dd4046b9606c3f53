"""Where the lines go: a file that a killed run may have left torn, or a stream."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Any, Iterable, Iterator

from atm_cli.failure import Failure, io_failure

__all__ = ["Output"]

_CHUNK = 1 << 16


class Output:
    """Lines, written at once and whole.

    Args:
        path: A file, or ``-`` for stdout.

    Raises:
        Failure: It cannot be opened for writing.
    """

    def __init__(self, path: str) -> None:
        self.name = "stdout" if path == "-" else path
        try:
            if path == "-":
                sys.stdout.flush()
                self._fd = os.dup(sys.stdout.fileno())
            else:
                self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise _named(self.name, error) from error
        # What stdout is redirected to is the caller's to keep or to empty.
        self._is_file = path != "-" and stat.S_ISREG(os.fstat(self._fd).st_mode)

    def begin(self) -> None:
        """A run without a journal: the file becomes empty."""
        if self._is_file:
            os.ftruncate(self._fd, 0)

    def reconcile(self, lines: Iterable[bytes], rewrite: bool) -> None:
        """Make it hold exactly ``lines``.

        A file keeps what it has of them, loses a torn last line, and gets what is missing; a stream gets all.

        Args:
            lines: What a journal says that it holds.
            rewrite: The journal has forgotten some lines that a file still holds.

        Raises:
            Failure: The file has lines that no run with this journal wrote.
        """
        missing = iter(lines)
        if self._is_file and rewrite:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        elif self._is_file:
            missing = self._skip_common(missing)
        batch = bytearray()
        for line in missing:
            batch += line
            if len(batch) >= _CHUNK:
                self.write(bytes(batch))
                batch.clear()
        self.write(bytes(batch))

    def write(self, data: bytes) -> None:
        """Write, or fail and leave no torn line behind (in a file).

        Raises:
            Failure: The disk is full, the reader has gone, ...
        """
        start = os.lseek(self._fd, 0, os.SEEK_CUR) if self._is_file else 0
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            if self._is_file:
                os.ftruncate(self._fd, start)
            raise _named(self.name, error) from error

    def close(self) -> None:
        """Make a file durable, and close it.

        Raises:
            Failure: The disk says that it could not.
        """
        try:
            if self._is_file:
                os.fsync(self._fd)
        except OSError as error:
            raise _named(self.name, error) from error
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close it, if it is not closed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _skip_common(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Go to the end of what the file has of ``lines``; the rest of them."""
        at = number = 0
        with os.fdopen(os.dup(self._fd), "rb") as reader:
            reader.seek(0)
            for line in lines:
                number += 1
                found = reader.read(len(line))
                if found != line:
                    if not line.startswith(found):
                        self._refuse(number)
                    self._cut(at)
                    return _chain(line, lines)
                at += len(line)
            if reader.read(1):
                self._refuse(number + 1)
        self._cut(at)
        return iter(())

    def _refuse(self, number: int) -> None:
        raise Failure(
            f"{self.name}: line {number} was not written by a run with this journal: move the file away, "
            "or give --restart"
        )

    def _cut(self, at: int) -> None:
        os.ftruncate(self._fd, at)
        os.lseek(self._fd, at, os.SEEK_SET)


def _chain(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _named(name: str, error: Any) -> Failure:
    if error.errno == errno.EPIPE:
        return Failure(f"{name}: its reader went away (broken pipe)")
    return io_failure(name, error)
