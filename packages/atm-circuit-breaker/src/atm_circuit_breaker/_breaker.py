"""One breaker: the state machine, told what happens and when."""

from __future__ import annotations

import contextlib
import copy
import enum
import math
from typing import Any, Callable, Dict, Hashable, NamedTuple, Optional, Tuple

from atm_circuit_breaker._state import Snapshot, State
from atm_circuit_breaker._windows import CountWindow, Window

__all__ = ["FAILURE", "NOTHING", "SUCCESS", "Breaker", "Rules", "Verdict"]

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN

_REMEMBERED_SECONDS = 3600.0  # failures of a key that nobody uses


class Verdict(enum.Enum):
    """What an attempt says about the service."""

    SUCCESS = "success"
    FAILURE = "failure"
    NOTHING = "nothing"


# A look-up through the enum's class costs as much as what it is for.
SUCCESS, FAILURE, NOTHING = Verdict.SUCCESS, Verdict.FAILURE, Verdict.NOTHING


class Rules(NamedTuple):
    """The settings, shared by the breakers of all keys."""

    window: Callable[[], Window]
    minimum_calls: int
    failure_rate: float
    slow_rate: float
    consecutive_failures: Optional[int]
    open_seconds: float
    open_multiplier: float
    max_open_seconds: float
    max_probes: int
    probe_seconds: float

    def open_for(self, openings: int) -> float:
        """How long the n-th opening in a row lasts."""
        try:
            seconds = self.open_seconds * self.open_multiplier ** (openings - 1)
        except OverflowError:
            seconds = math.inf
        return min(seconds, max(self.open_seconds, self.max_open_seconds))


def _without_frames(error: Optional[BaseException]) -> Optional[BaseException]:
    """A copy without traceback: a breaker is kept for long, and must not keep what the frames of a task refer to."""
    if error is None:
        return None
    with contextlib.suppress(Exception):
        made = copy.copy(error)
        if made.args == error.args:
            return made
    # Its constructor takes other arguments than it passes on.
    with contextlib.suppress(Exception):
        bare = type(error).__new__(type(error), *error.args)
        bare.__dict__.update(error.__dict__)
        return bare
    return None


