"""Install each built archive in an empty environment and run the first program there: ``check_build.py DIST_DIR``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PROGRAM = """
import asyncio
from async_task_manager import TaskManager
from async_task_manager.strategies.concurrent_limit import ConcurrentLimitStrategy
from atm_core.discovery import installed_strategies

async def job(i):
    await asyncio.sleep(0.01)
    return i

async def main():
    manager = TaskManager(ConcurrentLimitStrategy(max_concurrent=3), poll_interval=0.2)
    tasks = [manager.add_task(job(i)) for i in range(8)]
    await manager.idle()
    assert [await task for task in tasks] == list(range(8))
    await manager.stop()

asyncio.run(main())
assert [one.name for one in installed_strategies()] == ["concurrent_limit", "delayed", "fixed_window"]
"""

for archive in sorted(Path(sys.argv[1]).iterdir()):
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        python = str(Path(directory) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", str(archive)], check=True)
        subprocess.run([python, "-c", PROGRAM], check=True, cwd=directory)
    print(f"{archive.name}: installs and runs")
