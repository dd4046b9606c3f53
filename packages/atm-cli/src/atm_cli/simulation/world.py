"""A simulated load on the real strategies, in virtual time."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import random
from random import Random
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from atm_cli.simulation.quantities import arrivals, durations, field
from atm_cli.simulation.watch import Watch
from atm_core import HookError, TaskManager, TaskRejected
from atm_core.config import Profile
from atm_core.testing.virtual_time import DeadlockError, run

__all__ = ["Load", "Simulated", "SimulatedFailure", "simulate"]

_BINS_AT_FIRST = 256


class SimulatedFailure(ConnectionError):
    """What simulated work raises when it is to fail."""


class Load(NamedTuple):
    """What is simulated; texts as on the command line."""

    tasks: int
    arrival: str
    duration: str
    failure: float
    outages: List[Tuple[float, float]]
    fields: List[str]
    seed: int
    start: float


class Simulated(NamedTuple):
    """A simulation that has ended: what was measured, its end in virtual seconds, and what could never start."""

    load: Load
    watch: Watch
    seconds: float
    stuck: int
    stuck_why: Optional[str]
    strategies: Dict[str, Any]


def simulate(profile: Profile, load: Load) -> Simulated:
    """Run ``load`` under the strategies of ``profile``.

    The same seed gives the same result: each random quantity has a source of its own, and so has each strategy with a
    parameter ``seed``.

    Raises:
        Failure: Some text of the load is wrong.
        AtmError: A strategy is.
    """
    random.seed(load.seed)  # for strategies and functions that use the module's own source
    world = _World(_seeded(profile, load.seed), load)
    thresholds = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)  # what a simulation keeps is numbers: little of it is ever garbage in a circle
    try:
        run(world.live(), wall_start=load.start)
    except DeadlockError:
        pass  # what is left can never start: told below
    finally:
        gc.set_threshold(*thresholds)
    return world.result()


def _seeded(profile: Profile, seed: int) -> Profile:
    seeded = []
    for number, (place, strategy, options) in enumerate(profile.strategies):
        if callable(strategy) and "seed" not in options and _takes_seed(strategy):
            options = {**options, "seed": seed + number}
        seeded.append((place, strategy, options))
    return profile._replace(strategies=seeded)


def _takes_seed(strategy: Any) -> bool:
    try:
        return "seed" in inspect.signature(strategy).parameters
    except (TypeError, ValueError):
        return False


class _World:
    """The load, and the manager that it falls on."""

    def __init__(self, profile: Profile, load: Load) -> None:
        source = (Random(f"{load.seed} {what}") for what in itertools.count())
        self._load = load
        self._arrivals = itertools.islice(arrivals(load.arrival, next(source)), load.tasks)
        self._duration = durations(load.duration, next(source))
        self._luck = next(source)
        self._fields: Dict[str, Callable[[], Any]] = dict(field(text, next(source)) for text in load.fields)
        self._profile = profile
        self._stuck: Tuple[int, Optional[str]] = (0, None)
        # How long it will take is not known; about as long as the arrivals.
        ahead = Random(0)
        last = next(itertools.islice(arrivals(load.arrival, ahead), max(load.tasks - 1, 0), None))
        self._width = max(last, 1e-3) / _BINS_AT_FIRST

    def result(self) -> Simulated:
        return Simulated(self._load, self._watch, self._watch.bins.at, self._stuck[0], self._stuck[1], self._strategies)

    async def live(self) -> None:
        """Until everything is settled, or nothing can happen any more."""
        loop = asyncio.get_running_loop()
        manager = self._profile.build(TaskManager)
        self._strategies = dict(manager.strategies)
        self._watch = Watch(manager, self._width)
        self._manager = manager
        self._loop = loop
        self._arrived: asyncio.Future[None] = loop.create_future()
        await manager.idle()
        try:
            self._arrive()
            await self._arrived
            await manager.join()
        finally:
            # Also when a deadlock ends it, which is an error in whatever awaits.
            self._watch.finish()
            oldest = self._watch.oldest()
            if oldest is not None:
                why = (f"{one.strategy}: {one.reason}" for one in manager.explain(oldest).obstacles)
                self._stuck = self._watch.waiting, "; ".join(why) or "nobody knows why"
            await manager.aclose(timeout=0)

    def _arrive(self) -> None:
        """Hand in whatever arrives now, and set a timer for the next."""
        now = self._loop.time()
        for at in self._arrivals:
            if at > now:
                self._loop.call_at(at, self._arrive_then, at)
                return
            self._submit()
        self._arrived.set_result(None)

    def _arrive_then(self, at: float) -> None:
        self._submit()
        self._arrive()

    def _submit(self) -> None:
        metadata = {name: make() for name, make in self._fields.items()} if self._fields else None
        try:
            self._manager.add_task(self._work, metadata)
        except (TaskRejected, HookError):
            self._watch.rejected += 1

    async def _work(self) -> None:
        now = self._loop.time()
        out = any(first <= now < last for first, last in self._load.outages)
        await asyncio.sleep(self._duration())
        if out or (self._load.failure and self._luck.random() < self._load.failure):
            raise SimulatedFailure("an outage" if out else "at random")
