"""How a run gets on: a live bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
import collections
import time
from typing import TYPE_CHECKING, Counter, Deque, NamedTuple, Optional, Tuple

from atm_cli.failure import say
from atm_cli.running.run import Run

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Snapshot", "render", "report", "sentence", "snapshot"]

_LIVE_SECONDS = 0.25
_LINE_SECONDS = 5.0
_RATE_SECONDS = 10.0
_ASKED = 5  # waiting tasks that are asked why

_PHASES = {
    "draining": "stopping: what runs may end; Ctrl-C again cancels it",
    "cancelling": "cancelling what runs",
}


class Snapshot(NamedTuple):
    """One moment of a run; rates a second, times in seconds."""

    phase: str
    done: int
    total: Optional[int]
    exact: bool
    running: int
    waiting: int
    failed: int
    resumed: int
    why: str
    rate: float
    eta: Optional[float]
    elapsed: float


class Rate:
    """Inputs a second over the last seconds.

    Args:
        seconds: How far it looks back.
    """

    def __init__(self, seconds: float = _RATE_SECONDS) -> None:
        self._seconds = seconds
        self._seen: Deque[Tuple[float, int]] = collections.deque()

    def __call__(self, now: float, done: int) -> float:
        """Note that so many were done by now; the rate since the oldest note that is kept."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._seconds:
            self._seen.popleft()
        first, before = self._seen[0]
        return (done - before) / (now - first) if now > first else 0.0


def snapshot(run: Run, started: float, rate: Rate) -> Snapshot:
    """The present moment of ``run``, which began at ``started`` (``time.monotonic()``)."""
    now = time.monotonic()
    stats = run.manager.stats()
    total = run.inputs.total()
    done = run.done + run.skipped
    per_second = rate(now, run.done)
    eta = (total - done) / per_second if total is not None and per_second > 0 else None
    return Snapshot(
        run.phase,
        done,
        total,
        run.inputs.ended,
        stats["running"],
        stats["pending"],
        run.failed,
        run.skipped,
        _why(run),
        per_second,
        eta,
        now - started,
    )


def _why(run: Run) -> str:
    """Why tasks wait, in the words of the strategies that hold them."""
    if run.phase == "resuming":
        left = max(0.0, run.resumes_at - time.time())
        return f"{run.held_back_by}: the starts of the run before this one count for another {left:.1f} s"
    if run.phase != "running":
        return ""
    reasons: Counter[str] = collections.Counter()
    for task in run.clerk.waiting(_ASKED):
        explained = run.manager.explain(task)
        if explained.strategy:
            reasons[f"{explained.strategy}: {explained.reason}"] += 1
        elif explained.until is not None:
            reasons["to be tried again later"] += 1
    return reasons.most_common(1)[0][0] if reasons else ""


def sentence(now: Snapshot) -> str:
    """A snapshot as a line of text."""
    parts = [_of(now), f"{now.running} running"]
    if now.waiting:
        parts.append(f"{now.waiting} waiting" + (f" ({now.why})" if now.why else ""))
    elif now.why:
        parts.append(now.why)
    if now.failed:
        parts.append(f"{now.failed} failed")
    parts.append(f"{now.rate:.1f}/s")
    if now.eta is not None and now.phase == "running":
        parts.append(f"{duration(now.eta)} left")
    head = "" if now.phase == "running" else f"{now.phase}: "
    return head + ", ".join(parts)


def render(now: Snapshot, columns: int = 100) -> RenderableType:
    """A snapshot for a terminal of so many columns: a bar, the figures, and below them why tasks wait."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    cells = [
        Text(_of(now), style="bold"),
        Text(f"{now.running} running", style="green"),
        Text(f"{now.waiting} waiting", style="yellow" if now.waiting else "dim"),
        Text(f"{now.failed} failed", style="red" if now.failed else "dim"),
        Text(f"{now.rate:.1f}/s", style="cyan"),
        Text(f"{duration(now.eta)} left" if now.eta is not None else duration(now.elapsed), style="dim"),
    ]
    room = columns - sum(len(cell) + 2 for cell in cells)
    bar = ProgressBar(
        total=now.total if now.total else None,
        completed=now.done,
        width=max(3, min(30, room)),
        pulse=not now.total,
        animation_time=now.elapsed,
    )
    figures = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(len(cells) + 1):
        figures.add_column(no_wrap=True, overflow="ellipsis")
    figures.add_row(bar, *cells)
    why = _PHASES.get(now.phase) or (f"waits for {now.why}" if now.why else "")
    return Group(figures, Text(why, style="yellow", overflow="ellipsis", no_wrap=True))


async def report(run: Run, quiet: bool) -> None:
    """Show how ``run`` gets on until cancelled."""
    if quiet:
        return
    from rich.console import Console
    from rich.live import Live

    started, rate, console = time.monotonic(), Rate(), Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            say(sentence(snapshot(run, started, rate)))
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(render(snapshot(run, started, rate), console.width), refresh=True)
            await asyncio.sleep(_LIVE_SECONDS)


def duration(seconds: float) -> str:
    """``1:02:03``, ``2:03`` or ``4.5 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"


def _of(now: Snapshot) -> str:
    if now.total is None:
        return f"{now.done} done"
    return f"{now.done} of {'' if now.exact else '~'}{now.total} done"
