"""Levels of urgency: names, and the numbers behind them."""

from __future__ import annotations

from typing import Any, Dict, Sequence, Tuple

from atm_core import Settings
from atm_core.settings import nearest

__all__ = ["Levels"]

_LARGEST = 1e12  # added to so many levels of 60 s, a time still counts to 8 ms


class Levels:
    """Names in order of urgency, the most urgent first; each stands for its index, and any number may be used.

    Args:
        names: At least one.
        check: Where mistakes are noted.
    """

    def __init__(self, names: Sequence[str], check: Settings) -> None:
        self.names: Tuple[str, ...] = ()
        listed = isinstance(names, (tuple, list)) and all(isinstance(name, str) and name for name in names)
        if not listed or not names:
            check.fail("levels", names, "must be a list of names, the most urgent first", wrong_type=not listed)
        elif len(set(names)) < len(names):
            check.fail("levels", names, "must name each level once")
        else:
            self.names = tuple(names)
        self._numbers: Dict[Any, float] = {name: float(n) for n, name in enumerate(self.names)}

    def number(self, level: Any) -> float:
        """The number of a level: smaller is more urgent.

        Raises:
            ValueError: It is neither the name of a level nor a number from -1e12 to 1e12; says what it must be.
        """
        if isinstance(level, str):
            if level in self._numbers:
                return self._numbers[level]
        elif isinstance(level, (int, float)) and not isinstance(level, bool) and -_LARGEST <= level <= _LARGEST:
            return float(level)
        near = nearest(level, self.names) if isinstance(level, str) else []
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"must be one of {', '.join(map(repr, self.names))}, or a number from -1e12 to 1e12{hint}")
