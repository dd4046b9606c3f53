"""The course of time as a picture, by matplotlib."""

from __future__ import annotations

import importlib
import os
from typing import Any, Dict, List, Sequence

from atm_cli.failure import Failure, io_failure
from atm_cli.simulation.bins import Bin
from atm_cli.simulation.chart import changing, states_of
from atm_cli.simulation.world import Simulated

__all__ = ["check_plot", "draw"]

_FORMATS = (".svg", ".png", ".pdf")
_STYLE = {"svg.hashsalt": "atm", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
_OF_STATES = {"closed": "#9ecfb8", "half open": "#e69f00", "open": "#d55e00"}
# Okabe and Ito's colours, which everybody can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def check_plot(path: str) -> None:
    """Before anything is simulated: can it be drawn?

    Raises:
        Failure: matplotlib is missing, the folder or the format wrong.
    """
    if os.path.splitext(path)[1].lower() not in _FORMATS:
        raise Failure(f"--plot {path}: its name must end in {', '.join(_FORMATS)}")
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path) or "."):
        raise Failure(f"--plot {path}: " + ("Is a directory" if os.path.isdir(path) else "there is no such folder"))
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise Failure("--plot needs matplotlib: pip install atm-cli[plot]") from error


def draw(path: str, simulated: Simulated, title: str) -> None:
    """Starts, running with limits, waiting, and states over time; the same file to the byte for the same simulation.

    Raises:
        Failure: The file cannot be written.
    """
    matplotlib = importlib.import_module("matplotlib")
    make_figure = importlib.import_module("matplotlib.figure").Figure

    bins = simulated.watch.bins
    limits = _limits(bins.closed)
    others = {name: values for name, values in changing(bins.closed).items() if name not in limits}
    words = states_of(bins.closed)
    heights = [1.7, 1.7, 1.7, *([1.7] if others else []), *([0.3 + 0.25 * len(words)] if words else [])]
    with matplotlib.rc_context(_STYLE):
        figure = make_figure(figsize=(9, sum(heights) + 0.8), layout="constrained")
        axes: List[Any] = list(
            figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}).flat
        )
        times = [number * bins.width for number in range(len(bins.closed))] + [simulated.seconds]
        figure.suptitle(f"atm simulate {title}", x=0.01, ha="left", fontweight="bold")
        _steps(axes[0], times, {"starts/s": [one.starts / bins.width for one in bins.closed]}, filled=True)
        _steps(axes[1], times, {"running": [one.running for one in bins.closed], **limits}, filled=True)
        _steps(axes[2], times, {"waiting": [one.waiting for one in bins.closed]}, filled=True)
        if others:
            _steps(axes[3], times, others, filled=False)
        if words:
            _words(axes[-1], times, words)
        for first, last in simulated.load.outages:
            for one in axes:
                one.axvspan(first, min(last, simulated.seconds), color="#dddddd", zorder=0, lw=0)
        axes[-1].set_xlabel("seconds (grey: outage)" if simulated.load.outages else "seconds")
        axes[-1].set_xlim(0, simulated.seconds or 1)
        _save(figure, path)


def _limits(bins: Sequence[Bin]) -> Dict[str, List[float]]:
    """What strategies say of how much may run, also if it stays the same."""
    names = sorted({name for one in bins for name in one.figures if name.endswith((".limit", ".max_concurrent"))})
    found = {name: [one.figures.get(name) for one in bins] for name in names}
    return {
        name: [float(value or 0) for value in values]
        for name, values in found.items()
        if all(value is None or isinstance(value, (int, float)) for value in values)
    }


def _steps(axes: Any, times: Sequence[float], series: Dict[str, List[float]], filled: bool) -> None:
    for number, (name, values) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.stairs(
            values,
            times,
            color=colour,
            label=name,
            fill=filled and not number,
            alpha=0.75 if filled and not number else 1,
        )
    axes.set_ylim(bottom=0)
    if len(series) == 1:
        axes.set_ylabel(next(iter(series)))
    else:
        axes.legend(loc="upper right", frameon=False, fontsize=7)


def _words(axes: Any, times: Sequence[float], series: Dict[str, List[str]]) -> None:
    """Each word is a colour, each figure a band."""
    known = sorted({word for words in series.values() for word in words})
    others = iter(_COLOURS * len(known))
    colours = {word: _OF_STATES.get(word) or next(others) for word in known}
    for row, words in enumerate(series.values()):
        for word in known:
            spans = [(start, end - start) for start, end, one in zip(times, times[1:], words) if one == word]
            axes.broken_barh(spans, (row + 0.1, 0.8), color=colours[word], label=None if row else word, lw=0)
    axes.set_yticks([row + 0.5 for row in range(len(series))])
    axes.set_yticklabels(list(series))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=len(known), frameon=False, fontsize=7, borderpad=0)


def _save(figure: Any, path: str) -> None:
    metadata = (
        {"Date": None}
        if path.lower().endswith(".svg")
        else {"CreationDate": None}
        if path.lower().endswith(".pdf")
        else {}
    )
    try:
        figure.savefig(path, metadata=metadata, dpi=120)
    except OSError as error:
        raise io_failure(path, error) from error
