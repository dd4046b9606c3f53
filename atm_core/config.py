"""Configs: strategies chosen by name in TOML, JSON or a dict, with every mistake told at once.

::

    [twitter]
    max_pending = 10000
    strategies = [
      { name = "fixed_window", max_requests = 300, window_seconds = 900 },
      { name = "concurrent_limit", max_concurrent = 5, key = "host" },
    ]
"""

from __future__ import annotations

import inspect
import json
import os
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Type, Union

from atm_core.compat import load_toml
from atm_core.discovery import find_strategy
from atm_core.errors import AtmError, ConfigError, SettingError
from atm_core.plugins import has_hooks, make_plugin_manager
from atm_core.settings import nearest

if TYPE_CHECKING:
    from atm_core.manager import TaskManager

__all__ = ["Profile", "load", "profiles"]

_MANAGER = ("max_pending", "name", "poll_interval", "strategies")


class Profile(NamedTuple):
    """One manager as a config describes it, checked.

    ``where`` says where it stands; ``strategies`` holds a class or instance, its options and its place for each.
    """

    name: str
    where: str
    options: Dict[str, Any]
    strategies: List[Tuple[str, Any, Dict[str, Any]]]

    def build(self, manager: Type[TaskManager]) -> TaskManager:
        """The manager, with new instances of its strategies.

        Raises:
            ConfigError: With everything that they find wrong with their settings.
        """
        built, problems = _made(self.strategies)
        options = {key: value for key, value in self.options.items() if key != "strategies"}
        try:
            made = manager(built if not problems else None, **{"name": self.name, **options})
        except SettingError as error:
            problems.extend(f"{self.where}: {one.message}" for one in error.problems)
        if problems:
            raise ConfigError(problems)
        return made


def load(config: Union[str, os.PathLike[str], Mapping[str, Any]], profile: Optional[str] = None) -> Profile:
    """One profile of a config; see ``TaskManager.from_config``.

    Raises:
        ConfigError: With every mistake that can be seen without making the strategies.
    """
    source, tables = _tables(config)
    if profile is None:
        if len(tables) != 1:
            raise ConfigError(
                [f"{source}: holds {len(tables)} profiles ({', '.join(tables) or 'none'}): say which one"]
            )
        profile = next(iter(tables))
    if profile not in tables:
        near = nearest(profile, list(tables))
        meant = f": did you mean {near[0]!r}?" if near else ""
        raise ConfigError([f"{source}: no profile {profile!r}{meant} (there are {', '.join(tables) or 'none'})"])
    return _profile(source, profile, tables[profile])


def profiles(config: Union[str, os.PathLike[str], Mapping[str, Any]]) -> List[str]:
    """The names of a config's profiles.

    Raises:
        ConfigError: It cannot be read.
    """
    return list(_tables(config)[1])


def _tables(config: Any) -> Tuple[str, Dict[str, Any]]:
    if isinstance(config, Mapping):
        # A single profile may be given as it is.
        return "config", {"config": dict(config)} if "strategies" in config else dict(config)
    if not isinstance(config, (str, os.PathLike)):
        raise ConfigError([f"a config is a file or a dict, got {config!r}"])
    path = os.fspath(config)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8: {error}"]) from error
    try:
        data = json.loads(text) if path.endswith(".json") else load_toml(text)
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from error
    if os.path.basename(path) == "pyproject.toml":
        tool = data.get("tool")
        data = tool.get("atm", {}) if isinstance(tool, dict) else {}
        path += " [tool.atm]"
    if not isinstance(data, dict):
        raise ConfigError([f"{path}: must hold profiles, not a {type(data).__name__}"])
    return path, {path: data} if "strategies" in data and not isinstance(data["strategies"], dict) else data


def _profile(source: str, name: str, table: Any) -> Profile:
    where = source if name == source or name == "config" else f"{source} [{name}]"
    problems: List[str] = []
    strategies: List[Tuple[str, Any, Dict[str, Any]]] = []
    if not isinstance(table, Mapping):
        raise ConfigError([f"{where}: a profile is a table, got {table!r}"])
    for key in table:
        if key not in _MANAGER:
            problems.append(
                f"{where}: unknown key {key!r}{_meant(key, _MANAGER)}; a profile takes {', '.join(_MANAGER)}"
            )
    listed = table.get("strategies", [])
    if not isinstance(listed, (list, tuple)):
        problems.append(f"{where}: strategies must be a list, got {listed!r}")
        listed = []
    for position, entry in enumerate(listed):
        place = f"{where} strategies[{position}]"
        found = _strategy(place, entry, problems)
        if found is not None:
            strategies.append(found)
    if problems:
        # What the strategies themselves find wrong belongs to the same answer.
        problems.extend(_made(strategies)[1])
        raise ConfigError(problems)
    default = os.path.splitext(os.path.basename(source.partition(" [")[0]))[0] if name == source else name
    return Profile(default, where, {key: value for key, value in table.items() if key != "strategies"}, strategies)


def _strategy(place: str, entry: Any, problems: List[str]) -> Optional[Tuple[str, Any, Dict[str, Any]]]:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping):
        problems.append(f"{place}: a strategy is a table with a name, got {entry!r}")
        return None
    options = {key: value for key, value in entry.items() if key != "name"}
    name = entry.get("name")
    if not isinstance(name, str):
        problems.append(f"{place}: name must be a strategy's name, got {name!r}")
        return None
    place = f"{place} ({name})"
    try:
        found = find_strategy(name)
    except AtmError as error:
        problems.append(f"{place}: {error}")
        return None
    if not callable(found):
        if options:
            problems.append(f"{place}: is an object already and takes no {', '.join(options)}")
        return place, found, {}
    wrong = _misfits(place, found, options)
    problems.extend(wrong)
    return None if wrong else (place, found, options)


def _misfits(place: str, found: Any, options: Dict[str, Any]) -> List[str]:
    """Options that the constructor does not know, or misses."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return []
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return []
    known = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    wrong = [
        f"{place}: unknown key {key!r}{_meant(key, known)}; it takes {', '.join(known) or 'none'}"
        for key in options
        if key not in known
    ]
    for one in parameters:
        if one.default is one.empty and one.name in known and one.name not in options:
            expected = "" if one.annotation is one.empty else f" ({one.annotation})"
            wrong.append(f"{place}: {one.name}{expected} is missing")
    return wrong


def _made(strategies: List[Tuple[str, Any, Dict[str, Any]]]) -> Tuple[List[Any], List[str]]:
    """The strategies, and what they find wrong with their settings."""
    built: List[Any] = []
    problems: List[str] = []
    probe = make_plugin_manager()
    for where, found, options in strategies:
        try:
            one = found(**options) if callable(found) else found
            if not has_hooks(probe, one) and not hasattr(one, "get_next_task"):
                problems.append(f"{where}: {type(one).__name__} is no strategy: it implements no hook")
            built.append(one)
        except SettingError as error:
            problems.extend(f"{where}: {one.message}" for one in error.problems)
        except (AtmError, TypeError, ValueError) as error:
            problems.append(f"{where}: {error}")
        except Exception as error:  # a stranger's constructor; its mistake has a place, too
            problems.append(f"{where}: {type(error).__name__}: {error}")
    return built, problems


def _meant(key: Any, known: Any) -> str:
    near = nearest(key, list(known))
    return f": did you mean {near[0]!r}?" if near else ""
