"""Run the benchmarks: ``python -m benchmarks [--quick] [--only overhead,rate]``.

Prints a table for each group, and keeps the numbers as JSON, one file a Python version, from which
``python -m benchmarks.report`` writes the tables of README.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Dict

from benchmarks.measure import Size, machine, say
from benchmarks.report import table_text

HERE = Path(__file__).parent
GROUPS = ("overhead", "uneven", "scale", "rate", "stacks", "strategies", "memory", "idle", "startup", "profile")


def versions() -> Dict[str, str]:
    """The peers' versions."""
    found = {}
    for line in (HERE / "requirements.txt").read_text().split("\n"):
        name = line.partition(";")[0].strip()
        if name:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "not installed"
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="next to no tasks: see that everything runs")
    parser.add_argument("--only", help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, help="of each measurement, instead of each one's own number")
    parser.add_argument("--json", type=Path, help="where to keep the numbers; what is there of other groups stays")
    options = parser.parse_args()
    groups = options.only.split(",") if options.only else list(GROUPS)
    if set(groups) - set(GROUPS):
        parser.error(f"--only takes {', '.join(GROUPS)}")
    size = Size(options.quick, options.rounds)
    here = machine()
    path = options.json or (None if options.quick else HERE / "results" / f"{here['python']}.json")
    kept: Dict[str, Any] = {"groups": {}}
    if path is not None and path.exists():
        kept = json.loads(path.read_text())
    kept.update(here, peers=versions(), quick=options.quick)
    for group in groups:
        began = time.perf_counter()
        tables = importlib.import_module(f"benchmarks.{group}").tables(size)
        kept["groups"][group] = [asdict(table) for table in tables]
        for table in kept["groups"][group]:
            print(f"\n{table['name']}\n{table_text([kept], table)}", flush=True)
        say(f"{group} took {time.perf_counter() - began:.0f} s")
        if path is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
