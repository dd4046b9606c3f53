"""The README's programs run, and its config is one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from atm_core import TaskManager
from atm_core.testing import run

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_runs(number, monkeypatch, capsys):
    monkeypatch.setattr(asyncio, "run", run)
    names = {"__name__": "__main__"}
    exec(compile(PROGRAMS[number], "README.md", "exec"), names)
    if "asyncio.run" in PROGRAMS[number]:
        assert capsys.readouterr().out.splitlines() == [f"page {page}" for page in range(10)]
    else:
        assert list(names["manager"].strategies) == ["while_open"]


def test_the_config_is_one(tmp_path):
    path = tmp_path / "atm.toml"
    path.write_text("".join(re.findall(r"```toml\n(.*?)```", README, re.S)), encoding="utf-8")
    assert list(TaskManager.from_config(path, "service").strategies) == ["fixed_window", "concurrent_limit"]
