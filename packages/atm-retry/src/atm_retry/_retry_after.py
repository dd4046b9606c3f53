"""When a server says for how long to keep away."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_tz
from typing import Any, Optional

__all__ = ["parse_retry_after", "retry_after_of"]

_SECONDS = re.compile(r"\s*[0-9]+\s*", re.ASCII)


def parse_retry_after(header: Optional[str], now: Optional[float] = None) -> Optional[float]:
    """The seconds that a ``Retry-After`` header asks for, in both of its forms (RFC 9110, 10.2.3).

    Args:
        header: ``"120"``, or a date in any of HTTP's three formats (5.6.7), the obsolete two included.
        now: POSIX time in seconds that a date is compared with; by default that of the system's clock.

    Returns:
        0 or more, 0 for a date in the past; None if there is no header, or it has neither form.
    """
    if header is None:
        return None
    if _SECONDS.fullmatch(header):
        return float(header)
    try:
        date = parsedate_tz(header)
        if date is None:
            return None
        year, month, day, hour, minute, second, *_, zone = date
        # A date without a zone, as asctime writes it, is in UTC. A leap second is the next one.
        at = datetime(year, month, day, hour, minute, tzinfo=timezone.utc) + timedelta(seconds=second - (zone or 0))
    except (ValueError, OverflowError, IndexError, TypeError):  # the parser trips over some that are no dates
        return None
    return max(0.0, at.timestamp() - (time.time() if now is None else now))


def retry_after_of(error: BaseException) -> Optional[float]:
    """The seconds that an exception of an HTTP client asks for; for ``delay_from``.

    Found are a number in ``error.retry_after``, and a ``Retry-After`` header in ``error.headers`` (urllib,
    aiohttp) or ``error.response.headers`` (requests, httpx).

    Returns:
        Seconds, or None if the exception says nothing about it.
    """
    seconds = getattr(error, "retry_after", None)
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
        return float(seconds)
    for holder in (error, getattr(error, "response", None)):
        headers: Any = getattr(holder, "headers", None)
        if headers is not None and callable(getattr(headers, "get", None)):
            header = headers.get("Retry-After")
            if header is None:
                header = headers.get("retry-after")  # a plain dict minds the case
            if isinstance(header, str):
                return parse_retry_after(header)
    return None
