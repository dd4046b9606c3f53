"""Combinations of strategies that are valid one by one and cannot do together what they say."""

from __future__ import annotations

import inspect
import math
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

from atm_core.config import Profile

__all__ = ["Advice", "advise"]

_WINDOW = ("max_requests", "window_seconds")
_SLOTS = ("max_concurrent",)


class Advice(NamedTuple):
    """A remark on a profile: a ``warning`` if something cannot work, a ``note`` if it depends on the program."""

    kind: str
    where: str
    text: str


class _Rule:
    """A strategy of a profile: its place, its settings with the defaults, and the key that its limit holds for."""

    def __init__(self, label: str, strategy: Any, options: Dict[str, Any]) -> None:
        self.label = label
        self.runs_again = callable(getattr(strategy, "atm_again", None))
        self.key = options.get("key")
        self.set = _Settings({**_defaults(strategy), **options})

    def has(self, *names: str) -> bool:
        """Whether it has these settings, as numbers."""
        values = [self.set.get(name) for name in names]
        return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


class _Settings(Dict[str, Any]):
    """By name; None for what a strategy does not have."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def _defaults(strategy: Any) -> Dict[str, Any]:
    try:
        parameters = inspect.signature(strategy).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {one.name: one.default for one in parameters if one.default is not one.empty}


class _Case(NamedTuple):
    """A profile's strategies, with what else the checks look at."""

    rules: List[_Rule]
    task_seconds: float
    profile: Profile

    def pairs(self, one: Tuple[str, ...], other: Tuple[str, ...]) -> Iterator[Tuple[_Rule, _Rule]]:
        """Two rules with these settings that look at the same tasks: under one key, or the first under none."""
        for a in self.rules:
            for b in self.rules:
                if a is not b and a.has(*one) and b.has(*other) and a.key in (None, b.key):
                    yield a, b

    def comes_first(self, one: _Rule, other: _Rule) -> bool:
        """Of two that are alike, only one is to blame."""
        return self.rules.index(one) < self.rules.index(other)


def advise(profile: Profile, task_seconds: float) -> List[Advice]:
    """Everything that is remarkable about a profile, whose settings are right.

    Args:
        profile: As it was read.
        task_seconds: How short a task can be.
    """
    rules = [
        _Rule(place[len(profile.where) :].strip(), strategy, options) for place, strategy, options in profile.strategies
    ]
    case = _Case(rules, task_seconds, profile)
    warnings = [Advice("warning", profile.where, text) for check in _CHECKS for text in check(case)]
    notes = [Advice("note", profile.where, text) for text in _runs_again(case)]
    return warnings + notes


def _window_and_slots(case: _Case) -> Iterator[str]:
    for slots, window in case.pairs(_SLOTS, _WINDOW):
        most, rate = slots.set.max_concurrent, window.set
        longest = most * rate.window_seconds / rate.max_requests
        if longest < case.task_seconds:
            yield (
                f"{window.label}: {rate.max_requests} starts in {rate.window_seconds:g} s cannot be reached with the "
                f"{most} slots of {slots.label}, unless a task takes less than {longest * 1000:.3g} ms"
            )


def _window_and_delay(case: _Case) -> Iterator[str]:
    for delay, window in case.pairs(("delay_seconds",), _WINDOW):
        gap, rate = delay.set.delay_seconds, window.set
        most = math.floor(rate.window_seconds / gap) + 1 if gap else math.inf
        if most < rate.max_requests:
            yield (
                f"{window.label}: {rate.max_requests} starts in {rate.window_seconds:g} s cannot be reached: "
                f"{delay.label} lets no more than {most} start in that time"
            )


def _window_and_window(case: _Case) -> Iterator[str]:
    for tight, loose in case.pairs(_WINDOW, _WINDOW):
        a, b = tight.set, loose.set
        # Windows of one can lie across the edges of the other's.
        most = a.max_requests * (math.floor(b.window_seconds / a.window_seconds) + 2)
        same = (a.max_requests, a.window_seconds) == (b.max_requests, b.window_seconds)
        if most <= b.max_requests or (same and case.comes_first(tight, loose)):
            yield f"{loose.label} has no effect: {tight.label} is always tighter"


def _slots_and_slots(case: _Case) -> Iterator[str]:
    for tight, loose in case.pairs(_SLOTS, _SLOTS):
        a, b = tight.set.max_concurrent, loose.set.max_concurrent
        if a < b or (a == b and case.comes_first(tight, loose)):
            yield f"{loose.label} has no effect: {tight.label} lets only {a} run"


def _delay_and_slots(case: _Case) -> Iterator[str]:
    for delay, slots in case.pairs(("delay_seconds",), _SLOTS):
        if delay.set.measure_from == "completion":
            yield (f"{slots.label} has no effect: {delay.label}, measured from completion, runs one task at a time")


def _adaptive_and_slots(case: _Case) -> Iterator[str]:
    for slots, adaptive in case.pairs(_SLOTS, ("min_limit", "max_limit")):
        least, most = adaptive.set.min_limit, slots.set.max_concurrent
        if least >= most:
            yield (
                f"{adaptive.label} has no effect: its min_limit {least} is not below the {most} slots of {slots.label}"
            )


def _breaker_and_window(case: _Case) -> Iterator[str]:
    for window, breaker in case.pairs(_WINDOW, ("minimum_calls", "window_size")):
        rate, circuit = window.set, breaker.set
        if circuit.window != "time" or circuit.consecutive_failures is not None:
            continue
        most = rate.max_requests * (math.floor(circuit.window_size / rate.window_seconds) + 2)
        if most < circuit.minimum_calls:
            yield (
                f"{breaker.label} can never open: in its {circuit.window_size:g} s {window.label} lets at most {most} "
                f"start, and it needs {circuit.minimum_calls}"
            )


def _breaker_and_retry(case: _Case) -> Iterator[str]:
    retries = [rule for rule in case.rules if rule.has("max_retry_after_seconds")]
    breakers = [rule for rule in case.rules if rule.has("open_seconds", "minimum_calls")]
    for retry in retries:
        for breaker in breakers:
            open_for, most = breaker.set.open_seconds, retry.set.max_retry_after_seconds
            if breaker.set.when_open != "wait" and open_for > most:
                yield (
                    f"{retry.label} does not retry what {breaker.label} refuses: open_seconds {open_for:g} is more "
                    f"than max_retry_after_seconds {most:g}"
                )


def _batch_and_queue(case: _Case) -> Iterator[str]:
    most = case.profile.options.get("max_pending")
    for rule in case.rules:
        if most is not None and rule.has("max_batch_size") and rule.set.max_batch_size > most:
            size = rule.set.max_batch_size
            yield f"{rule.label}: a batch of {size} is never full, since only {most} tasks may wait (max_pending)"


def _runs_again(case: _Case) -> Iterator[str]:
    again = [rule.label for rule in case.rules if rule.runs_again]
    if again:
        yield (
            f"{' and '.join(again)} may run work again: hand in functions, submit(fetch, url); a bare coroutine, "
            "add_task(fetch(url)), runs only once"
        )


_CHECKS: List[Callable[[_Case], Iterator[str]]] = [
    _window_and_slots,
    _window_and_delay,
    _window_and_window,
    _slots_and_slots,
    _delay_and_slots,
    _adaptive_and_slots,
    _breaker_and_window,
    _breaker_and_retry,
    _batch_and_queue,
]
