"""Every example runs; the package among them installs and is found by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
EXPECTED = {
    "quick_start.py": "done: 12",
    "crawl.py": "most at once by host: {'a.test': 2, 'b.test': 2, 'c.test': 2}",
    "by_config.py": "unknown key 'max_concurent': did you mean 'max_concurrent'?",
    "custom_strategy.py": "0.01 s\n0.02 s\n0.03 s",
    "hookimpl_plugin.py": "door: the door is closed",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_example_runs(name):
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert EXPECTED[name] in done.stdout


@pytest.mark.slow
def test_the_package_installs_and_is_found_by_name(tmp_path):
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(tmp_path), str(EXAMPLES / "atm-only-even")], check=True)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from atm_core import TaskManager\n"
        "m = TaskManager('only_even')\n"
        "async def w(): pass\n"
        "m.add_task(w, {'number': 2})\n"
        "try: m.add_task(w, {'number': 3})\n"
        "except Exception as e: print(e)\n"
        "m._scheduler.drop_pending()\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert "has an odd number" in done.stdout
