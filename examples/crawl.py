"""Crawl a local HTTP server: at most two requests at once per host, results streamed as they come."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections import Counter
from typing import Any, Tuple

from atm_core import ConcurrentLimitStrategy, Task, TaskManager, current_task

at_once: "Counter[str]" = Counter()
most: "Counter[str]" = Counter()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A slow page, which counts how many of its host are asked for at once."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    host = next(line[6:].strip() for line in lines if line.startswith("Host: "))
    at_once[host] += 1
    most[host] = max(most[host], at_once[host])
    await asyncio.sleep(0.02)
    at_once[host] -= 1
    body = f"{host} {lines[0].split()[1]}".encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    writer.close()


def host_of(task: Task[Any]) -> str:
    """The host of a task's URL: what the limit looks at."""
    assert task.args is not None
    return str(urllib.parse.urlsplit(task.args[0][0]).hostname)


async def get(job: Tuple[str, int]) -> str:
    url, port = job
    parts = urllib.parse.urlsplit(url)
    assert current_task() is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.hostname}\r\n\r\n".encode())
    page = await reader.read()
    writer.close()
    return page.decode().rpartition("\r\n")[2]


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1] if server.sockets else 0
    urls = [f"http://{host}.test/page/{n}" for n in range(10) for host in ("a", "b", "c")]
    pages = 0
    async with TaskManager(ConcurrentLimitStrategy(2, key=host_of)) as manager:
        async for page in manager.map(get, ((url, port) for url in urls), ordered=False):
            pages += 1
            if pages % 10 == 0:
                print(pages, "pages, the last:", page)
    server.close()
    await server.wait_closed()
    print("most at once by host:", dict(sorted(most.items())))
    assert max(most.values()) <= 2


if __name__ == "__main__":
    asyncio.run(main())
