"""The framework: task managers, tasks, hooks, and the bases of strategies."""

from __future__ import annotations

from atm_core.errors import (
    AmbiguousStrategyError,
    AtmError,
    BrokenStrategyError,
    ConfigError,
    CostTooLargeError,
    HookError,
    ManagerClosedError,
    ManagerStateError,
    NotSettledError,
    PluginError,
    QueueFullError,
    SettingError,
    SettingTypeError,
    TaskRejected,
    UnknownStrategyError,
    WaitCycleError,
    WorkError,
)
from atm_core.hookspecs import hookimpl
from atm_core.manager import TaskManager
from atm_core.outcome import Outcome
from atm_core.report import Explanation, Obstacle
from atm_core.settings import Settings
from atm_core.slots import SlotGate
from atm_core.strategy import BaseStrategy, Gate
from atm_core.task import Task, TaskState, current_task
from atm_core.work import in_thread

__version__ = "1.0.0"

__all__ = [
    "AmbiguousStrategyError",
    "AtmError",
    "BaseStrategy",
    "BrokenStrategyError",
    "ConcurrentLimitStrategy",
    "ConfigError",
    "CostTooLargeError",
    "DelayedStrategy",
    "Explanation",
    "FixedWindowStrategy",
    "Gate",
    "HookError",
    "ManagerClosedError",
    "ManagerStateError",
    "NotSettledError",
    "Obstacle",
    "Outcome",
    "PluginError",
    "QueueFullError",
    "SettingError",
    "SettingTypeError",
    "Settings",
    "SlotGate",
    "Task",
    "TaskManager",
    "TaskRejected",
    "TaskState",
    "UnknownStrategyError",
    "WaitCycleError",
    "WorkError",
    "current_task",
    "hookimpl",
    "in_thread",
]

# Last, since the built-in strategies stand on the names above, as every strategy does.
from atm_plugins import ConcurrentLimitStrategy, DelayedStrategy, FixedWindowStrategy
