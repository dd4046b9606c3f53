"""How the client talks to the service."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Dict, List

from atm_bulk import Batched, batched

Reading = Dict[str, Any]


class Unavailable(Exception):
    """The service does not work now: worth another try."""


class Refused(Exception):
    """The service does not want this reading, and never will."""


async def store(port: int, readings: List[Reading]) -> Dict[int, Exception]:
    """Store readings with one request.

    Returns:
        The failures of single readings.

    Raises:
        Unavailable: Nothing was stored.
    """
    text = json.dumps(readings).encode()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"POST /readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
            answer = await reader.read()
        finally:
            writer.close()
    except OSError as error:
        raise Unavailable(str(error)) from error
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Unavailable(head.decode().splitlines()[0] if head else "no answer")
    refused = json.loads(body)["refused"]
    return {int(place): Refused(why) for place, why in refused.items()}


def storing_to(port: int) -> Batched[Reading, None]:
    """A function of one reading, whose calls can be gathered into one request."""

    @batched
    async def store_reading(readings: List[Reading]) -> Dict[int, Exception]:
        return await store(port, readings)

    return store_reading