class Breaker:
    """Closed, open, half-open, as resilience4j's CircuitBreakerStateMachine and Sony's gobreaker define them.

    Each change of state begins a new generation, and an attempt counts only in the one in which it started.
    Half-open decides once ``max_probes`` attempts have counted. Changes that time brings about are made when
    the next thing happens; :meth:`state_at` and :meth:`ready_at` tell of them at once.

    Every method is O(1).

    Args:
        key: Whose breaker it is.
        rules: The settings.
        changed: Told of each change: the key, the state before and after. It must not raise or call back.
    """

    __slots__ = (
        "_changed",
        "_consecutive",
        "_probes",
        "_rules",
        "_run",
        "_state",
        "_until",
        "_window",
        "generation",
        "key",
        "last_failure",
        "openings",
        "running",
        "used_at",
    )

    def __init__(
        self, key: Hashable, rules: Rules, changed: Callable[[Hashable, State, State], None]
    ) -> None:
        self.key = key
        self._rules = rules
        self._changed = changed
        self._state = CLOSED
        self._window = rules.window()
        self._consecutive = 0
        self._run = False  # whether there were ever consecutive_failures in this generation
        self._until = -math.inf  # the end of the present opening
        self._probes: Dict[Any, float] = {}  # that run, and since when; the oldest first
        self.generation = 0
        self.openings = 0  # since it was last closed
        self.last_failure: Optional[BaseException] = None
        self.running = 0  # attempts of any generation
        self.used_at = -math.inf

    def state_at(self, now: float) -> State:
        """The state at this time."""
        return self._seen_at(now)[0]

    def ready_at(self, now: float) -> float:
        """When the next attempt may start, if nothing happens until then: ``now`` or later."""
        if self._state is CLOSED:
            return now
        state, until = self._seen_at(now)
        if state is OPEN:
            return until
        deadline = self.deadline()
        taken = len(self._probes) + self._window.calls
        if self._state is HALF_OPEN and now < deadline and taken >= self._rules.max_probes:
            # All probes are under way. If the oldest one hangs, that opens the breaker again.
            return deadline + self._rules.open_for(self.openings + 1)
        return now

    def deadline(self) -> float:
        """When the oldest probe that runs will have taken too long; infinite if none runs."""
        for since in self._probes.values():
            return since + self._rules.probe_seconds
        return math.inf

    def snapshot(self, now: float) -> Snapshot:
        """What it has seen."""
        state, window = self.state_at(now), self._window
        if state is HALF_OPEN and (self._state is OPEN or now >= self.deadline()):
            window = CountWindow(1)  # no probe has started yet
        elif state is CLOSED:
            window.slide(now)
        least = 1 if self._state is OPEN else self._least()
        enough = window.calls >= least
        return Snapshot(
            state,
            window.calls,
            window.failures,
            window.slow,
            self._consecutive,
            window.failures / window.calls if enough else None,
            window.slow / window.calls if enough else None,
            self.openings,
        )

    def start(self, attempt: Any, now: float) -> int:
        """An attempt starts, as :meth:`ready_at` allowed; answers the generation, for :meth:`end`."""
        self.running += 1
        self.used_at = now
        if self._state is not CLOSED:
            self.catch_up(now)
            if self._state is HALF_OPEN:
                self._probes[attempt] = now
        return self.generation

    def end(
        self,
        attempt: Any,
        generation: int,
        verdict: Verdict,
        now: float,
        slow: bool = False,
        failure: Optional[BaseException] = None,
    ) -> None:
        """An attempt has ended, in whatever state it started."""
        self.running -= 1
        self.used_at = now
        if self._state is not CLOSED:
            self.catch_up(now)
        if generation != self.generation:
            return
        if self._probes:
            self._probes.pop(attempt, None)
        if verdict is NOTHING:
            return
        failed = verdict is FAILURE
        if failed:
            self.last_failure = _without_frames(failure)
        self._consecutive = self._consecutive + 1 if failed else 0
        self._run = self._run or self._consecutive == self._rules.consecutive_failures
        window = self._window
        window.record(failed, slow, now)
        if self._state is CLOSED:
            if (window.failures or window.slow) and self._bad():
                self.open(now)
        elif window.calls >= self._rules.max_probes:
            if self._bad():
                self.open(now)
            else:
                self.close()

    def catch_up(self, now: float) -> None:
        """Make the changes that time has brought about."""
        if self._state is HALF_OPEN and now >= self.deadline():
            self.open(self.deadline())
        if self._state is OPEN and now >= self._until:
            self.half_open()

    def open(self, now: float) -> None:
        """Let nothing through from now on; the end of an opening that is under way is put off."""
        self._probes.clear()
        if self._state is not OPEN:
            self.openings += 1
            self._become(OPEN)
        self._until = now + self._rules.open_for(self.openings)

    def half_open(self) -> None:
        """Let probes through."""
        self._begin(CountWindow(self._rules.max_probes))
        self._become(HALF_OPEN)

    def close(self) -> None:
        """Let everything through, and forget what was."""
        self._begin(self._rules.window())
        self.openings = 0
        self.last_failure = None
        self._become(CLOSED)

    def forgettable(self, now: float, crowded: bool) -> bool:
        """Whether it may be replaced by a new one: it is unused, and says nothing of worth any more.

        Args:
            now: The time.
            crowded: There are too many, so that age does not matter: only what is open, or used, stays.
        """
        if self.running or now < self._until:
            return False
        self._window.slide(now)
        noted = self._consecutive or self._window.failures or self._window.slow
        clean = self._state is CLOSED and not noted
        unused = now - max(self.used_at, self._until)
        return crowded or unused >= (self._rules.open_seconds if clean else _REMEMBERED_SECONDS)

    def _seen_at(self, now: float) -> Tuple[State, float]:
        """The state at this time, and the end of the opening if it is open."""
        state, until = self._state, self._until
        if state is HALF_OPEN and now >= self.deadline():
            state, until = OPEN, self.deadline() + self._rules.open_for(self.openings + 1)
        if state is OPEN and now >= until:
            state = HALF_OPEN
        return state, until

    def _least(self) -> int:
        return self._rules.max_probes if self._state is HALF_OPEN else self._rules.minimum_calls

    def _bad(self) -> bool:
        rules, window = self._rules, self._window
        if self._run:
            return True
        if window.calls < self._least():
            return False
        # Divided, not multiplied: 7 / 100 is 0.07, but 0.07 * 100 is more than 7.
        if window.failures / window.calls >= rules.failure_rate:
            return True
        return window.slow / window.calls >= rules.slow_rate

    def _begin(self, window: Window) -> None:
        self._window = window
        self._consecutive = 0
        self._run = False
        self._probes.clear()

    def _become(self, state: State) -> None:
        """A new generation, and the news of it, unless the state is the same."""
        before, self._state = self._state, state
        self.generation += 1
        if before is not state:
            self._changed(self.key, before, state)
