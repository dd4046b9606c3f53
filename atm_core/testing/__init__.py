"""Tools for tests: virtual time, a recorder, and the conformance kit for authors of strategies.

``StrategyConformance`` needs hypothesis, and is meant for pytest: ``pip install async-task-manager[testing]``. The rest
needs neither, so it is loaded only when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atm_core.testing.recorder import Recorder, Row
from atm_core.testing.virtual_time import DeadlockError, RealIOError, VirtualTimeLoop, run

if TYPE_CHECKING:
    from atm_core.testing.conformance import StrategyConformance
    from atm_core.testing.virtual_time import VirtualTimePolicy

__all__ = [
    "DeadlockError",
    "RealIOError",
    "Recorder",
    "Row",
    "StrategyConformance",
    "VirtualTimeLoop",
    "VirtualTimePolicy",
    "run",
]


def __getattr__(name: str) -> Any:
    if name == "StrategyConformance":
        try:
            from atm_core.testing.conformance import StrategyConformance
        except ModuleNotFoundError as error:
            if error.name != "hypothesis":
                raise
            raise ImportError(
                "StrategyConformance needs hypothesis: pip install async-task-manager[testing]"
            ) from error

        return StrategyConformance
    if name == "VirtualTimePolicy":
        from atm_core.testing import virtual_time

        return virtual_time.VirtualTimePolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
