"""A client of a flaky service, before and after: ``python examples/flaky_service``.

Before: a task for each reading, 50 at once, and again at once if it failed. After: the same readings through a
manager with rate limit, circuit breaker, retries and batches, all from ``atm.toml``.
"""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any, Awaitable, Callable, Dict, List

from api import Reading, Unavailable, storing_to
from service import Service

from atm_core import TaskManager

CONFIG = pathlib.Path(__file__).with_name("atm.toml")
READINGS: List[Reading] = [{"id": n, "unit": "" if n % 150 == 149 else "kW"} for n in range(600)]


async def before(port: int) -> List[Any]:
    """By hand."""
    store = storing_to(port)
    slots = asyncio.Semaphore(50)

    async def stored(reading: Reading) -> None:
        async with slots:
            for _ in range(9):
                try:
                    await store(reading)
                    return
                except Unavailable:
                    continue
            await store(reading)

    return await asyncio.gather(*map(stored, READINGS), return_exceptions=True)


async def after(port: int) -> List[Any]:
    """By rules."""
    store = storing_to(port)
    async with TaskManager.from_config(CONFIG, "readings") as manager:
        return [result async for result in manager.map(store, READINGS, return_exceptions=True)]


async def measured(client: Callable[[int], Awaitable[List[Any]]]) -> Dict[str, Any]:
    """Run a client against a new service."""
    service = Service()
    server = await service.start()
    clock = asyncio.get_running_loop().time
    began = clock()
    results = await client(service.port)
    seconds = clock() - began
    server.close()
    await server.wait_closed()
    failures = [result for result in results if result is not None]
    return {
        "requests": sum(service.answers.values()),
        "turned away": service.answers[503],
        "most in 0.1 s": max(service.load.values()),
        "readings stored": len(set(service.stored)),
        "stored twice": len(service.stored) - len(set(service.stored)),
        "refused for good": sum(type(failure).__name__ == "Refused" for failure in failures),
        "given up": sum(isinstance(failure, Unavailable) for failure in failures),
        "seconds": round(seconds, 1),
        "load": [service.load[tenth] for tenth in range(max(service.load) + 1)],
    }


def report(columns: Dict[str, Dict[str, Any]]) -> str:
    """The figures side by side, and the load as bars."""
    names = list(columns)
    lines = ["".join([f"{'':18}", *(f"{name:>10}" for name in names)])]
    for row in columns[names[0]]:
        if row != "load":
            lines.append("".join([f"{row:18}", *(f"{columns[name][row]:>10}" for name in names)]))
    lines.append("\nrequests in each 0.1 s:")
    for name in names:
        lines.append(f"{name:>8} " + " ".join(f"{count}" for count in columns[name]["load"]))
    return "\n".join(lines)


async def main() -> Dict[str, Dict[str, Any]]:
    """Both, one after the other."""
    return {"before": await measured(before), "after": await measured(after)}


if __name__ == "__main__":
    print(report(asyncio.run(main())))
