"""Write what was measured into README.md, and draw the chart: ``python -m benchmarks.report``.

Reads every file in ``results/``, one a Python version. Each cell of a table shows the versions side by side.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from benchmarks import goals
from benchmarks.measure import gain

__all__ = ["table_text", "write"]

HERE = Path(__file__).parent
NONE = "-"


def _find(kept: Dict[str, Any], name: str) -> Optional[Dict[str, Any]]:
    """A table by name, in what one Python measured."""
    for tables in kept["groups"].values():
        for table in tables:
            if table["name"] == name:
                return table  # type: ignore[no-any-return]
    return None


def _value(table: Dict[str, Any], row: str, column: str) -> Any:
    """A cell's number, as a ratio where the table shows these; its reason in words; or None."""
    value = table["rows"].get(row, {"cells": {}})["cells"].get(column)
    if table["ratio_to"] is None or not isinstance(value, (int, float)):
        return value
    return gain(value, table["rows"][table["ratio_to"]]["cells"].get(column))


def _cell(tables: Sequence[Dict[str, Any]], row: str, column: Dict[str, Any]) -> str:
    values = [_value(table, row, column["name"]) for table in tables]
    if all(isinstance(value, str) for value in values):
        return " / ".join(dict.fromkeys(values))
    shown = [format(value, column["show"]) if isinstance(value, (int, float)) else NONE for value in values]
    return " / ".join(shown)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def table_text(results: Sequence[Dict[str, Any]], table: Dict[str, Any]) -> str:
    """One table as Markdown, with all the Pythons in ``results`` in each cell."""
    tables = [found for found in (_find(kept, table["name"]) for kept in results) if found is not None] or [table]
    columns: List[Dict[str, Any]] = table["columns"]
    names = list(dict.fromkeys(row for one in tables for row in one["rows"]))
    rows = []
    for name in names:
        entry = next(one["rows"][name] for one in tables if name in one["rows"])
        label = f"**{name}**" if entry["ours"] else name
        cells = [_cell(tables, name, column) for column in columns]
        if len(set(cells)) == 1 and not any(letter.isdigit() for letter in cells[0][:1]):  # the same reason everywhere
            cells[1:] = [""] * (len(cells) - 1)
        rows.append([label.replace("|", "\\|"), *cells])
    return _markdown(["", *(column["name"] for column in columns)], rows)


def _is_better(value: Any, than: Any, column: Dict[str, Any]) -> bool:
    better = column["better"]
    if not isinstance(value, (int, float)) or not isinstance(than, (int, float)) or better is None:
        return False
    if abs(value - than) <= column.get("slack", 0.0):
        return False
    return value < than * 0.98 if better == "lower" else value > than * 1.02


def beaten_by(results: Sequence[Dict[str, Any]], name: str) -> str:
    """For each row that is ahead of our first one somewhere: where, and what it leaves out."""
    tables = [found for found in (_find(kept, name) for kept in results) if found is not None]
    if not tables:
        return ""
    if tables[0]["first"] is None:
        noted = [(row, entry["note"]) for row, entry in tables[0]["rows"].items() if entry["note"]]
        return "\n".join(f"- {row}: {note}." for row, note in noted)
    lines = []
    for row, entry in tables[0]["rows"].items():
        ahead = []
        for column in tables[0]["columns"]:
            for table in tables:
                mine = _value(table, table["first"], column["name"])
                if _is_better(_value(table, row, column["name"]), mine, column):
                    ahead.append(column["name"])
                    break
        if ahead and not entry["ours"]:
            where = "everywhere" if len(ahead) == len(tables[0]["columns"]) > 1 else "; ".join(ahead)
            lines.append(f"- {row} ({where}): {entry['note'] or 'it is ahead'}.")
    if not lines:
        return f"`{tables[0]['first']}` is first in every column."
    return f"Ahead of `{tables[0]['first']}`, by more than 2%:\n\n" + "\n".join(lines)


def _scale_of(results: Sequence[Dict[str, Any]], name: str) -> str:
    """What 1.00 stands for."""
    said = []
    for kept in results:
        table = _find(kept, name)
        if table is None or table["ratio_to"] is None:
            continue
        cells = table["rows"][table["ratio_to"]]["cells"]
        numbers = [f"{cells[column['name']]:.1f}" for column in table["columns"] if column["name"] in cells]
        said.append(f"{', '.join(numbers)} µs on {kept['python']}")
    return f"1.00 is {' and '.join(said)}." if said else ""


