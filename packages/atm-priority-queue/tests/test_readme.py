"""The README's program runs, and prints what stands below it; its table of parameters is complete."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from pathlib import Path
from typing import Any, Dict

from atm_priority_queue import PriorityQueueStrategy

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_the_program_prints_what_the_readme_says() -> None:
    """The block after the program is its output."""
    program, output = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL)[0]
    printed = io.StringIO()
    names: Dict[str, Any] = {"__name__": "readme"}
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "README.md", "exec"), names)
    assert printed.getvalue() == output


def test_every_parameter_is_in_the_table() -> None:
    """With its default."""
    for parameter in inspect.signature(PriorityQueueStrategy).parameters.values():
        default = (
            str(parameter.default).replace("'", '"')
            if isinstance(parameter.default, tuple)
            else repr(parameter.default).replace("'", '"')
        )
        assert f"| `{parameter.name}` | `{default}` |" in README
