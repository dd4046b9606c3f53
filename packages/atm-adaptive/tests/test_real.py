"""Real use: an HTTP server that serves so many at once, and, on a real clock, an event loop that is blocked."""

from __future__ import annotations

import asyncio
import time
from typing import Any, List

import pytest
from atm_adaptive import AdaptiveStrategy

from atm_core import TaskManager
from atm_core.testing import run


class Server:
    """A local HTTP server that works at eight requests at once, for 10 ms each; the others wait in its queue."""

    def __init__(self) -> None:
        self.most = 0
        self._there = 0

    async def __aenter__(self) -> Server:
        self._slots = asyncio.Semaphore(8)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]  # type: ignore[index,unused-ignore]
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self._there += 1
        self.most = max(self.most, self._there)
        async with self._slots:
            await asyncio.sleep(0.01)
        self._there -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        if hasattr(writer, "wait_closed"):
            await writer.wait_closed()

    async def get(self) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        writer.close()
        if hasattr(writer, "wait_closed"):
            await writer.wait_closed()
        return answer


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["gradient", "vegas", "aimd"])
def test_a_server_that_is_asked_for_too_much_at_first(algorithm: str) -> None:
    """From 60 at once the limit comes down to about the eight that it serves, and no request is lost.

    Sockets are real, the clock is not: how long a busy machine takes is no latency of the server.
    """

    async def main() -> None:
        strategy = AdaptiveStrategy(
            algorithm, initial_limit=60, window_seconds=0.1, cpu_high=None, memory_high=None, loop_lag_high_seconds=None
        )
        limits: List[int] = []
        async with Server() as server, TaskManager(strategy) as manager:
            tasks = [manager.submit(server.get) for _ in range(1200)]
            for task in tasks:
                assert (await task).endswith(b"ok")
                limits.append(strategy.limit)
        assert server.most > 40
        assert sorted(limits[-600:])[300] <= 20
        assert strategy.stats()["running"] == 0

    run(main(), allow_io=True)


@pytest.mark.slow
def test_a_blocked_event_loop_lowers_the_limit() -> None:
    """Work that blocks the loop for 60 ms at a time, again and again."""

    async def main() -> None:
        strategy = AdaptiveStrategy(
            initial_limit=10,
            cpu_high=None,
            memory_high=None,
            loop_lag_high_seconds=0.05,
            sample_interval_seconds=0.2,
        )

        async def blocks() -> None:
            for _ in range(10):
                time.sleep(0.06)
                await asyncio.sleep(0)

        async with TaskManager(strategy) as manager:
            tasks = [manager.submit(blocks) for _ in range(4)]
            reasons = set()
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0.01)
                reasons.add((strategy.why, strategy.limit))
        assert any(why == "loop_lag" and limit < 4 for why, limit in reasons)
        assert strategy.stats()["readings"]["loop_lag"] > 0.05

    asyncio.run(main())


@pytest.mark.slow
def test_the_real_machine_is_read() -> None:
    """With psutil; without, only the loop's lag is."""

    async def main() -> None:
        strategy = AdaptiveStrategy(sample_interval_seconds=0.1)
        async with TaskManager(strategy) as manager:
            await manager.submit(asyncio.sleep, 0.35)
        readings = strategy.stats()["readings"]
        assert set(readings) == {"loop_lag", *set(strategy._bands)}
        assert all(value >= 0 for value in readings.values())

    asyncio.run(main())
