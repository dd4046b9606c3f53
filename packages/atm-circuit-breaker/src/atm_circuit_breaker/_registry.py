"""The breakers of all keys."""

from __future__ import annotations

from collections import OrderedDict
from typing import Callable, Hashable, List, Optional

from atm_circuit_breaker._breaker import Breaker, Rules
from atm_circuit_breaker._state import State

__all__ = ["Breakers"]

_CROWD = 10_000


class Breakers:
    """A breaker for each key that is in use; those of idle keys are forgotten. O(1) a call.

    Args:
        rules: The settings that they share.
        changed: Told of each change of state: the key, the state before and after.
    """

    def __init__(self, rules: Rules, changed: Callable[[Hashable, State, State], None]) -> None:
        self._rules = rules
        self._changed = changed
        self._by_key: OrderedDict[Hashable, Breaker] = OrderedDict()  # the next to be looked over first

    def get(self, key: Hashable) -> Optional[Breaker]:
        """The breaker of this key; None if it would be a new one."""
        return self._by_key.get(key)

    def made(self, key: Hashable) -> Breaker:
        """The breaker of this key; a new one if there is none."""
        breaker = self._by_key.get(key)
        if breaker is None:
            breaker = self._by_key[key] = self.new(key)
        return breaker

    def new(self, key: Hashable) -> Breaker:
        """A new breaker, which is not kept."""
        return Breaker(key, self._rules, self._changed)

    def all(self) -> List[Breaker]:
        """Those of all keys."""
        return list(self._by_key.values())

    def forget_idle(self, now: float) -> None:
        """Look at two, so that what is idle does not pile up when this is called for each start."""
        crowded = len(self._by_key) > _CROWD
        for _ in range(2):
            key, breaker = next(iter(self._by_key.items()))
            if breaker.forgettable(now, crowded):
                del self._by_key[key]
            else:
                self._by_key.move_to_end(key)

    def __len__(self) -> int:
        return len(self._by_key)
