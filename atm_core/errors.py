"""The exceptions of Async Task Manager.

::

    AtmError
    ├── SettingError (ValueError)            a constructor's parameter is wrong: .parameter .value
    │   └── SettingTypeError (TypeError)     ... is of the wrong type
    ├── ConfigError (ValueError)             a config has mistakes: .problems, all of them
    ├── PluginError (TypeError)              an object cannot be a plugin: which, whose, and the fix
    │   └── BrokenStrategyError              an installed strategy cannot be imported
    ├── UnknownStrategyError (LookupError)   no installed strategy has this name
    ├── AmbiguousStrategyError (LookupError) two distributions offer this name
    ├── HookError                            a hook raised, or answered what it must not
    ├── TaskRejected                         a strategy refuses this task: .retry_after
    │   ├── QueueFullError                   ``max_pending`` tasks wait already
    │   └── CostTooLargeError                the task's cost can never fit
    ├── WorkError (TypeError)                the work cannot be run, or not again
    ├── WaitCycleError                       tasks wait for each other in a circle
    ├── NotSettledError                      a result was asked for before there was one
    └── ManagerStateError (RuntimeError)     the manager cannot do this now
        └── ManagerClosedError               ... nor ever again
"""

from __future__ import annotations

import asyncio
from typing import Any, List, Optional, Sequence

__all__ = [
    "AmbiguousStrategyError",
    "AtmError",
    "BrokenStrategyError",
    "ConfigError",
    "CostTooLargeError",
    "HookError",
    "ManagerClosedError",
    "ManagerStateError",
    "NotSettledError",
    "PluginError",
    "QueueFullError",
    "SettingError",
    "SettingTypeError",
    "TaskRejected",
    "UnknownStrategyError",
    "WaitCycleError",
    "WorkError",
]


class AtmError(Exception):
    """Base of every exception of this library."""


class SettingError(AtmError, ValueError):
    """A constructor's parameter has a value outside its range.

    Args:
        message: What was expected, and what came.
        parameter: The parameter's name, as it stands in the signature.
        value: The value that was refused.
        others: More mistakes of the same call, so that all are told at once; ``problems`` holds this one and them,
            ``message`` what is wrong with this one.
    """

    def __init__(
        self, message: str, parameter: str = "", value: Any = None, others: Sequence[SettingError] = ()
    ) -> None:
        self.message: str = message
        super().__init__("; ".join([message, *(other.message for other in others)]))
        self.parameter = parameter
        self.value = value
        self.problems: List[SettingError] = [self, *others]


class SettingTypeError(SettingError, TypeError):
    """A constructor's parameter has a value of the wrong type."""


class ConfigError(AtmError, ValueError):
    """A config has mistakes; ``problems`` holds one line for each, with file, key, value and what was expected."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class PluginError(AtmError, TypeError):
    """An object cannot be registered; the message names the plugin, its distribution and the fix."""


class BrokenStrategyError(PluginError):
    """An installed strategy cannot be imported; ``__cause__`` says why."""


class UnknownStrategyError(AtmError, LookupError):
    """No installed strategy has this name; ``name`` and ``nearest`` (the closest names that are installed)."""

    def __init__(self, message: str, name: str = "", nearest: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.nearest = list(nearest)


class AmbiguousStrategyError(AtmError, LookupError):
    """Two installed distributions offer a strategy of this name; ``"distribution:name"`` picks one."""


class HookError(AtmError):
    """A plugin's hook raised, or answered what it must not; ``__cause__`` is what it raised.

    Args:
        message: What happened.
        plugin: The name under which the plugin is registered.
        hook: The hook's name.
    """

    def __init__(self, message: str, plugin: str = "", hook: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin
        self.hook = hook


class TaskRejected(AtmError):
    """A strategy refuses a task, at admission or while it waits.

    Args:
        message: Why.
        retry_after: Seconds after which another try makes sense; None if it never does or nobody knows.
    """

    def __init__(self, message: str = "", *, retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(TaskRejected):
    """As many tasks wait already as ``max_pending`` allows."""


class CostTooLargeError(TaskRejected):
    """The task's cost is larger than the strategy's whole capacity, so it could never start."""


class WorkError(AtmError, TypeError):
    """What was handed in as work cannot be run, or cannot be run a second time."""


class WaitCycleError(AtmError):
    """Tasks await each other in a circle; the message names them in order."""


class NotSettledError(AtmError, asyncio.InvalidStateError):
    """The task has no result yet."""


class ManagerStateError(AtmError, RuntimeError):
    """The manager cannot do this in its present state."""


class ManagerClosedError(ManagerStateError):
    """The manager was closed with ``aclose()``: it takes no more tasks."""
