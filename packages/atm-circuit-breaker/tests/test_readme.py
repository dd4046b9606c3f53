"""The programs of the README run, in virtual time, and print what they say they print."""

from __future__ import annotations

import asyncio
import pathlib
import re
from typing import Any, List

import pytest

from atm_core.testing import run

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PROGRAMS: List[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_of_the_readme(program: str, capsys: Any, monkeypatch: Any) -> None:
    """Each ``# prints:`` comment is a line of the output, in that order."""
    monkeypatch.setattr(asyncio, "run", run)  # on a busy machine, refusing 990 could outlast the open state
    exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
    expected = re.findall(r"# prints: (.*)", program)
    assert expected, "a program without output proves nothing"
    assert capsys.readouterr().out.splitlines() == expected
