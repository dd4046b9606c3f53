"""A service that stores readings, and is as real ones are: small, sometimes wrong, for a while down.

``POST /readings`` takes a JSON list of readings. It answers 200 with the places of those that it refused,
``{"refused": {"2": "no unit"}}``, or 503 and stores nothing.
"""

from __future__ import annotations

import asyncio
import collections
import json
import random
from typing import Any, Dict, List, Tuple

SLOTS = 8  # requests at once; more are turned away
OUTAGE = (0.4, 0.9)  # seconds after the first request
ERRORS = 0.05  # of the other requests


class Service:
    """The service, and a record of its load."""

    def __init__(self) -> None:
        self.stored: List[int] = []
        self.answers: Dict[int, int] = collections.Counter()
        self.load: Dict[int, int] = collections.Counter()  # requests in each tenth of a second
        self.port = 0
        self._busy = 0
        self._first = 0.0
        self._random = random.Random(2024)

    async def start(self) -> Any:
        """Listen on a free port of this machine."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.partition("content-length:")[2].split()[0])
            status, body = await self._answer(json.loads(await reader.readexactly(size)))
            self.answers[status] += 1
            text = json.dumps(body).encode()
            writer.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
            await writer.drain()
        finally:
            writer.close()

    async def _answer(self, readings: List[Dict[str, Any]]) -> Tuple[int, Any]:
        now = asyncio.get_running_loop().time()
        self._first = self._first or now
        since = now - self._first
        self.load[int(since * 10)] += 1
        down = OUTAGE[0] <= since < OUTAGE[1]
        if down or self._busy >= SLOTS or self._random.random() < ERRORS:
            return 503, {}
        self._busy += 1
        try:
            await asyncio.sleep(0.01)
        finally:
            self._busy -= 1
        refused = {place: "no unit" for place, reading in enumerate(readings) if not reading["unit"]}
        self.stored.extend(one["id"] for place, one in enumerate(readings) if place not in refused)
        return 200, {"refused": refused}
