"""Strategies chosen by name in a config file, and what a mistake in it looks like."""

from __future__ import annotations

import asyncio
from pathlib import Path

from atm_core import ConfigError, TaskManager


async def call(n: int) -> int:
    await asyncio.sleep(0.01)
    return n * n


async def main() -> None:
    manager = TaskManager.from_config(Path(__file__).with_name("atm.toml"), "service")
    async with manager:
        print(manager.name, list(manager.strategies))
        print([result async for result in manager.map(call, range(6))])
    try:
        TaskManager.from_config({"strategies": [{"name": "concurrent_limit", "max_concurent": 5}]})
    except ConfigError as error:
        print(error)


if __name__ == "__main__":
    asyncio.run(main())
