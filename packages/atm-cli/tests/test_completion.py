"""Tab completion."""

from __future__ import annotations

from typing import Any, List

import pytest


@pytest.mark.parametrize(
    "words, offered",
    [
        ("atm r", ["run"]),
        ("atm strategies show conc", ["concurrent_limit"]),
        ("atm run jobs.py:shout -s fix", ["fixed_window"]),
        ("atm run jobs.py:shout -s fixed_window:ma", ["fixed_window:max_requests="]),
        ("atm run jobs.py:shout -s fixed_window:max_requests=1,a", ["fixed_window:max_requests=1,align="]),
        ("atm run jobs.py:shout -s nothing:", []),
        ("atm run jobs.py:shout -c atm.toml -p t", ["twitter"]),
        ("atm run jobs.py:shout -c broken.toml -p t", []),
        ("atm run jobs.py:shout -p t", []),
        ("atm check atm.json -p m", ["mine"]),
        ("atm simulate pyproject.toml -p ", ["inner"]),
    ],
)
def test_completion(atm: Any, write: Any, monkeypatch: Any, words: str, offered: List[str]) -> None:
    """Commands, strategies, their parameters, the profiles of the config that stands on the line."""
    write("atm.toml", "[twitter]\n[other]\n")
    write("atm.json", '{"mine": {}}')
    write("broken.toml", "[")
    write("pyproject.toml", "[tool.atm.inner]\n")
    monkeypatch.setenv("_ATM_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    done = atm()
    assert [line.partition(",")[2] for line in done.out.split()] == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(atm: Any, shell: str) -> None:
    """A script for each shell that click knows."""
    assert "_ATM_COMPLETE" in atm("completion", shell).out
