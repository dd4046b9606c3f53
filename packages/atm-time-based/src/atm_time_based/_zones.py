"""Time zones: found by name, and what their local times mean at a change of the clocks."""

from __future__ import annotations

import difflib
import sys
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, List, Optional, Union

from atm_time_based._errors import ScheduleError

if sys.version_info >= (3, 9):
    from zoneinfo import ZoneInfo, available_timezones
else:
    from backports.zoneinfo import ZoneInfo, available_timezones

__all__ = ["FIRST_TIME", "LAST_TIME", "UTC", "Zone", "find_zone", "fixed_instant", "instants", "local", "zone_name"]

Zone = Union[str, tzinfo]

UTC = timezone.utc
#: Earlier and later times cannot be shown in every zone.
FIRST_TIME = datetime(2, 1, 1, tzinfo=UTC).timestamp()
LAST_TIME = datetime(9999, 12, 31, tzinfo=UTC).timestamp()

_EPOCH = datetime(1970, 1, 1)
_MINUTE = timedelta(minutes=1)


def find_zone(zone: Optional[Zone], parameter: str = "timezone") -> Optional[tzinfo]:
    """The time zone of this name (``"Europe/London"``); a ``tzinfo`` or None is returned as it is.

    Raises:
        ScheduleError: There is no such zone; the message suggests the nearest.
    """
    if zone is None:
        return None
    if isinstance(zone, tzinfo):
        # pytz's zones answer for a local time only if they are asked in their own way.
        name: Any = getattr(zone, "zone", None) if hasattr(zone, "localize") else None
        return find_zone(name, parameter) if isinstance(name, str) else zone
    if not isinstance(zone, str):
        raise ScheduleError(parameter, "must be a zone's name or a tzinfo", zone)
    if zone.upper() in ("UTC", "Z", "ETC/UTC"):
        return UTC
    try:
        return ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        # LookupError: no such key. The others: a key that is no path in the database, or is a directory.
        known = sorted(available_timezones())
        near = difflib.get_close_matches(zone, known, n=1, cutoff=0.6)
        hint = f" (did you mean {near[0]!r}?)" if near else "" if known else " (there is none: install tzdata)"
        raise ScheduleError(parameter, f"must be a zone of the IANA database{hint}", zone) from None


def zone_name(zone: tzinfo) -> str:
    """The zone's key, or for other ``tzinfo`` objects what they call themselves."""
    key: Any = getattr(zone, "key", None)
    return key if isinstance(key, str) else str(zone)


def local(wall_time: float, zone: tzinfo) -> datetime:
    """What the clocks of a zone show, without its ``tzinfo``."""
    return datetime.fromtimestamp(wall_time, zone).replace(tzinfo=None, fold=0)


def instants(moment: datetime, zone: tzinfo) -> List[float]:
    """The POSIX times at which a zone's clocks show ``moment``: none in a gap, two in a repeated hour."""
    if zone is UTC:
        return [(moment - _EPOCH).total_seconds()]
    found: List[float] = []
    for fold in (0, 1):
        wall_time = moment.replace(tzinfo=zone, fold=fold).timestamp()
        if wall_time not in found and local(wall_time, zone) == moment:
            found.append(wall_time)
    return found


def fixed_instant(moment: datetime, zone: tzinfo) -> float:
    """The POSIX time of one local time.

    Of two it is the first, or with ``fold=1`` the second; for one that the clocks leave out it is the end
    of the gap.
    """
    fold = moment.fold
    found = instants(moment, zone)
    while not found:
        moment = moment.replace(second=0, microsecond=0) + _MINUTE
        found = instants(moment, zone)
    return found[-1 if fold else 0]
