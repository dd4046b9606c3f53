"""The limits of all keys: which are in use, and what is remembered of the others."""

from __future__ import annotations

from collections import OrderedDict
from typing import Callable, Dict, Hashable, Iterator, Optional

from atm_adaptive._control import Control

__all__ = ["Controls"]

_KEPT_SECONDS = 60.0  # for the limits of idle keys


class Controls:
    """One :class:`Control` a key; that of the key None is always there.

    A key in use costs one entry. When nothing of it runs any more, it is forgotten at once if it has learned nothing,
    otherwise a minute later, when other keys come to rest. O(1) a task.

    Args:
        new: Makes one.
    """

    def __init__(self, new: Callable[[], Control]) -> None:
        self._new = new
        #: For the tasks without a key.
        self.keyless = new()
        self._busy: Dict[Hashable, Control] = {}
        self._idle: OrderedDict[Hashable, Control] = OrderedDict()  # the longest idle first

    def of(self, key: Hashable) -> Optional[Control]:
        """That of ``key``; None if nothing is known of it."""
        return self.keyless if key is None else self._busy.get(key) or self._idle.get(key)

    def take(self, key: Hashable) -> Control:
        """That of ``key``, which is in use from now on."""
        if key is None:
            return self.keyless
        control = self._busy.get(key)
        if control is None:
            control = self._busy[key] = self._idle.pop(key) if key in self._idle else self._new()
        return control

    def rest(self, key: Hashable, now: float) -> None:
        """Nothing of ``key`` runs any more."""
        control = self._busy.pop(key)
        if control.learned:
            control.idle_since = now
            self._idle[key] = control
        for _ in range(2):  # two leave for each that comes, so what is old does not pile up
            oldest = next(iter(self._idle), None)
            if oldest is None or self._idle[oldest].idle_since > now - _KEPT_SECONDS:
                break
            del self._idle[oldest]

    def restart(self, now: float) -> None:
        """The clock is another one, which shows ``now``."""
        for control in [self.keyless, *self._busy.values(), *self._idle.values()]:
            control.restart()
            control.idle_since = now

    def most_running(self) -> int:
        """How much runs under the busiest key."""
        return max(control.running for control in [self.keyless, *self._busy.values()])

    def keys_in_use(self) -> Iterator[Hashable]:
        """Those of which something runs, and None."""
        return iter([None, *self._busy])

    @property
    def idle(self) -> int:
        """How many keys are remembered though nothing of them runs."""
        return len(self._idle)
