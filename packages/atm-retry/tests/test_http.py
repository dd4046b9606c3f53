"""A client of a real server on 127.0.0.1 that is overloaded and says when to come back."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Any, Dict, List, Optional

import pytest
from atm_retry import RetryBudget, RetryStrategy, retry_after_of

from atm_core import ConcurrentLimitStrategy, TaskManager


class HTTPStatusError(Exception):
    """As HTTP clients raise it."""

    def __init__(self, status: int, headers: Dict[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class Server:
    """Answers 503 to the first requests for each path, with what ``retry_after`` says at that time."""

    def __init__(self, failures: int, retry_after: Any = lambda: None) -> None:
        self.failures = failures
        self.retry_after = retry_after
        self.requests: Dict[str, List[float]] = {}

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        seen = self.requests.setdefault(path, [])
        seen.append(time.monotonic())
        if len(seen) > self.failures:
            answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        else:
            header: Optional[str] = self.retry_after()
            extra = f"Retry-After: {header}\r\n" if header is not None else ""
            answer = f"HTTP/1.1 503 Busy\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    async def get(self, path: str) -> str:
        """A small client."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = (await reader.read()).decode()
        finally:
            writer.close()
        head, _, body = answer.partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        if "200" not in status:
            raise HTTPStatusError(int(status.split()[1]), dict(line.split(": ", 1) for line in lines))
        return body


@pytest.mark.slow
def test_every_page_arrives_in_spite_of_an_overloaded_server() -> None:
    """Forty pages, each refused twice: all arrive, with three requests each and never more than five at once."""

    async def main() -> None:
        async with Server(failures=2) as server:
            retry = RetryStrategy(5, initial_delay_seconds=0.01, retry_on=(HTTPStatusError, OSError), seed=1)
            async with TaskManager([retry, ConcurrentLimitStrategy(5)]) as manager:
                tasks = [manager.submit(server.get, f"/{n}") for n in range(40)]
            assert [task.result() for task in tasks] == ["ok"] * 40
            assert {len(seen) for seen in server.requests.values()} == {3}

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_server_is_left_alone_for_as_long_as_it_asks(form: str) -> None:
    """Both forms of Retry-After; a date counts whole seconds, so up to one less is waited."""

    def header() -> str:
        return "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)

    async def main() -> float:
        async with Server(failures=1, retry_after=header) as server:
            retry = RetryStrategy(delay_from=retry_after_of, initial_delay_seconds=0, jitter="none")
            async with TaskManager(retry) as manager:
                assert await manager.submit(server.get, "/") == "ok"
            first, second = server.requests["/"]
            return second - first

    waited = asyncio.run(main())
    assert 0.99 <= waited < 3.0


@pytest.mark.slow
def test_a_budget_keeps_a_dead_server_from_being_buried() -> None:
    """A hundred tasks with up to ten attempts each would be a thousand requests; the budget makes it 120."""

    async def main() -> int:
        async with Server(failures=10**9) as server:
            retry = RetryStrategy(10, initial_delay_seconds=0.001, budget=RetryBudget(ratio=0.2, min_per_second=0))
            async with TaskManager([retry, ConcurrentLimitStrategy(20)]) as manager:
                tasks = [manager.submit(server.get, f"/{n}") for n in range(100)]
            assert all(isinstance(task.exception(), HTTPStatusError) for task in tasks)
            return sum(map(len, server.requests.values()))

    assert asyncio.run(main()) <= 120
