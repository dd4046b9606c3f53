"""Direct hook calls: pluggy is asked once who implements a hook, not at every call.

A call through pluggy costs about 2 microseconds with three implementations, one through bound functions 0.2; and the
hooks of a task are called five times for each task. Only pluggy's public API is used.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

import pluggy

__all__ = ["ARGUMENTS", "HookCalls"]

Function = Callable[..., Any]

#: The arguments of each hook, in the order in which the framework passes them.
ARGUMENTS: Dict[str, Tuple[str, ...]] = {
    "atm_admit": ("manager", "task", "now"),
    "atm_admitted": ("manager", "task", "now"),
    "atm_hold": ("manager", "task", "now"),
    "atm_order": ("task", "now"),
    "atm_lane": ("task",),
    "atm_ready_at": ("task", "now"),
    "atm_started": ("task", "now"),
    "atm_began": ("task", "now"),
    "atm_execute": ("task",),
    "atm_around": ("task",),
    "atm_finished": ("task", "outcome", "now"),
    "atm_again": ("task", "outcome", "now"),
    "atm_settled": ("task", "outcome", "now"),
    "atm_manager_started": ("manager",),
    "atm_manager_stopped": ("manager",),
    "atm_draining": ("manager",),
    "atm_awaited": ("task", "by"),
    "atm_resumed": ("task", "by", "cancelled"),
}


class HookCalls:
    """Who implements what, as it stood when this was made; immutable.

    One attribute a hook, without the prefix ``atm_``: a tuple of functions that take all arguments of the hook in
    the order of its specification, in pluggy's order of calling. ``owners`` names their plugins, position by position.

    Args:
        plugins: The plugin manager to read.
    """

    admit: Tuple[Function, ...]
    admitted: Tuple[Function, ...]
    hold: Tuple[Function, ...]
    order: Tuple[Function, ...]
    lane: Tuple[Function, ...]
    ready_at: Tuple[Function, ...]
    started: Tuple[Function, ...]
    began: Tuple[Function, ...]
    execute: Tuple[Function, ...]
    around: Tuple[Function, ...]
    finished: Tuple[Function, ...]
    again: Tuple[Function, ...]
    settled: Tuple[Function, ...]
    manager_started: Tuple[Function, ...]
    manager_stopped: Tuple[Function, ...]
    draining: Tuple[Function, ...]
    awaited: Tuple[Function, ...]
    resumed: Tuple[Function, ...]

    def __init__(self, plugins: pluggy.PluginManager) -> None:
        self.owners: Dict[str, Tuple[str, ...]] = {}
        holders: Dict[str, List[Any]] = {}
        for hook, arguments in ARGUMENTS.items():
            caller = getattr(plugins.hook, hook)
            implementations = list(reversed(caller.get_hookimpls()))
            if any(one.hookwrapper or getattr(one, "wrapper", False) for one in implementations):
                functions = [_through_pluggy(hook, caller, arguments)]
                names = ["+".join(one.plugin_name for one in implementations)]
                holders[hook] = [None]
            else:
                functions = [_positional(one.function, one.argnames, arguments) for one in implementations]
                names = [one.plugin_name for one in implementations]
                holders[hook] = [one.plugin for one in implementations]
            setattr(self, hook[len("atm_") :], tuple(functions))
            self.owners[hook] = tuple(names)
        #: ``finished`` once more, for when all implementations look at the task alone: no outcome need be made.
        self.finished_plain = _plain(plugins.hook.atm_finished, self.finished)
        #: For each gate, the position of its own answer among the lane's; -1 if it looks at nothing in a task.
        self.lane_of_gate = tuple(_position(gate, holders["atm_lane"]) for gate in holders["atm_ready_at"])
        #: A gate is behind a wrapper: which lanes a finish concerns is not known.
        self.coarse = None in holders["atm_ready_at"] or None in holders["atm_lane"]

    def of(self, hook: str) -> Tuple[Function, ...]:
        """The functions for a hook by its full name."""
        found: Tuple[Function, ...] = getattr(self, hook[len("atm_") :])
        return found


def _position(gate: Any, lanes: Sequence[Any]) -> int:
    return next((at for at, one in enumerate(lanes) if one is gate and gate is not None), -1)


def _plain(caller: Any, functions: Tuple[Function, ...]) -> Tuple[Function, ...]:
    implementations = list(reversed(caller.get_hookimpls()))
    if len(implementations) != len(functions) or any(tuple(one.argnames) != ("task",) for one in implementations):
        return ()
    return tuple(one.function for one in implementations)


def _positional(function: Function, named: Sequence[str], arguments: Tuple[str, ...]) -> Function:
    """``function`` as one that takes all ``arguments``; itself where it does already."""
    picks = tuple(arguments.index(name) for name in named)
    if picks == tuple(range(len(arguments))):
        return function
    first_of = {1: _FIRST_OF_ONE, 2: _FIRST_OF_TWO, 3: _FIRST_OF_THREE}[len(arguments)]
    if picks in first_of:
        return first_of[picks](function)
    return lambda *given: function(*[given[pick] for pick in picks])


# One closure a shape: on the hot path, unpacking a list of arguments would double the cost of a call.
_FIRST_OF_ONE: Dict[Tuple[int, ...], Callable[[Function], Function]] = {
    (): lambda f: lambda a: f(),
}
_FIRST_OF_TWO: Dict[Tuple[int, ...], Callable[[Function], Function]] = {
    (): lambda f: lambda a, b: f(),
    (0,): lambda f: lambda a, b: f(a),
    (1,): lambda f: lambda a, b: f(b),
}
_FIRST_OF_THREE: Dict[Tuple[int, ...], Callable[[Function], Function]] = {
    (): lambda f: lambda a, b, c: f(),
    (0,): lambda f: lambda a, b, c: f(a),
    (1,): lambda f: lambda a, b, c: f(b),
    (0, 1): lambda f: lambda a, b, c: f(a, b),
    (0, 2): lambda f: lambda a, b, c: f(a, c),
    (1, 2): lambda f: lambda a, b, c: f(b, c),
}


def _through_pluggy(hook: str, caller: Any, arguments: Tuple[str, ...]) -> Function:
    """A hook with wrappers, as one function; what several implementations answer is merged as the framework would."""

    def call(*given: Any) -> Any:
        answer = caller(**dict(zip(arguments, given)))
        if not isinstance(answer, list):
            return answer
        if hook == "atm_ready_at":
            return max((one for one in answer if one is not None), default=None)
        if hook in ("atm_order", "atm_lane", "atm_around", "atm_resumed"):
            return tuple(answer) or None
        return None

    return call
