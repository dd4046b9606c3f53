"""The course of time for a terminal, in one line a quantity."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Set

from atm_cli.simulation.bins import Bin

__all__ = ["Line", "changing", "lines", "spark", "states_of"]

_LEVELS = " ▁▂▃▄▅▆▇█"
WIDTH = 64
_STATES = ("open", "half_open", "closed")  # of a circuit breaker, the worst first
#: Counters that only grow, and what the chart shows anyway.
_TELLS_NOTHING = (".running", ".keys", ".attempts", ".calls", ".retries", ".gave_up", ".lending", ".runs")


class Line(NamedTuple):
    """A row of a chart: a label, the picture, and what its height means."""

    label: str
    picture: str
    scale: str


def lines(bins: Sequence[Bin], width: float, columns: int = WIDTH) -> List[Line]:
    """Starts, running, waiting, and what strategies say of themselves, if it changed.

    Args:
        bins: Of one simulation.
        width: Of a bin, in seconds.
        columns: How many characters a picture has at most.
    """
    rates = _fit([one.starts / width for one in bins], columns)
    running = _fit([one.running for one in bins], columns)
    waiting = _fit([one.waiting for one in bins], columns)
    made = [
        Line("starts/s", spark(rates), f"0-{_shown(max(rates, default=0))}"),
        Line("running", spark(running), f"0-{_shown(max(running, default=0))}"),
        Line("waiting", spark(waiting), f"0-{_shown(max(waiting, default=0))}"),
    ]
    for name, values in changing(bins).items():
        fitted = _fit(values, columns)
        made.append(Line(name, spark(fitted), f"0-{_shown(max(fitted))}"))
    for name, words in states_of(bins).items():
        known = sorted(set(words))
        legend = ", ".join(f"{word[:1].upper()} {word}" for word in known)
        made.append(Line(name, "".join(word[:1].upper() for word in _picked(words, columns)), legend))
    return made


def changing(bins: Sequence[Bin]) -> Dict[str, List[float]]:
    """The numbers of strategies that changed in the course of time; others tell nothing."""
    found: Dict[str, List[float]] = {}
    breakers = {f"{name}.{state}" for name in _breakers(bins) for state in _STATES}
    for name in _names(bins) - breakers:
        values = [one.figures.get(name, 0) for one in bins]
        numbers = [float(value) for value in values if isinstance(value, (bool, int, float))]
        if len(numbers) == len(bins) and len(set(numbers)) > 1 and not name.endswith(_TELLS_NOTHING):
            found[name] = numbers
    return dict(sorted(found.items()))


def states_of(bins: Sequence[Bin]) -> Dict[str, List[str]]:
    """Figures that are words and changed; of a circuit breaker, the worst state that it was in."""
    found: Dict[str, List[str]] = {}
    for name in _names(bins):
        values = [one.figures.get(name) for one in bins]
        words = [value for value in values if isinstance(value, str)]
        if words and len(set(words)) > 1:
            found[name] = [value if isinstance(value, str) else "" for value in values]
    for name in _breakers(bins):
        states = [next((one for one in _STATES if each.figures.get(f"{name}.{one}")), _STATES[-1]) for each in bins]
        if len(set(states)) > 1:
            found[name] = [state.replace("_", " ") for state in states]
    return dict(sorted(found.items()))


def _names(bins: Sequence[Bin]) -> Set[str]:
    return {name for one in bins for name in one.figures}


def _breakers(bins: Sequence[Bin]) -> List[str]:
    """Strategies that count how many of their keys are in which state."""
    names = _names(bins)
    candidates = {name.rpartition(".")[0] for name in names}
    return sorted(one for one in candidates if all(f"{one}.{state}" in names for state in _STATES))


def spark(values: Sequence[float]) -> str:
    """``▁▂▃``: each value as a bar, 0 as a blank, anything above it visible."""
    most = max(values, default=0.0)
    if most <= 0:
        return " " * len(values)
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[min(top, max(1, round(value / most * top)))] if value > 0 else " " for value in values)


def _fit(values: Sequence[float], columns: int) -> List[float]:
    """As many means as there are columns."""
    if len(values) <= columns:
        return list(values)
    fitted = []
    for column in range(columns):
        part = values[column * len(values) // columns : (column + 1) * len(values) // columns]
        fitted.append(sum(part) / len(part))
    return fitted


def _picked(words: Sequence[str], columns: int) -> List[str]:
    if len(words) <= columns:
        return list(words)
    return [words[column * len(words) // columns] for column in range(columns)]


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"
