"""A simulated service whose capacity is known and changes: how each algorithm finds it. In virtual time.

    python benchmarks/scenarios.py            print the table
    python benchmarks/scenarios.py --seed 2   ... with other random numbers
    python benchmarks/scenarios.py --write    put it into README.md, and draw scenarios.svg (extra ``chart``)

The service works at ``capacity`` requests at once, for a log-normal time of 0.2 s in the mean (coefficient of variation
0.5); what comes on top waits in its queue, first in, first out. There is always more to do than the limit lets through.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import pathlib
import random
import statistics
from collections import deque
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Tuple

from atm_adaptive import AdaptiveStrategy

from atm_core import ConcurrentLimitStrategy, TaskManager
from atm_core.testing.virtual_time import run

HERE = pathlib.Path(__file__).parent
ALGORITHMS = ("gradient", "vegas", "aimd")
_WAITING = 400  # tasks in our queue at any time: more than any limit


class Phase(NamedTuple):
    """From ``at`` on the service has this capacity and this mean service time."""

    at: float
    capacity: int
    seconds: float = 0.2


class Scenario(NamedTuple):
    """What happens to the service, and until when."""

    name: str
    phases: List[Phase]
    until: float


SCENARIOS = [
    Scenario("steady", [Phase(0, 30)], 240),
    Scenario("doubles", [Phase(0, 30), Phase(120, 60)], 240),
    Scenario("halves", [Phase(0, 60), Phase(120, 30)], 240),
    Scenario("stalls for 10 s", [Phase(0, 30), Phase(120, 0), Phase(130, 30)], 240),
    Scenario("overloaded at first", [Phase(0, 8)], 240),
    Scenario("takes twice as long", [Phase(0, 30), Phase(120, 30, 0.4)], 240),
]


class Service:
    """Serves ``capacity`` requests at once; with capacity 0 it stands still, and so does what it serves."""

    def __init__(self, seed: int) -> None:
        self.latencies: List[float] = []
        self._random = random.Random(seed)
        self._queue: Deque[asyncio.Future[None]] = deque()
        self._serving = 0
        self._frozen: Optional[asyncio.Event] = None
        self._phase = Phase(0, 0)

    def enter(self, phase: Phase) -> None:
        """A phase begins."""
        self._phase = phase
        if not phase.capacity:
            self._frozen = asyncio.Event()
        elif self._frozen is not None:
            self._frozen.set()
            self._frozen = None
        self._serve()

    async def request(self) -> None:
        """One request."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        place = loop.create_future()
        self._queue.append(place)
        self._serve()
        await place
        await asyncio.sleep(self._phase.seconds * math.exp(self._random.gauss(-0.11, 0.47)))
        if self._frozen is not None:
            await self._frozen.wait()
        self._serving -= 1
        self._serve()
        self.latencies.append(loop.time() - since)

    def _serve(self) -> None:
        while self._queue and self._serving < self._phase.capacity:
            place = self._queue.popleft()
            if not place.done():
                self._serving += 1
                place.set_result(None)


class Run(NamedTuple):
    """What came of a run: requests served, their median latency, and the limit over time (without probes)."""

    served: int
    median: float
    limits: List[Tuple[float, int]]


def simulate(scenario: Scenario, strategy: Any, seed: int = 1) -> Run:
    """Run a scenario under a strategy that limits."""
    service = Service(seed)
    limits: List[Tuple[float, int]] = []

    async def main() -> None:
        manager = TaskManager(strategy)

        async def work() -> None:
            manager.submit(work)  # another one takes this one's place in the queue
            await service.request()

        service.enter(scenario.phases[0])
        await manager.idle()
        for _ in range(_WAITING):
            manager.submit(work)
        following = scenario.phases[1:]
        for half_seconds in range(int(scenario.until * 2)):
            if following and following[0].at <= half_seconds / 2:
                service.enter(following.pop(0))
            await asyncio.sleep(0.5)
            if isinstance(strategy, AdaptiveStrategy) and strategy.why != "probe":
                limits.append((half_seconds / 2 + 0.5, strategy.limit))
        await manager.aclose(timeout=0)

    run(main())
    return Run(len(service.latencies), statistics.median(service.latencies), limits)


