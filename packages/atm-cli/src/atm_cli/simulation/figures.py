"""From what was measured to the figures that are told; fit for JSON."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from atm_cli.simulation.world import Simulated

__all__ = ["figures", "most_in_any", "percentile"]

_WINDOWS = (1.0, 60.0)
_ROUNDING = 1e-9  # 60.07 - 60 is a bit more than 0.07
_NAMED = 5  # of the keys that waited, those that waited longest


def figures(simulated: Simulated) -> Dict[str, Any]:
    """Everything about a simulation but the course of time.

    Numbers are rounded to microseconds, so that they read well and compare equal.
    """
    load, watch, seconds = simulated.load, simulated.watch, simulated.seconds
    done = watch.succeeded + watch.failed
    bins = watch.bins
    area = sum(one.waiting for one in bins.closed) * bins.width
    busy = sum(one.running for one in bins.closed) * bins.width
    waits = sorted(watch.waits)
    return {
        "load": {**load._asdict(), "outages": [list(one) for one in load.outages]},
        "seconds": _round(seconds),
        "throughput": _round(done / seconds) if seconds else None,
        "starts_per_second": _round(len(watch.starts) / seconds) if seconds else None,
        "succeeded": watch.succeeded,
        "failed": watch.failed,
        "rejected": watch.rejected,
        "never_started": simulated.stuck,
        "never_started_why": simulated.stuck_why,
        "attempts": len(watch.starts),
        "wait_seconds": {
            "p50": _round(percentile(waits, 0.50)),
            "p95": _round(percentile(waits, 0.95)),
            "p99": _round(percentile(waits, 0.99)),
            "most": _round(waits[-1] if waits else 0.0),
        },
        "queue": {"mean": _round(area / seconds if seconds else 0.0), "most": bins.most_waiting},
        "running": {"mean": _round(busy / seconds if seconds else 0.0), "most": watch.most_running},
        "most_starts_in_any": {f"{window:g} s": most_in_any(watch.starts, window) for window in _WINDOWS},
        "windows": _windows(simulated),
        "waited_for": _waited_for(simulated),
        "strategies": bins.closed[-1].figures if bins.closed else {},
    }


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least this part of all does not exceed (nearest rank); 0 of none."""
    if not ordered:
        return 0.0
    rank = -int(-part * len(ordered) // 1)
    return ordered[max(0, rank - 1)]


def most_in_any(times: Sequence[float], window: float) -> int:
    """The most of ``times`` (ascending) in any window of this length, one of its ends left out; O(n)."""
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - window + _ROUNDING:
            first += 1
        if last - first >= most:
            most = last - first + 1
    return most


def _windows(simulated: Simulated) -> List[Dict[str, Any]]:
    """For each strategy with windows: the most starts in any window of that length, under any of its keys."""
    found = []
    for name, keys in simulated.watch.keys.items():
        strategy = simulated.strategies[name]
        by_key: Dict[Any, List[float]] = {}
        for key, time in zip(keys, simulated.watch.starts):
            by_key.setdefault(key, []).append(time)
        most = max((most_in_any(times, strategy.window_seconds) for times in by_key.values()), default=0)
        found.append(
            {
                "strategy": name,
                "window_seconds": strategy.window_seconds,
                "max_requests": strategy.max_requests,
                "keys": len(by_key),
                "most_in_any_window": most,
            }
        )
    return found


def _waited_for(simulated: Simulated) -> List[Dict[str, Any]]:
    watch = simulated.watch
    total = sum(watch.waited_for.values())
    made = []
    for name, seconds in sorted(watch.waited_for.items(), key=lambda one: (-one[1], one[0])):
        whom = sorted(watch.whom.get(name, {}).items(), key=lambda one: (-one[1], one[0]))
        made.append(
            {
                "strategy": name,
                "task_seconds": _round(seconds),
                "share": _round(seconds / total) if total else 0.0,
                "by_key": {key: _round(each) for key, each in whom[:_NAMED]},
            }
        )
    return made


def _round(value: float) -> float:
    return round(value, 6)
