"""Measures ``atm run``: ``python packages/atm-cli/scripts/speed.py``."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path

from atm_cli.main import main as atm

INPUTS = 20_000


def main() -> None:
    """Print a table of inputs a second."""
    variants = [
        ("output only", []),
        ("output and journal", ["--journal", "run.sqlite"]),
        ("--ordered, output and journal", ["--ordered", "--journal", "ordered.sqlite"]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("jobs.py").write_text("async def nothing(text):\n    return text\n")
        Path("in.txt").write_text("".join(f"https://shop.example/{number}\n" for number in range(INPUTS)))
        for name, options in variants:
            command = ["run", "jobs.py:nothing", "-i", "in.txt", "-o", f"{name}.jsonl", "--json", *options]
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                code = atm([*command, "--strategy", "concurrent_limit:max_concurrent=20,key=host"])
            assert code == 0
            print(f"{name:<32}{INPUTS / json.loads(out.getvalue())['seconds']:8,.0f} inputs/s")
        os.chdir("/")


if __name__ == "__main__":
    main()
