"""A year of a crontab in a few seconds: what fires when, at every change of the clocks.

    python year_of_a_crontab.py [zone] [year]

Nothing here is special to the example but its loop: ``VirtualTimeLoop`` jumps from one timer to the next.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from typing import Any, Awaitable, Callable, Dict, List

from atm_time_based import TimeBasedStrategy, at, describe

from atm_core import TaskManager
from atm_core.testing import VirtualTimeLoop

CRONTAB = """
# London leaves the half past one of a night in March out, and has that of a night in October twice.
30  1   *     *  *        report
0   3   *     *  MON-FRI  backup
*/30 *  *     *  *        sync
0   */6 *     *  *        rotate
15  2   1     *  *        invoices
0   9   15W   *  *        payroll
0   18  LW    *  *        close-books
0   4   *     *  SUN#1    vacuum
@weekly                   digest
"""


def jobs() -> Dict[str, str]:
    """The lines of the crontab: name -> expression."""
    lines = [line for line in CRONTAB.strip().splitlines() if not line.startswith("#")]
    return {words[-1]: " ".join(words[:-1]) for words in map(str.split, lines)}


def a_year(zone: str, year: int) -> Dict[str, List[datetime]]:
    """Run the crontab through a year; when each job fired."""
    begin, end = (at(f"{number}-01-01T00:00", timezone=zone).wall_time - 1 for number in (year, year + 1))
    strategy = TimeBasedStrategy(timezone=zone)
    loop = VirtualTimeLoop(wall_start=begin)
    fired: Dict[str, List[datetime]] = {name: [] for name in jobs()}

    def job(name: str) -> Callable[[], Awaitable[Any]]:
        async def work() -> None:
            fired[name].append(datetime.fromtimestamp(round(loop.wall_time(), 3), strategy.timezone))

        return work

    async def run() -> None:
        async with TaskManager(strategy) as manager:
            for name, expression in jobs().items():
                manager.add_task(job(name), {"schedule": expression, "name": name})
            await asyncio.sleep(end - begin)

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    return fired


def main(zone: str = "Europe/London", year: str = "2026") -> None:
    """Print the counts, and what fired around each change of the clocks."""
    fired = a_year(zone, int(year))
    for name, expression in jobs().items():
        times = fired[name]
        print(f"{name:12} {len(times):6} times, first {times[0]:%d %b %H:%M}  {describe(expression)}")
    for before, after in zip(fired["sync"], fired["sync"][1:]):
        if before.utcoffset() == after.utcoffset():
            continue
        print(f"\nThe clocks change between {before:%d %B %Y %H:%M %Z} and {after:%H:%M %Z}:")
        runs = [(one.timestamp(), one, name) for name, times in fired.items() for one in times]
        for when, one, name in sorted(runs):
            if abs(when - after.timestamp()) <= 9000:
                print(f"  {one:%H:%M %Z}  {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
