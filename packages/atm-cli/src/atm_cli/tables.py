"""Tables and text for people, plain where there is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Sequence

import click

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["print_table", "table"]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> Table:
    """For a terminal: aligned columns, long cells wrapped."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for position, column in enumerate(columns):
        made.add_column(column, style=styles[position] if position < len(styles) else "", overflow="fold")
    for row in rows:
        made.add_row(*[Text(cell) for cell in row])
    return made


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """On stdout: in colours on a terminal, otherwise in columns that tools can cut, never wrapped."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(table(columns, rows, styles))
        return
    lines = [columns, *rows]
    widths = [max(len(line[position]) for line in lines) for position in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
