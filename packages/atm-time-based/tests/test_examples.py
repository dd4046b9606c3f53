"""The examples do what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_year_of_a_crontab(capsys: pytest.CaptureFixture[str]) -> None:
    """Every job has all of its runs, and each change of the clocks is shown."""
    load("year_of_a_crontab").main("Europe/London", "2026")
    out = capsys.readouterr().out
    counts = {line.split()[0]: int(line.split()[1]) for line in out.splitlines() if " times, first " in line}
    assert counts == {
        "report": 365,
        "backup": 261,
        "sync": 17520,
        "rotate": 1460,
        "invoices": 12,
        "payroll": 12,
        "close-books": 12,
        "vacuum": 12,
        "digest": 52,
    }
    spring, autumn = out.split("\nThe clocks change between ")[1:]
    assert spring.startswith("29 March 2026 00:30 GMT and 02:00 BST:")
    assert autumn.startswith("25 October 2026 01:30 BST and 01:00 GMT:")
    assert [line.strip() for line in spring.splitlines() if "report" in line] == ["02:00 BST  report"]
    assert [line.strip() for line in autumn.splitlines() if "report" in line] == ["01:30 BST  report"]
    assert len([line for line in autumn.splitlines() if "sync" in line]) == 11
