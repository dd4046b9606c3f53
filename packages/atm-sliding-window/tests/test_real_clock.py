"""On a real clock, through real sockets."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Dict, List, Tuple

import pytest
from atm_sliding_window import SlidingWindowStrategy

from atm_core import TaskManager
from atm_core.testing import Recorder

pytestmark = pytest.mark.slow


async def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"max_requests": 1000, "window_seconds": 1.0}, 1000),
        ({"max_requests": 50, "window_seconds": 0.1}, 50),
        ({"max_requests": 50, "window_seconds": 0.1, "algorithm": "gcra", "burst": 8}, 57),
        ({"max_requests": 50, "window_seconds": 0.1, "algorithm": "counter"}, 100),
    ],
    ids=str,
)
def test_no_window_holds_more(options: Dict[str, Any], most: int) -> None:
    """Tasks always at hand, for two seconds: not one start too many, and most of the rate is used."""
    recorder = Recorder()
    n = int(2.2 * options["max_requests"] / options["window_seconds"])

    async def main() -> float:
        start = time.monotonic()
        async with TaskManager([SlidingWindowStrategy(**options), recorder]) as manager:
            for _ in range(n):
                manager.submit(nothing)
        return time.monotonic() - start

    seconds = asyncio.run(main())
    recorder.never_more_than(most, options["window_seconds"])
    recorder.all_settled_once()
    assert seconds < 2 * n * options["window_seconds"] / options["max_requests"]


def test_a_server_with_limits_of_its_own_refuses_nothing() -> None:
    """A local HTTP server answers 429 beyond 20 requests in a sliding window of 0.5 s: of 60, none gets that."""
    served: List[float] = []
    window, most = 0.5, 20

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        now = time.monotonic()
        status = "200 OK"
        # A request may be 100 ms longer on its way than another; what is counted here is arrivals.
        if len([at for at in served if at > now - window + 0.1]) >= most:
            status = "429 Too Many Requests"
        served.append(now)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def request(port: int) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.split(b"\r\n")[0].decode().split(" ", 1)[1]

    async def main() -> Tuple[List[str], float]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        start = time.monotonic()
        async with TaskManager(SlidingWindowStrategy(most, window)) as manager:
            answers = [await task for task in [manager.submit(request, port) for _ in range(60)]]
        seconds = time.monotonic() - start
        server.close()
        await server.wait_closed()
        return answers, seconds

    answers, seconds = asyncio.run(main())
    assert answers == ["200 OK"] * 60
    assert 2 * window <= seconds < 5 * window
