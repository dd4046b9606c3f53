"""Registration: what may become a plugin, and the mistakes that pluggy would accept in silence."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Optional, Tuple

import pluggy

from atm_core.calls import ARGUMENTS
from atm_core.compat import distributions
from atm_core.errors import PluginError
from atm_core.hookspecs import SPECS
from atm_core.settings import nearest

__all__ = ["has_hooks", "make_plugin_manager", "register"]

_MAY_BE_ASYNC = ("atm_manager_started", "atm_manager_stopped")


class _Plugins(pluggy.PluginManager):
    """pluggy looks at every attribute of every plugin with great care; most can be seen not to be hooks."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if _may_be_hook(plugin, name) else None

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return super().parse_hookspec_opts(module_or_class, name) if name.startswith("atm_") else None


def make_plugin_manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks; each task manager has one of its own."""
    plugins = _Plugins("atm")
    for phase in SPECS:
        plugins.add_hookspecs(phase)
    return plugins


def has_hooks(plugins: pluggy.PluginManager, plugin: Any) -> bool:
    """Whether ``plugin`` implements any hook, or looks as if it meant to."""
    return any(True for _ in _candidates(plugins, plugin))


def register(plugins: pluggy.PluginManager, plugin: Any, name: Optional[str] = None) -> str:
    """Register ``plugin`` after checking everything that can be checked; nothing is left half registered.

    Args:
        plugins: Where to register.
        plugin: An object (or module) with ``@hookimpl`` functions.
        name: Its name; by default its ``name`` attribute or that of its class. A name that is taken gets ``#2``.

    Returns:
        The name under which it stands.

    Raises:
        PluginError: Naming the plugin, its distribution, and the fix.
    """
    if inspect.isclass(plugin):
        raise _error(plugin, f"{plugin.__name__} is a class: register an instance, {plugin.__name__}(...)")
    if plugins.is_registered(plugin):
        raise _error(plugin, "it is registered already; make a second instance")
    found = list(_candidates(plugins, plugin))
    if not found:
        raise _error(plugin, "it implements no hook: decorate its atm_* methods with @atm_core.hookimpl")
    for attribute, hook, function, wraps in found:
        _check(plugin, attribute, hook, function, wraps)
    base = name or getattr(plugin, "__name__", None) or _snake(type(plugin).__name__)
    unique, n = base, 1
    while plugins.has_plugin(unique):
        n += 1
        unique = f"{base}#{n}"
    plugins.register(plugin, unique)
    return unique


def _candidates(plugins: pluggy.PluginManager, plugin: Any) -> Iterator[Tuple[str, Optional[str], Any, bool]]:
    """What is a hook implementation, or looks like one: attribute, hook (None: unmarked), function, wraps."""
    for attribute in dir(plugin):
        if not _may_be_hook(plugin, attribute):
            continue
        function = getattr(plugin, attribute, None)
        if not inspect.isroutine(function):
            continue
        options = plugins.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            wraps = bool(options.get("hookwrapper") or options.get("wrapper"))
            yield attribute, options.get("specname") or attribute, function, wraps
        elif attribute.startswith("atm_"):
            yield attribute, None, function, False


def _may_be_hook(plugin: Any, name: str) -> bool:
    """Whether an attribute is called like a hook, or bears a mark as ``@hookimpl`` leaves one; runs no property."""
    if name.startswith("atm_"):
        return True
    if name.startswith("__"):
        return False
    own = getattr(plugin, "__dict__", {})
    return bool(getattr(own[name] if name in own else getattr(type(plugin), name, None), "__dict__", None))


def _check(plugin: Any, attribute: str, hook: Optional[str], function: Any, wraps: bool) -> None:
    if (hook or attribute) not in ARGUMENTS:
        near = nearest(hook or attribute, list(ARGUMENTS))
        meant = f"; did you mean {near[0]}?" if near else ""
        raise _error(plugin, f"there is no hook {hook or attribute}{meant}")
    if hook is None:
        raise _error(plugin, f"{attribute} is not marked: decorate it with @atm_core.hookimpl")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise _error(plugin, f"{attribute} takes *{parameter.name}: name the arguments it needs")
        if parameter.default is not parameter.empty:
            raise _error(
                plugin, f"{attribute}'s argument {parameter.name} has a default, so it would never be passed: remove it"
            )
        if parameter.name not in ARGUMENTS[hook]:
            offered = ", ".join(ARGUMENTS[hook])
            raise _error(plugin, f"{attribute} has no argument {parameter.name}: it may name {offered}")
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if asynchronous and hook not in _MAY_BE_ASYNC:
        raise _error(plugin, f"{attribute} is called synchronously: make it a plain def")
    if inspect.isgeneratorfunction(function) and not wraps:
        raise _error(plugin, f"{attribute} contains yield: remove it, or mark it @hookimpl(wrapper=True)")


def _error(plugin: Any, what: str) -> PluginError:
    kind = plugin if inspect.isclass(plugin) or inspect.ismodule(plugin) else type(plugin)
    return PluginError(f"plugin {getattr(kind, '__qualname__', kind.__name__)} of {_distribution(kind)}: {what}")


def _distribution(kind: Any) -> str:
    """The distribution that offers this plugin through an entry point, or its module."""
    module = str(getattr(kind, "__module__", getattr(kind, "__name__", "")))
    top = module.partition(".")[0]
    for distribution in distributions():
        for point in distribution.entry_points:
            if point.group.startswith("atm.") and point.value.partition(":")[0].partition(".")[0] == top:
                return f"distribution {distribution.metadata['Name']}"
    return f"module {module}"


def _snake(name: str) -> str:
    """``ConcurrentLimitStrategy`` -> ``concurrent_limit``, the name under which it would be installed."""
    name = name[: -len("Strategy")] if name.endswith("Strategy") and name != "Strategy" else name
    return "".join(
        "_" + c.lower() if c.isupper() and i and not name[i - 1].isupper() else c.lower() for i, c in enumerate(name)
    )
