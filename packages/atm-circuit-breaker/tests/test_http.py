"""A client of a real server on 127.0.0.1 that goes down and comes back."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Dict, List

import pytest
from atm_circuit_breaker import CircuitBreakerStrategy, CircuitOpenError, State

from atm_core import ConcurrentLimitStrategy, TaskManager


class Server:
    """Answers 200 while it is up, 500 while it is down, and nothing at all while it hangs."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: List[str] = []
        self._open: Dict[asyncio.StreamWriter, None] = {}

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head.split()[1].decode())
            if self.status == 0:
                await reader.read()  # until the client gives up
                return
            writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        finally:
            del self._open[writer]
            writer.close()

    async def get(self, path: str) -> int:
        """A small client; raises OSError for what is no answer, and for 500."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 0.2)
        except asyncio.TimeoutError:
            raise OSError("no answer") from None
        finally:
            writer.close()
        status = int(answer.split()[1])
        if status >= 500:
            raise OSError(status)
        return status


@pytest.mark.slow
@pytest.mark.parametrize("how", [500, 0], ids=["errors", "hangs"])
def test_a_server_that_is_down_is_left_alone_until_it_is_back(how: int) -> None:
    """A thousand pages: the server, down from the start, sees a handful of them, and the others fail within moments.
    Once a health check finds it up again, pages arrive."""

    async def main() -> None:
        async with Server() as server:

            async def is_up() -> bool:
                return await server.get("/health") == 200

            breaker = CircuitBreakerStrategy(
                minimum_calls=5, open_seconds=60, health_check=is_up, health_check_interval_seconds=0.25
            )
            server.status = how
            began = time.monotonic()
            async with TaskManager([breaker, ConcurrentLimitStrategy(10)]) as manager:
                tasks = [manager.submit(server.get, f"/{n}") for n in range(1000)]
                for task in tasks:
                    await task.wait()
                kinds = [type(task.exception()) for task in tasks]
                assert kinds.count(CircuitOpenError) >= 985
                assert len(server.requests) <= 15
                assert time.monotonic() - began < 2.0
                assert breaker.state() is State.OPEN
                server.status = 200
                while breaker.state() is State.OPEN:
                    await asyncio.sleep(0.01)
                assert await manager.submit(server.get, "/again") == 200

    asyncio.run(main())
