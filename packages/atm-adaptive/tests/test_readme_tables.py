"""The README's table of parameters is complete and has the defaults; its table of scenarios meets the goal."""

from __future__ import annotations

import ast
import inspect
import pathlib
import re
from typing import Dict

from atm_adaptive import AdaptiveStrategy

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_every_parameter_is_in_its_table_with_its_default() -> None:
    rows = re.findall(r"^\| (`.*?) \| (.*?) \| (?:.*) \|$", README.partition("## Parameters")[2], re.MULTILINE)
    shown: Dict[str, str] = {}
    for names, defaults in rows:
        parameters = re.findall(r"`(\w+)`", names)
        values = defaults.split(", ")
        shown.update(zip(parameters, values * (len(parameters) if len(values) == 1 else 1)))
    expected = dict(inspect.signature(AdaptiveStrategy).parameters)
    assert set(shown) >= set(expected)
    del shown["drop"], expected["drop"]  # a tuple of classes, which the table tells in words
    for name, parameter in expected.items():
        assert ast.literal_eval(shown[name].strip("`")) == parameter.default, name


def test_the_table_of_scenarios_meets_the_goal() -> None:
    """As it stands in the README; ``tests/test_scenarios.py`` measures it anew."""
    rows = re.findall(r"^\| [^*|]+ \| (gradient|vegas|aimd) \| ([\d.]+)% \| ([\d.]+) \|", README, re.MULTILINE)
    assert len(rows) == 18
    assert all(float(throughput) >= 90 and float(latency) <= 1.5 for _, throughput, latency in rows)
