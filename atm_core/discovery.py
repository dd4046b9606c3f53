"""Names of strategies -> classes, by the entry points of what is installed. Nothing is imported before it is named."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any, Dict, List, NamedTuple, Tuple

from atm_core.compat import distributions
from atm_core.errors import AmbiguousStrategyError, BrokenStrategyError, UnknownStrategyError
from atm_core.settings import import_dotted, nearest

__all__ = ["Installed", "find_strategy", "installed_plugins", "installed_strategies"]

_KNOWN = {
    "adaptive": "atm-adaptive",
    "bulk": "atm-bulk",
    "circuit_breaker": "atm-circuit-breaker",
    "concurrent_limit": "async-task-manager",
    "delayed": "async-task-manager",
    "fixed_window": "async-task-manager",
    "priority_queue": "atm-priority-queue",
    "retry": "atm-retry",
    "sliding_window": "atm-sliding-window",
    "time_based": "atm-time-based",
    "weighted_round_robin": "atm-weighted-round-robin",
}


class Installed(NamedTuple):
    """An entry point: the name, the object's place, and who brought it."""

    name: str
    value: str
    distribution: str
    version: str

    def load(self, hint: str = "") -> Any:
        """Import it.

        Raises:
            BrokenStrategyError: That fails; with ``hint`` at the end of its message.
        """
        try:
            return import_dotted(self.value)
        except Exception as error:
            raise BrokenStrategyError(
                f"{self.name!r} of distribution {self.distribution} {self.version} cannot be imported from "
                f"{self.value}: {type(error).__name__}: {error}{hint}"
            ) from error


def installed_strategies() -> List[Installed]:
    """Every strategy that is installed (entry-point group ``atm.strategies``), by name."""
    return list(_scan(_search_path())[0])


def installed_plugins() -> List[Installed]:
    """The plugins that join every manager (group ``atm.plugins``), without those that the environment keeps out.

    ``ATM_NO_PLUGINS=1`` keeps out all, ``ATM_DISABLED_PLUGINS=a,b`` those named.
    """
    if os.environ.get("ATM_NO_PLUGINS", "") not in ("", "0"):
        return []
    disabled = {name.strip() for name in os.environ.get("ATM_DISABLED_PLUGINS", "").split(",")}
    return [one for one in _scan(_search_path())[1] if one.name not in disabled]


def find_strategy(name: str) -> Any:
    """The class that a name stands for.

    Args:
        name: An entry point's name (``"retry"``), one of a certain distribution (``"atm-retry:retry"``), or a dotted
            name (``"my_app.rules:PerHost"``).

    Raises:
        UnknownStrategyError: Nothing of this name is installed.
        AmbiguousStrategyError: Two distributions offer it.
        BrokenStrategyError: It is there, but cannot be imported.
    """
    installed = installed_strategies()
    found = [one for one in installed if one.name == name]
    left, colon, right = name.partition(":")
    if colon and not found:
        found = [one for one in installed if one.name == right and _normal(one.distribution) == _normal(left)]
    if len(found) > 1:
        choices = " or ".join(f"'{one.distribution}:{one.name}'" for one in found)
        raise AmbiguousStrategyError(f"strategy {name!r} is offered by two distributions: write {choices}")
    if found:
        return found[0].load()
    if colon or "." in name:
        try:
            return import_dotted(name)
        except Exception as error:
            raise UnknownStrategyError(f"no strategy at {name!r}: {type(error).__name__}: {error}", name) from error
    raise _unknown(name, installed)


def _unknown(name: str, installed: List[Installed]) -> UnknownStrategyError:
    normal = name.lower().replace("-", "_")
    if normal in _KNOWN and normal not in [one.name for one in installed]:
        return UnknownStrategyError(f"no strategy named {name!r}: pip install {_KNOWN[normal]}", name)
    names = sorted({one.name for one in installed})
    near = nearest(name, names) or nearest(name, list(_KNOWN))[:1]
    message = f"no strategy named {name!r}"
    if near:
        install = "" if near[0] in names else f", after pip install {_KNOWN[near[0]]}"
        message += f": did you mean {near[0]!r}{install}?"
    return UnknownStrategyError(f"{message} (installed: {', '.join(names) or 'none'})", name, near)


def _normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")


def _search_path() -> Tuple[Tuple[str, int], ...]:
    return tuple((path, _changed(path)) for path in sys.path)


def _changed(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0


# A scan opens a file of every installed distribution, and every new manager needs one; the answer depends on nothing
# but the search path and its directories' times, which are the key, so this is no state that could be wrong.
@functools.lru_cache(maxsize=1)
def _scan(search_path: Tuple[Tuple[str, int], ...]) -> Tuple[List[Installed], List[Installed]]:
    groups: Dict[str, List[Installed]] = {"atm.strategies": [], "atm.plugins": []}
    seen = set()
    for distribution in distributions():
        if "[atm." not in (distribution.read_text("entry_points.txt") or ""):
            continue
        name = str(distribution.metadata["Name"])
        if _normal(name) in seen:
            continue  # a second one of the same name further down the path is shadowed, as in imports
        seen.add(_normal(name))
        for point in distribution.entry_points:
            if point.group in groups:
                value = point.value.partition("[")[0].rstrip()  # without extras, which say nothing about the object
                groups[point.group].append(Installed(point.name, value, name, str(distribution.version)))
    return sorted(groups["atm.strategies"]), sorted(groups["atm.plugins"])
