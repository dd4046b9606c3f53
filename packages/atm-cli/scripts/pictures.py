"""Draws the pictures of docs/cli.md: ``python packages/atm-cli/scripts/pictures.py docs/pictures``.

The bar and the table are drawn by the code that draws them for users, from made-up figures; the charts are of real
simulations, which need atm-retry, atm-circuit-breaker and matplotlib.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, List

from atm_cli.commands.strategies import COLUMNS, STYLES, State, rows
from atm_cli.main import main as atm
from atm_cli.running.progress import Snapshot, render
from atm_cli.tables import table
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from atm_core.discovery import Installed

CONFIG = """
[shop]
strategies = [
  { name = "fixed_window", max_requests = 300, window_seconds = 5 },
  { name = "concurrent_limit", max_concurrent = 20 },
  { name = "retry", max_attempts = 4 },
  { name = "circuit_breaker", open_seconds = 10, when_open = "wait" },
]
"""
SIMULATE = ["simulate", "shop.toml", "--failure", "0.05", "--outage", "60s-90s"]
RUN = (
    "atm run crawl.py:fetch --input urls.txt --output results.jsonl --journal run.sqlite \\\n"
    "    --strategy concurrent_limit:max_concurrent=20,key=host --strategy retry:max_attempts=5"
)
_SLOTS = "concurrent_limit: 20 of 20 slots for 'shop.example' are taken"
_BEFORE = "fixed_window: the starts of the run before this one count for another 3.2 s"
MOMENTS = [
    Snapshot("running", 6412, 10000, True, 20, 980, 3, 0, _SLOTS, 241.3, 14.9, 26.6),
    Snapshot("resuming", 6530, 10000, True, 0, 0, 3, 6530, _BEFORE, 0.0, None, 0.4),
    Snapshot("draining", 8121, 10000, True, 7, 0, 4, 6530, "", 238.8, 7.9, 10.1),
]
# Without the fonts that the format would fetch from the net.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main(folder: str) -> None:
    """Write all pictures into ``folder``."""
    target = Path(folder).resolve()
    target.mkdir(parents=True, exist_ok=True)
    screen(target / "run.svg", "atm run", 112, _run)
    screen(target / "strategies.svg", "atm strategies", 96, _strategies)
    with tempfile.TemporaryDirectory() as name, _inside(name):
        Path("shop.toml").write_text(CONFIG)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            code = atm([*SIMULATE, "--plot", str(target / "simulate-chart.svg")])
        if code:
            raise SystemExit(f"the simulation ended with {code}")
    screen(target / "simulate.svg", "atm simulate", 118, lambda console: _simulate(console, out.getvalue()))


def screen(path: Path, title: str, width: int, show: Callable[[Console], Any]) -> None:
    """What ``show`` prints on a console, as an SVG of a terminal."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    show(console)
    text = console.export_svg(title=title, code_format=_FORMAT, unique_id=path.stem)
    path.write_text(
        text.replace("Fira Code, monospace", "monospace").replace("Fira Code", "monospace"), encoding="utf-8"
    )


def _run(console: Console) -> None:
    console.print(Text(f"$ {RUN}", style="dim"))
    for moment in MOMENTS:
        console.print(render(moment, console.width))
        console.print()
    end = "atm: interrupted: 1598 done (1 failed), 6530 before (3 failed), 10.4 s, 153.7/s; what is finished is kept, "
    console.print(Text(f"{end}\nthe same command goes on"))


def _strategies(console: Console) -> None:
    console.print(Text("$ atm strategies", style="dim"))
    core = "async-task-manager"
    found: List[State] = [State(Installed("circuit_breaker", "", "atm-circuit-breaker", "1.0.0"), "available", "")]
    found += [State(Installed(name, "", core, "1.0.0"), "available", "") for name in ("concurrent_limit", "delayed")]
    found += [State(Installed("fixed_window", "", core, "1.0.0"), "available", "")]
    found += [State(Installed("per_tenant", "", "our-rules", "0.3"), "broken", "No module named 'our_tenants'")]
    found += [State(Installed("retry", "", "atm-retry", "1.0.0"), "available", "")]
    console.print(table(COLUMNS, rows(found), STYLES))


def _simulate(console: Console, text: str) -> None:
    console.print(Text("$ atm " + " ".join(SIMULATE), style="dim"))
    console.print(Text(text.rstrip()), no_wrap=True, crop=True)


@contextlib.contextmanager
def _inside(folder: str) -> Any:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
