"""The breakers of all keys."""

from __future__ import annotations

from typing import Callable, Hashable, OrderedDict

from atm_circuit_breaker._breaker import Breaker, Rules
from atm_circuit_breaker._state import State

__all__ = ["Breakers"]

_CROWD = 10_000


class Breakers(OrderedDict[Hashable, Breaker]):
    """A breaker for each key that is in use, the next to be looked over first; those of idle keys are forgotten.

    ``breakers[key]`` makes the one that is missing. O(1) a call.

    Args:
        rules: The settings that they share.
        changed: Told of each change of state: the key, the state before and after.
    """

    def __init__(self, rules: Rules, changed: Callable[[Hashable, State, State], None]) -> None:
        super().__init__()
        self._rules = rules
        self._changed = changed

    def __missing__(self, key: Hashable) -> Breaker:
        breaker = self[key] = self.new(key)
        return breaker

    def new(self, key: Hashable) -> Breaker:
        """A new breaker, which is not kept."""
        return Breaker(key, self._rules, self._changed)

    def forget_idle(self, now: float) -> None:
        """Look at two, so that what is idle does not pile up when this is called for each start."""
        crowded = len(self) > _CROWD
        for _ in range(2):
            key, breaker = next(iter(self.items()))
            if breaker.forgettable(now, crowded):
                del self[key]
            else:
                self.move_to_end(key)
