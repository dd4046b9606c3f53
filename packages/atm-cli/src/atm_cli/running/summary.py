"""What is said of a run at its end, and its exit code."""

from __future__ import annotations

import json
import sys
from typing import Any

from atm_cli.failure import INTERRUPTED, describe, say
from atm_cli.running.run import Run

__all__ = ["sum_up"]


def sum_up(run: Run, seconds: float, options: Any) -> int:
    """Tell how it went, on stderr, or with ``--json`` where no results are; the exit code.

    Args:
        run: It has ended.
        seconds: How long it took.
        options: The command line's.
    """
    code = 2 if run.failure is not None else INTERRUPTED if run.signalled else 1 if run.failed_in_all else 0
    goes_on = "; what is finished is kept, the same command goes on" if options["journal"] else ""
    if run.failure is not None:
        say(run.failure.format_message() + (goes_on if run.resumed + run.done else ""))
    if options["as_json"]:
        summary = {
            "done": run.done,
            "failed": run.failed,
            "resumed": run.resumed,
            "failed_in_all": run.failed_in_all,
            "seconds": round(seconds, 3),
            "interrupted": run.signalled,
            "exit_code": code,
        }
        stream = sys.stderr if options["output"] == "-" else sys.stdout
        stream.write(json.dumps(summary) + "\n")
    elif run.failure is None and not options["quiet"]:
        words = _in_words(run, seconds)
        say(f"interrupted: {words}{goes_on}" if run.signalled else words)
    return code


def _in_words(run: Run, seconds: float) -> str:
    words = f"{run.done} done" + (f" ({run.failed} failed)" if run.failed else "")
    if run.resumed:
        words += f", {run.resumed} before" + (f" ({run.failed_before} failed)" if run.failed_before else "")
    words += f", {seconds:.1f} s, {run.done / max(seconds, 1e-9):.1f}/s"
    first = run.first_error
    if first is not None and first.outcome.exception is not None and not run.signalled:
        words += f"; the first failure, input {first.record.number + 1}: {describe(first.outcome.exception)[:200]}"
    return words
