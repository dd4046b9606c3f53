"""What ends a command early, in one line."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, Optional

import click

__all__ = ["INTERRUPTED", "Failure", "describe", "io_failure", "place_of", "say", "text_of"]


INTERRUPTED = 130  # the exit code after Ctrl-C


class Failure(click.ClickException):
    """A mistake of the user or of the surroundings: one line on stderr, exit code 2."""

    exit_code = 2


def text_of(value: Any) -> str:
    """``str(value)``, also of what cannot be shown."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}, which cannot be shown: {type(error).__name__}>"


def describe(error: Optional[BaseException]) -> str:
    """``TypeError: what it says``, in one line."""
    said = " ".join(text_of(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def place_of(error: BaseException) -> Optional[str]:
    """Where it was raised: ``crawl.py:12 in fetch``; None if nobody knows."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return None
    last = frames[-1]
    path = os.path.relpath(last.filename) if last.filename.startswith(os.getcwd() + os.sep) else last.filename
    return f"{path}:{last.lineno} in {last.name}"


def io_failure(name: str, error: OSError) -> Failure:
    """A failure of the file ``name``, with the system's words for it."""
    return Failure(f"{name}: {error.strerror or describe(error)}")


def say(text: str) -> None:
    """A line for the user: on stderr, so that stdout holds data only."""
    try:
        sys.stderr.write(f"atm: {text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # nobody listens, which is no reason to stop