def group_text(results: Sequence[Dict[str, Any]], group: str) -> str:
    """All tables of a group, with what beats us below each."""
    tables = [table for kept in results[:1] for table in kept["groups"].get(group, [])]
    parts = []
    for table in tables:
        parts.append(f"{table['name'][0].upper()}{table['name'][1:]}. {_scale_of(results, table['name'])}".strip())
        parts.append(table_text(results, table))
        parts.append(beaten_by(results, table["name"]))
    return "\n\n".join(part for part in parts if part)


RUNGS = (
    "the coroutine",
    "a handle, a queue",
    "an asyncio task of its own",
    "a copy of the context",
    "the manager: states, checks, turns",
    "the strategy",
)


def costs_text(results: Sequence[Dict[str, Any]]) -> str:
    """What each rung of the profile's ladder adds, as a share of the whole, the dearest first."""
    shares: Dict[str, List[str]] = {name: [] for name in (*RUNGS, "the garbage collector")}
    weight = dict.fromkeys(shares, 0.0)
    for kept in results:
        ladder = _find(kept, "profile, ladder")
        if ladder is None:
            return ""
        cells = [row["cells"] for row in ladder["rows"].values()]
        off = [cell["µs, collector off"] for cell in cells]
        whole = cells[-1]["µs"]
        parts = dict(zip(RUNGS, [off[0], *(after - before for before, after in zip(off, off[1:]))]))
        parts["the garbage collector"] = whole - off[-1]
        for name, part in parts.items():
            shares[name].append(f"{part:.2f} µs, {part / whole:.0%}")
            weight[name] += part / whole
    ordered = sorted(shares, key=lambda name: -weight[name])
    return _markdown(["", *(kept["python"] for kept in results)], [[name, *shares[name]] for name in ordered])


def goals_text(results: Sequence[Dict[str, Any]]) -> str:
    """The goals and what was measured."""
    head = [""]
    for kept in results:
        short = ".".join(kept["python"].split(".")[:2])
        head += [f"goal {short}", f"measured {short}"]
    rows = []
    for goal in goals.GOALS:
        row = [goal.name]
        for kept in results:
            most, found = goal.most(kept["python"]), goal.measured(kept)
            missed = found is not None and not goal.met(kept["python"], found)
            shown = NONE if found is None else format(found, goal.show)
            row += [f"{goal.sign} {most:g}", f"{shown} (missed)" if missed else shown]
        rows.append(row)
    return _markdown(head, rows)


def about_text(results: Sequence[Dict[str, Any]]) -> str:
    """What was measured with."""
    peers = ", ".join(f"{name} {version}" for name, version in results[-1]["peers"].items() if name != "matplotlib")
    pythons = " and ".join(kept["python"] for kept in results)
    cores = results[-1]["cores"]
    return f"Python {pythons}, in that order in each cell; {cores} cores, {results[-1]['system']}. Peers: {peers}."


def write(results: Sequence[Dict[str, Any]], readme: Path) -> None:
    """Replace what stands between the markers."""
    text = readme.read_text(encoding="utf-8")
    groups = dict.fromkeys(group for kept in results for group in kept["groups"])
    sections = {"goals": goals_text(results), "about": about_text(results), "costs": costs_text(results)}
    sections.update({group: group_text(results, group) for group in groups})
    for name, section in sections.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{readme} has no place for {name}: it needs {begin} and {end}")
        block = f"{begin}\n\n{section}\n\n{end}"
        text = pattern.sub(lambda _, block=block: block, text)  # type: ignore[misc]
    readme.write_text(text, encoding="utf-8")


def load(directory: Path) -> List[Dict[str, Any]]:
    """What was measured, the oldest Python first; what was only tried does not count."""
    found = [json.loads(path.read_text()) for path in directory.glob("*.json")]
    full = [kept for kept in found if not kept["quick"]]
    return sorted(full, key=lambda kept: [int(part) for part in re.findall(r"\d+", kept["python"])])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--no-chart", action="store_true")
    options = parser.parse_args()
    results = load(options.results)
    if not results:
        raise SystemExit(f"no results in {options.results}: run python -m benchmarks first")
    write(results, HERE / "README.md")
    if not options.no_chart:
        from benchmarks import chart

        chart.draw(results, HERE / "scaling.svg")


if __name__ == "__main__":
    main()
