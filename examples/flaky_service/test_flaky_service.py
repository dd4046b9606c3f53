"""The example keeps its word: nothing given up, nothing doubled, a small part of the load."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
from typing import Dict, Tuple

import pytest


@pytest.mark.slow
def test_the_load_before_and_after() -> None:
    command = [sys.executable, str(pathlib.Path(__file__).parent)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    rows: Dict[str, Tuple[float, float]] = {
        name: (float(before), float(after))
        for name, before, after in re.findall(r"^(\S.*?) +([\d.]+) +([\d.]+)$", run.stdout, re.MULTILINE)
    }
    assert rows["readings stored"][1] == 596
    assert rows["stored twice"][1] == rows["given up"][1] == 0
    assert rows["refused for good"][1] == 4
    assert rows["requests"][1] < rows["requests"][0] / 10
    assert rows["most in 0.1 s"][1] <= 5
