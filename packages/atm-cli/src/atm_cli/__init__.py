"""The ``atm`` command: run, check and simulate under the strategies of Async Task Manager."""

from __future__ import annotations

__version__ = "1.0.0"

__all__ = ["__version__"]
