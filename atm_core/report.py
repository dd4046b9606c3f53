"""Answers: why a task waits, and how many are where."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from atm_core.errors import TaskRejected
from atm_core.four_methods import FourMethods
from atm_core.task import PENDING, RUNNING

if TYPE_CHECKING:
    import pluggy

    from atm_core.manager import TaskManager
    from atm_core.scheduler import Scheduler
    from atm_core.task import Task

__all__ = ["Explanation", "Obstacle", "explain", "stats"]


class Obstacle(NamedTuple):
    """A strategy that lets a task wait: its name, why in words, until when (``loop.time()``; infinite: an event)."""

    strategy: str
    reason: str
    until: float


class Explanation(NamedTuple):
    """Why a task waits; ``str()`` of it is a sentence.

    ``state`` is the task's; ``obstacles`` the strategies in its way; ``ahead`` the number of tasks before it in its
    lane, whose first one then is the one held up by the obstacles; ``until`` the earliest time of a start.
    """

    state: str
    obstacles: List[Obstacle]
    ahead: int
    until: Optional[float]
    text: str

    @property
    def strategy(self) -> Optional[str]:
        """The strategy that holds it; None if none does."""
        return self.obstacles[0].strategy if self.obstacles else None

    @property
    def reason(self) -> Optional[str]:
        """Why, in that strategy's words."""
        return self.obstacles[0].reason if self.obstacles else None

    def __str__(self) -> str:
        return self.text


def explain(manager: TaskManager, scheduler: Scheduler, plugins: pluggy.PluginManager, task: Task[Any]) -> Explanation:
    """See ``TaskManager.explain``."""
    name, state = repr(task), task.state.value
    if task.state is RUNNING:
        others = ", ".join(map(repr, scheduler.waits.waiting(task)))
        return Explanation(state, [], 0, None, f"{name} runs" + (f" and waits for {others}" if others else ""))
    if task.state is not PENDING:
        return Explanation(state, [], 0, None, f"{name} is settled")
    now = scheduler.clock()
    if task._origin is None or task._origin.scheduler is not scheduler:
        return Explanation(state, [], 0, None, f"{name} is not in this manager")
    if task in scheduler.held:
        holder = scheduler.calls.owners["atm_hold"][scheduler.held[task]]
        obstacle = Obstacle(holder, _words(plugins.get_plugin(holder), task, now, "it holds the task"), math.inf)
        return _sentence(manager, scheduler, name, state, [obstacle], 0, now)
    if task in scheduler.sleepers.until:
        owner = scheduler.sleepers.by.get(task, "")
        words = _words(plugins.get_plugin(owner), task, now, "it is not to start yet")
        obstacle = Obstacle(owner, words, scheduler.sleepers.until[task])
        return _sentence(manager, scheduler, name, state, [obstacle], 0, now)
    ahead = scheduler.board.ahead(task)
    obstacles = _obstacles(scheduler, plugins, ahead[0] if ahead else task, now)
    return _sentence(manager, scheduler, name, state, obstacles, len(ahead), now)


def _obstacles(scheduler: Scheduler, plugins: pluggy.PluginManager, task: Task[Any], now: float) -> List[Obstacle]:
    found = []
    for owner, ready_at in zip(scheduler.calls.owners["atm_ready_at"], scheduler.calls.ready_at):
        try:
            at = ready_at(task, now)
        except TaskRejected as error:
            found.append(Obstacle(owner, f"it is about to be refused: {error}", now))
            continue
        except Exception as error:
            found.append(Obstacle(owner, f"its atm_ready_at raises {error!r}", now))
            continue
        if at is not None and at > now:
            found.append(Obstacle(owner, _words(plugins.get_plugin(owner), task, now, "its limit is reached"), at))
    return sorted(found, key=lambda one: -one.until)


def _words(plugin: Any, task: Task[Any], now: float, default: str) -> str:
    words = getattr(_strategy(plugin), "explain", None)
    try:
        return str(words(task, now)) if callable(words) else default
    except Exception as error:
        return f"{default} (its explain raises {error!r})"


def _strategy(plugin: Any) -> Any:
    return plugin.strategy if isinstance(plugin, FourMethods) else plugin


def _sentence(
    manager: TaskManager, scheduler: Scheduler, name: str, state: str, obstacles: List[Obstacle], ahead: int, now: float
) -> Explanation:
    until = max((one.until for one in obstacles), default=now)
    parts = []
    if not manager.running:
        parts.append("the manager is not started")
    elif not scheduler.starting:
        parts.append("the manager is being stopped")
    elif scheduler.paused:
        parts.append("the manager is paused")
    for one in obstacles:
        when = "until something finishes" if one.until == math.inf else f"for another {one.until - now:.3f} s"
        parts.append(f"{one.strategy}: {one.reason} ({when})" if one.strategy else f"{one.reason} ({when})")
    if ahead:
        parts.append(f"{ahead} task{'s' if ahead > 1 else ''} before it in its lane")
    if not parts:
        parts.append("its turn comes at once")
    return Explanation(state, obstacles, ahead, until, f"{name} waits: " + "; ".join(parts))


def stats(manager: TaskManager, scheduler: Scheduler, plugins: pluggy.PluginManager) -> Dict[str, Any]:
    """See ``TaskManager.stats``."""
    own: Dict[str, Any] = {}
    for name, plugin in plugins.list_name_plugin():
        figures = getattr(_strategy(plugin), "stats", None)
        try:
            own[name] = figures() if callable(figures) else {}
        except Exception as error:
            own[name] = {"error": repr(error)}
    settled = scheduler.succeeded + scheduler.failed + scheduler.cancelled
    return {
        "name": manager.name,
        "running_manager": manager.running,
        "paused": scheduler.paused,
        "added": scheduler.open + settled,
        "pending": scheduler.waiting,
        "running": scheduler.busy_with,
        "held": len(scheduler.held),
        "asleep": len(scheduler.sleepers.until),
        "succeeded": scheduler.succeeded,
        "failed": scheduler.failed,
        "cancelled": scheduler.cancelled,
        "rejected": scheduler.rejected,
        "attempts": scheduler.attempts,
        "waits": dict(zip(scheduler.calls.owners["atm_ready_at"], scheduler.board.waits)),
        "strategies": own,
    }
