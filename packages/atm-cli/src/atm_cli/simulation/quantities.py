"""``poisson:50/s``, ``lognormal:0.2s``, ``60s-90s``, ``host=zipf:100``: what the command line says about a load."""

from __future__ import annotations

import bisect
import itertools
import math
import re
from random import Random
from typing import Any, Callable, Dict, Iterator, List, Tuple

from atm_cli.failure import Failure
from atm_core.settings import nearest

__all__ = ["arrivals", "durations", "field", "outage", "seconds"]

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"^(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[a-z]*)$")
_RATE = re.compile(r"^(?P<number>\d+(?:\.\d*)?|\.\d+)\s*/\s*(?P<unit>[a-z]+)$")


def seconds(text: str) -> float:
    """``0.2s``, ``150ms``, ``15min``; without a unit, seconds.

    Raises:
        Failure: It is none of these.
    """
    match = _TIME.match(text.strip())
    unit = match.group("unit") or "s" if match else ""
    if match is None or unit not in _UNITS:
        raise Failure(f"{text!r} is no time: write a number and us, ms, s, min, h or d, as in 150ms")
    return float(match.group("number")) * _UNITS[unit]


def per_second(text: str) -> float:
    """``50/s``, ``3000/min``.

    Raises:
        Failure: It is no rate above 0.
    """
    match = _RATE.match(text.strip())
    if match is None or match.group("unit") not in _UNITS or not float(match.group("number")):
        raise Failure(f"{text!r} is no rate: write a number above 0, a slash and a unit, as in 50/s or 3000/min")
    return float(match.group("number")) / _UNITS[match.group("unit")]


def arrivals(text: str, random: Random) -> Iterator[float]:
    """When tasks arrive, in seconds from the start; endless.

    ``poisson:50/s`` at random with this mean rate; ``constant:50/s`` evenly; ``burst:100/10s`` so many at once, again
    and again; ``at-once`` all in the first instant.

    Raises:
        Failure: It is none of these.
    """
    kind, _, argument = text.partition(":")
    if kind == "poisson":
        return _poisson(per_second(argument), random)
    if kind == "constant":
        rate = per_second(argument)
        return (number / rate for number in itertools.count())
    if kind == "burst":
        size, slash, every = argument.partition("/")
        if not slash or not size.strip().isdigit() or not int(size) or not seconds(every):
            raise Failure(f"--arrival {text}: write burst:TASKS/TIME, as in burst:100/10s")
        gap, each = seconds(every), int(size)
        return (number // each * gap for number in itertools.count())
    if kind == "at-once" and not argument:
        return itertools.repeat(0.0)
    raise _unknown("--arrival", text, kind, ("poisson:50/s", "constant:50/s", "burst:100/10s", "at-once"))


def durations(text: str, random: Random) -> Callable[[], float]:
    """How long work takes, in seconds.

    ``lognormal:0.2s`` with this median (``lognormal:0.2s:0.5``: and this sigma of the logarithm),
    ``exponential:0.2s`` with this mean, ``uniform:0.1s-0.3s``, ``constant:0.2s`` or just ``0.2s``.

    Raises:
        Failure: It is none of these.
    """
    kind, _, argument = text.partition(":")
    if kind == "lognormal":
        median, _, sigma = argument.partition(":")
        return _lognormal(seconds(median), _positive(text, sigma or "0.5"), random)
    if kind == "exponential":
        mean = seconds(argument)
        return lambda: random.expovariate(1.0 / mean) if mean else 0.0
    if kind == "uniform":
        low, high = span(argument)
        return lambda: random.uniform(low, high)
    if kind == "constant" or (not argument and _TIME.match(kind)):
        fixed = seconds(argument or kind)
        return lambda: fixed
    raise _unknown(
        "--duration", text, kind, ("lognormal:0.2s", "exponential:0.2s", "uniform:0.1s-0.3s", "constant:0.2s")
    )


def span(text: str) -> Tuple[float, float]:
    """``60s-90s``: from, to.

    Raises:
        Failure: It is no span, or ends before it begins.
    """
    first, dash, last = text.partition("-")
    if not dash or seconds(last) < seconds(first):
        raise Failure(f"{text!r} is no span of time: write FROM-TO, as in 60s-90s")
    return seconds(first), seconds(last)


outage = span


def field(text: str, random: Random) -> Tuple[str, Callable[[], Any]]:
    """``host=zipf:100``: a metadata field, and what makes its values.

    ``uniform:100``: one of a hundred, all alike; ``zipf:100``: the first twice as often as the second, three times as
    often as the third; ``a,b,c`` or ``a*3,b``: one of these, with weights.

    Raises:
        Failure: It is none of these.
    """
    name, equals, values = text.partition("=")
    if not equals or not name.strip() or not values.strip():
        raise Failure(f"--field {text!r}: write NAME=VALUES, as in host=zipf:100 or tenant=big*3,small")
    name = name.strip()
    kind, colon, argument = values.partition(":")
    if colon and kind in ("uniform", "zipf"):
        if not argument.isdigit() or not int(argument):
            raise Failure(f"--field {text!r}: {kind} needs the number of values, as in {kind}:100")
        shown = [f"{name}{number}" for number in range(1, int(argument) + 1)]
        weights = [1.0 / number if kind == "zipf" else 1.0 for number in range(1, int(argument) + 1)]
        return name, _choice(shown, weights, random)
    weighted: Dict[str, float] = {}
    for part in values.split(","):
        value, star, weight = part.partition("*")
        weighted[value.strip()] = _positive(f"--field {text}", weight) if star else 1.0
    return name, _choice(list(weighted), list(weighted.values()), random)


def _poisson(rate: float, random: Random) -> Iterator[float]:
    now = 0.0
    while True:
        now += random.expovariate(rate)
        yield now


def _lognormal(median: float, sigma: float, random: Random) -> Callable[[], float]:
    if not median:
        return lambda: 0.0
    mu = math.log(median)
    return lambda: random.lognormvariate(mu, sigma)


def _choice(values: List[str], weights: List[float], random: Random) -> Callable[[], str]:
    bounds = list(itertools.accumulate(weights))
    return lambda: values[min(bisect.bisect(bounds, random.random() * bounds[-1]), len(values) - 1)]


def _positive(what: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise Failure(f"{what}: {text!r} must be a number above 0")
    return number


def _unknown(option: str, text: str, kind: str, forms: Tuple[str, ...]) -> Failure:
    near = nearest(kind, [form.partition(":")[0] for form in forms])
    meant = f"did you mean {near[0]}? " if near else ""
    return Failure(f"{option} {text}: {meant}write one of {', '.join(forms)}")
