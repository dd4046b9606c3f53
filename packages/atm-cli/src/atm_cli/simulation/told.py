"""The figures of a simulation in words."""

from __future__ import annotations

from typing import Any, Dict, List

from atm_cli.simulation.chart import Line

__all__ = ["told"]


def told(figures: Dict[str, Any], chart: List[Line]) -> str:
    """A page of text, the same to the byte for the same figures."""
    load, wait = figures["load"], figures["wait_seconds"]
    trouble = f", failure {load['failure']:g}" if load["failure"] else ""
    trouble += "".join(f", outage {first:g} s - {last:g} s" for first, last in load["outages"])
    rows = [
        ("load", f"{load['tasks']} tasks, {load['arrival']}, {load['duration']}{trouble}, seed {load['seed']}"),
        ("time", f"{_time(figures['seconds'])} of virtual time"),
        ("throughput", f"{_number(figures['throughput'])} tasks/s ({_number(figures['starts_per_second'])} starts/s)"),
        ("results", _results(figures)),
        ("wait", "  ".join(f"{name} {_time(wait[name])}" for name in ("p50", "p95", "p99", "most"))),
        ("queue", f"{_number(figures['queue']['mean'])} on average, at most {figures['queue']['most']}"),
        ("running", f"{_number(figures['running']['mean'])} on average, at most {figures['running']['most']}"),
        ("most starts", ", ".join(f"{most} in any {window}" for window, most in figures["most_starts_in_any"].items())),
    ]
    for one in figures["windows"]:
        keys = f" of one of {one['keys']} keys" if one["keys"] > 1 else ""
        limit = f"max_requests {one['max_requests']}"
        rows.append(
            (
                one["strategy"],
                f"at most {one['most_in_any_window']} starts{keys} in any {one['window_seconds']:g} s ({limit})",
            )
        )
    for number, one in enumerate(figures["waited_for"]):
        keys = ", ".join(f"{key} {_time(seconds)}" for key, seconds in one["by_key"].items())
        text = f"{one['strategy']}: {one['share']:.1%} of all waiting, {_time(one['task_seconds'])}"
        rows.append(("waited for" if not number else "", text + (f" (most: {keys})" if keys else "")))
    if figures["never_started"]:
        rows.append(("NEVER ENDS", f"{figures['never_started']} tasks; {figures['never_started_why']}"))
    label = max(len(name) for name, _ in rows) + 2
    text = "".join(f"{name:<{label}}{what}\n" for name, what in rows)
    label = max(len(line.label) for line in chart) + 2
    text += "\n" + "".join(f"{line.label:<{label}}|{line.picture}| {line.scale}\n" for line in chart)
    width = len(chart[0].picture)
    end = _time(figures["seconds"])
    return text + f"{'':<{label}} 0{end:>{max(width - 1, len(end) + 1)}}\n"


def _results(figures: Dict[str, Any]) -> str:
    text = f"{figures['succeeded']} succeeded, {figures['failed']} failed"
    if figures["rejected"]:
        text += f", {figures['rejected']} refused"
    return f"{text}; {figures['attempts']} attempts"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 600:
        return f"{seconds:.4g} s"
    return f"{seconds / 60:.4g} min" if seconds < 36000 else f"{seconds / 3600:.4g} h"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}"
