"""The chart of the scaling, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from benchmarks import overhead, scale
from benchmarks.measure import peer
from benchmarks.work import SEMAPHORE

__all__ = ["draw"]

OURS, THEIRS = "#0b6e4f", "#9a9a9a"
STYLES = ("--", "-")


def _points(kept: Dict[str, Any], table: str, row: str, names: Dict[float, str]) -> List[Tuple[float, float]]:
    found = []
    for tables in kept["groups"].values():
        for one in tables:
            if one["name"] == table and row in one["rows"]:
                cells = one["rows"][row]["cells"]
                found += [(x, cells[name]) for x, name in names.items() if isinstance(cells.get(name), (int, float))]
    return found


def _line(axes: Any, points: Sequence[Tuple[float, float]], color: str, style: str, label: Optional[str]) -> None:
    if points:
        axes.plot([x for x, _ in points], [y for _, y in points], style, color=color, marker="o", ms=3, label=label)


def draw(results: Sequence[Dict[str, Any]], path: Path) -> None:
    """Time a task as tasks, keys and strategies grow; broken lines for the older Python."""
    matplotlib = peer("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "benchmarks"  # the same file for the same numbers
    pyplot = peer("matplotlib.pyplot")
    figure, (tasks, keys, strategies) = pyplot.subplots(1, 3, figsize=(11, 3.4), width_ratios=(1.4, 1, 1))
    grown: Dict[float, str] = {n: f"µs, {n:,} tasks" for n in scale.TASKS}
    by_limit: Dict[float, str] = {n: f"{n // 1000}k, limit 100" for n in (10_000, 100_000, 1_000_000)}
    for kept, style in zip(results[-2:], STYLES[-len(results[-2:]) :]):
        short = ".".join(kept["python"].split(".")[:2])
        _line(tasks, _points(kept, "scale, tasks", SEMAPHORE, grown), "#c0392b", style, f"{SEMAPHORE}, {short}")
        bare = _points(kept, "overhead, no-op", "create_task + gather", by_limit)
        _line(tasks, bare, THEIRS, style, f"create_task + gather, {short}")
        _line(tasks, _points(kept, "scale, tasks", overhead.ONE, grown), OURS, style, f"{overhead.ONE}, {short}")
        row = "atm, 50,000 tasks"
        _line(keys, _points(kept, "scale, keys", row, {n: f"µs, {n:,} keys" for n in scale.KEYS}), OURS, style, short)
        stacked: Dict[float, str] = {n: f"µs, {n} strategies" for n in scale.STRATEGIES}
        _line(strategies, _points(kept, "scale, strategies", row, stacked), OURS, style, short)
    for axes, label in ((tasks, "no-op tasks"), (keys, "keys of one limit"), (strategies, "strategies in the stack")):
        axes.set_xlabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, frameon=False)
        if axes is not strategies:
            axes.set_xscale("log")
    tasks.set_ylabel("CPU µs a task")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
