"""A little HTTP server in a process of its own: ``python http_server.py NAME SECONDS PORT``; prints its port."""

from __future__ import annotations

import asyncio
import sys


async def serve(name: str, seconds: float, port: int) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(seconds)
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + name.encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client has gone
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    assert server.sockets is not None
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(60)  # whatever becomes of the test, it does not stay


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
