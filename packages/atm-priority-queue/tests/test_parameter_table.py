"""The README's table of parameters is complete and has the defaults."""

from __future__ import annotations

import inspect
from pathlib import Path

from atm_priority_queue import PriorityQueueStrategy

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_every_parameter_is_in_the_table_with_its_default() -> None:
    for parameter in inspect.signature(PriorityQueueStrategy).parameters.values():
        default = (
            str(parameter.default).replace("'", '"')
            if isinstance(parameter.default, tuple)
            else repr(parameter.default).replace("'", '"')
        )
        assert f"| `{parameter.name}` | `{default}` |" in README