def best_fixed(scenario: Scenario, seed: int) -> Tuple[int, Run]:
    """The smallest limit that serves at least 99% of what the best one does."""
    capacities = {phase.capacity for phase in scenario.phases if phase.capacity}
    tried = sorted({round(capacity * factor) for capacity in capacities for factor in (0.7, 0.85, 1, 1.15, 1.5)})
    runs = {limit: simulate(scenario, ConcurrentLimitStrategy(limit), seed) for limit in tried}
    most = max(one.served for one in runs.values())
    limit = min(limit for limit, one in runs.items() if one.served >= 0.99 * most)
    return limit, runs[limit]


def settled(scenario: Scenario, limits: List[Tuple[float, int]]) -> Tuple[Optional[float], float]:
    """After how many seconds the limit stays within 0.8 to 1.5 of the last capacity, and the most that it is then."""
    last = scenario.phases[-1]
    after = [(at, limit / last.capacity) for at, limit in limits if at > last.at]
    outside = [at for at, part in after if not 0.8 <= part <= 1.5]
    since = outside[-1] if outside else last.at
    inside = [part for at, part in after if at > since]
    return (since - last.at if inside else None), max(inside, default=math.nan)


def row(scenario: Scenario, name: str, one: Run, best: Run) -> str:
    """A line of the table."""
    since, most = settled(scenario, one.limits)
    time = "never" if since is None else f"{since:.0f} s"
    peak = "" if since is None else f"{most:.2f}"
    return (
        f"| {scenario.name} | {name} | {100 * one.served / best.served:.1f}% | {one.median / best.median:.2f} | "
        f"{time} | {peak} |"
    )


def table(seed: int) -> Tuple[str, Dict[Tuple[str, str], Run]]:
    """The table in Markdown, and the runs by scenario and algorithm."""
    random.seed(seed)  # by itself, Vegas draws the times of its probes
    lines = [
        "| the service | algorithm | throughput | p50 latency | settled after | highest limit then |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    runs = {}
    for scenario in SCENARIOS:
        limit, best = best_fixed(scenario, seed)
        lines.append(f"| **{scenario.name}** | best fixed limit: {limit} | 100% | 1.00 | | |")
        for name in ALGORITHMS:
            one = runs[scenario.name, name] = simulate(scenario, AdaptiveStrategy(name), seed)
            lines.append(row(scenario, name, one, best))
            bare = simulate(scenario, AdaptiveStrategy(name, probe=False), seed)
            lines.append(row(scenario, f"{name}, `probe=False`", bare, best))
    return "\n".join(lines), runs


def draw(runs: Dict[Tuple[str, str], Run], path: pathlib.Path) -> None:
    """The limits over time, against the capacity, as an SVG file that is the same each time."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "atm-adaptive", "svg.fonttype": "none", "font.size": 8})
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 3, figsize=(10, 5), sharex=True)
    for scenario, panel in zip(SCENARIOS, panels.flat):
        times = [phase.at for phase in scenario.phases] + [scenario.until]
        capacities = [phase.capacity for phase in scenario.phases]
        panel.stairs(capacities, times, color="black", linewidth=2, alpha=0.4, baseline=None, label="capacity")
        for name in ALGORITHMS:
            limits = runs[scenario.name, name].limits[::2]
            panel.plot([at for at, _ in limits], [limit for _, limit in limits], linewidth=1, label=name)
        panel.set_title(f"the service: {scenario.name}", fontsize=8)
        panel.set_ylim(bottom=0)
    for panel in panels[1]:
        panel.set_xlabel("seconds")
    for panel in panels[:, 0]:
        panel.set_ylabel("limit")
    panels[0, 0].legend(loc="lower right", fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description="How each algorithm finds the capacity of a simulated service.")
    parser.add_argument("--write", action="store_true", help="update README.md and scenarios.svg")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    given = parser.parse_args()
    text, runs = table(given.seed)
    print(text)
    if given.write:
        readme = HERE.parent / "README.md"
        before, _, rest = readme.read_text(encoding="utf-8").partition("<!-- scenarios -->\n")
        _, _, after = rest.partition("<!-- end of scenarios -->\n")
        marked = f"{before}<!-- scenarios -->\n{text}\n<!-- end of scenarios -->\n{after}"
        readme.write_text(marked, encoding="utf-8")
        draw(runs, HERE / "scenarios.svg")


if __name__ == "__main__":
    main()
