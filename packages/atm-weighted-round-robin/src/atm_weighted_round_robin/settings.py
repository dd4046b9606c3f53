"""Checks of names and weights."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from atm_core import Settings

__all__ = ["check_known", "check_new", "check_resources", "check_weight"]

_MOST = 1e6  # the least is its inverse


def check_resources(check: Settings, resources: Any) -> Dict[Any, float]:
    """A mapping of names to weights."""
    if not isinstance(resources, Mapping):
        check.fail("resources", resources, "must be a mapping of names to weights", wrong_type=True)
        return {}
    return {name: check_weight(check, f"resources[{name!r}]", weight) for name, weight in resources.items()}


def check_weight(check: Settings, parameter: str, weight: Any) -> Any:
    """0, or from 1e-6 to 1e6."""
    weight = check.number(parameter, weight, least=0.0, most=_MOST)
    if isinstance(weight, float) and 0 < weight < 1 / _MOST:
        check.fail(parameter, weight, f"must be 0 or at least {1 / _MOST:g}")
    return weight


def check_known(check: Settings, resource: Any, resources: Mapping[Any, Any]) -> None:
    """The name of a resource."""
    if _check_hashable(check, resource) and resource not in resources:
        check.fail("resource", resource, "must be the name of a resource")


def check_new(check: Settings, resource: Any, resources: Mapping[Any, Any]) -> None:
    """A name that no resource has."""
    if _check_hashable(check, resource) and resource in resources:
        check.fail("resource", resource, "must be new: use set_weight")


def _check_hashable(check: Settings, resource: Any) -> bool:
    try:
        hash(resource)
    except TypeError:
        check.fail("resource", resource, "must be hashable", wrong_type=True)
        return False
    return True
