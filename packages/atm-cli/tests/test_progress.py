"""What is shown while it runs."""

from __future__ import annotations

import io
from typing import Any

import pytest
from atm_cli.running.progress import Rate, Snapshot, duration, render, sentence

MOMENT = Snapshot("running", 1200, 10000, False, 20, 980, 3, 0, "retry: it waits", 241.34, 36.5, 5.0)


@pytest.mark.parametrize(
    "change, expected",
    [
        ({}, "1200 of ~10000 done, 20 running, 980 waiting (retry: it waits), 3 failed, 241.3/s, 36.5 s left"),
        ({"total": None, "eta": None, "failed": 0, "why": ""}, "1200 done, 20 running, 980 waiting, 241.3/s"),
        ({"exact": True, "waiting": 0, "why": ""}, "1200 of 10000 done, 20 running, 3 failed, 241.3/s, 36.5 s left"),
        (
            {"phase": "draining", "waiting": 0, "why": ""},
            "draining: 1200 of ~10000 done, 20 running, 3 failed, 241.3/s",
        ),
        (
            {"phase": "resuming", "waiting": 0},
            "resuming: 1200 of ~10000 done, 20 running, retry: it waits, 3 failed, 241.3/s",
        ),
    ],
)
def test_a_line(change: Any, expected: str) -> None:
    """Done, running, waiting and why, failed, rate, what is left."""
    assert sentence(MOMENT._replace(**change)) == expected


@pytest.mark.parametrize(
    "change, columns, expected",
    [
        ({}, 120, "waits for retry: it waits"),
        ({"phase": "draining"}, 120, "Ctrl-C again cancels it"),
        ({"phase": "cancelling"}, 120, "cancelling what runs"),
        ({"total": None, "eta": None, "elapsed": 61.0}, 120, "1:01"),
        ({"why": "x" * 500}, 90, "…"),
        ({"why": "short"}, 83, "waits for short"),
    ],
)
def test_a_bar(change: Any, columns: int, expected: str) -> None:
    """In two lines, whatever the terminal's width."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system=None)
    console.print(render(MOMENT._replace(**change), columns))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert expected in shown and "980 waiting" in shown and shown.rstrip("\n").count("\n") == 1


def test_rate() -> None:
    """Of the last seconds only."""
    rate = Rate(10.0)
    assert rate(0.0, 0) == 0.0
    assert rate(1.0, 100) == 100.0
    assert rate(10.0, 100) == pytest.approx(10.0)
    assert [round(rate(10.0 + second, 100 + 50 * second), 3) for second in (10, 20)] == [50.0, 50.0]


@pytest.mark.parametrize("seconds, text", [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1:01"), (3723, "1:02:03")])
def test_duration(seconds: float, text: str) -> None:
    """As people write it."""
    assert duration(seconds) == text
