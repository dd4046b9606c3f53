"""Checks for the settings of strategies: one line a parameter, every mistake of a call told at once.

>>> from atm_core.settings import Settings
>>> with Settings("ConcurrentLimitStrategy") as check:
...     check.count("max_concurrent", -1)
Traceback (most recent call last):
    ...
atm_core.errors.SettingError: max_concurrent must be greater than 0, got -1 (ConcurrentLimitStrategy)
"""

from __future__ import annotations

import difflib
import importlib
import math
import numbers
from typing import Any, Callable, List, Optional, Sequence, Type, TypeVar

from atm_core.errors import SettingError, SettingTypeError

__all__ = ["Settings", "import_dotted", "nearest"]

T = TypeVar("T")


class Settings:
    """Collects the mistakes in one call's parameters and raises them together at the end of its ``with`` block.

    Each check returns the value that it was given (a float for numbers), so that a constructor reads
    ``self.delay_seconds = check.duration("delay_seconds", delay_seconds)``. A value that fails is returned unchanged.
    The base class's constructor is called last in the block, so that its mistakes are told with the others.

    Args:
        owner: Who is being set up, usually the class's name; it stands at the end of each message.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._found: List[SettingError] = []

    def __enter__(self) -> Settings:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Any) -> None:
        if isinstance(error, SettingError):  # of the base class, whose constructor is called in the block
            self._found.extend(error.problems)
        elif error is not None:
            return
        if not self._found:
            return
        first, others = self._found[0], self._found[1:]
        raise type(first)(first.message, first.parameter, first.value, others)

    def fail(self, parameter: str, value: Any, expected: str, *, wrong_type: bool = False) -> None:
        """Note a mistake: ``<parameter> <expected>, got <value>``."""
        kind = SettingTypeError if wrong_type else SettingError
        owner = f" ({self._owner})" if self._owner else ""
        self._found.append(kind(f"{parameter} {expected}, got {_shown(value)}{owner}", parameter, value))

    def count(self, parameter: str, value: Any, *, least: int = 1, optional: bool = False) -> Any:
        """An integer of at least ``least``; with ``optional`` also None. Booleans are not integers."""
        if optional and value is None:
            return value
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            self.fail(parameter, value, f"must be a whole number greater than {least - 1}", wrong_type=True)
        elif value < least:
            self.fail(
                parameter, value, f"must be greater than {least - 1}" if least <= 1 else f"must be at least {least}"
            )
        return value

    def number(
        self,
        parameter: str,
        value: Any,
        *,
        above: float = -math.inf,
        least: float = -math.inf,
        most: float = math.inf,
        infinite: bool = False,
        optional: bool = False,
    ) -> Any:
        """A finite number in ``(above, inf)``, ``[least, most]``; infinity only with ``infinite``. Returns a float."""
        if optional and value is None:
            return value
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            self.fail(parameter, value, f"must be a number{_range(above, least, most)}", wrong_type=True)
            return value
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond all floats
            number = math.nan
        finite = math.isfinite(number) or (infinite and not math.isnan(number))
        if not finite or (number <= above and above != -math.inf) or not least <= number <= most:
            self.fail(parameter, value, f"must be a {'' if infinite else 'finite '}number{_range(above, least, most)}")
            return value
        return number

    def duration(self, parameter: str, value: Any, *, zero: bool = True, optional: bool = False) -> Any:
        """Seconds: a finite number of at least 0, or above 0 without ``zero``."""
        if zero:
            return self.number(parameter, value, least=0.0, optional=optional)
        return self.number(parameter, value, above=0.0, optional=optional)

    def choice(self, parameter: str, value: T, allowed: Sequence[Any]) -> T:
        """One of ``allowed``; the message suggests the nearest."""
        if value not in allowed:
            hint = nearest(value, [str(one) for one in allowed])
            meant = f" (did you mean {hint[0]!r}?)" if hint else ""
            expected = "must be one of " + ", ".join(repr(one) for one in allowed) + meant
            self.fail(parameter, value, expected, wrong_type=not isinstance(value, str))
        return value

    def flag(self, parameter: str, value: Any) -> Any:
        """True or False."""
        if not isinstance(value, bool):
            self.fail(parameter, value, "must be True or False", wrong_type=True)
        return value

    def callable(self, parameter: str, value: Any, *, optional: bool = True, also: Sequence[Any] = ()) -> Any:
        """A callable, or its dotted name (``"package.module:name"``), or one of ``also``; returns the callable."""
        if (value is None and optional) or (isinstance(value, str) and value in also):
            return value
        if isinstance(value, str):
            try:
                value = import_dotted(value)
            except (ImportError, AttributeError, ValueError) as error:
                hint = nearest(value, [str(one) for one in also])
                meant = f"did you mean {hint[0]!r}? " if hint else ""
                choices = "".join(f"{one!r}, " for one in also)
                self.fail(parameter, value, f"must be {choices}a callable or its dotted name ({meant}{error})")
                return value
        if not callable(value):
            choices = "".join(f"{one!r}, " for one in also)
            self.fail(
                parameter, value, f"must be {choices}a callable or its dotted name 'module:name'", wrong_type=True
            )
        return value

    def exceptions(self, parameter: str, value: Any, *, predicate: bool = False) -> Any:
        """Exception classes (one, a sequence, or dotted or built-in names), or with ``predicate`` a function of one.

        Returns:
            A tuple of classes, fit for ``isinstance``, or the predicate.
        """
        if isinstance(value, (type, str)):
            value = (value,)
        if callable(value):
            if not predicate:
                self.fail(parameter, value, "must be exception classes", wrong_type=True)
            return value
        if not isinstance(value, (tuple, list)):
            also = " or a function of an exception" if predicate else ""
            self.fail(parameter, value, f"must be exception classes or their names{also}", wrong_type=True)
            return value
        classes: List[Any] = []
        for one in value:
            if isinstance(one, str):
                try:
                    one = import_dotted(one if ":" in one or "." in one else f"builtins:{one}")
                except (ImportError, AttributeError, ValueError) as error:
                    self.fail(parameter, one, f"must name exception classes ({error})")
                    continue
            if predicate and len(value) == 1 and callable(one) and not isinstance(one, type):
                return one
            if not (isinstance(one, type) and issubclass(one, BaseException)):
                self.fail(parameter, one, "must hold exception classes only", wrong_type=True)
                continue
            classes.append(one)
        return tuple(classes)

    def failure(self, parameter: str, value: Any) -> Callable[[BaseException], bool]:
        """Which exceptions count: classes, their names, or a function of one, as :meth:`exceptions` takes them.

        Returns:
            A function that says whether an exception counts.
        """
        found = self.exceptions(parameter, value, predicate=True)
        if callable(found):
            return lambda error: bool(found(error))
        return lambda error: isinstance(error, found)

    def field(self, parameter: str, value: Any) -> Optional[Callable[[Any], Any]]:
        """What a strategy looks at in a task: a metadata field's name, a function of the task, or None.

        A name with a colon (``"my_app.rules:host_of"``) is a dotted name of such a function.

        Returns:
            A function of the task, or None. Without the field, a task's answer is None.
        """
        if value is None:
            return None
        if isinstance(value, str) and value and ":" not in value:
            name = value

            def field_of(task: Any) -> Any:
                metadata = task._metadata  # the property would make a dict for each task without any
                return None if metadata is None else metadata.get(name)

            return field_of
        if isinstance(value, str) and value:
            try:
                value = import_dotted(value)
            except (ImportError, AttributeError, ValueError) as error:
                self.fail(parameter, value, f"must be a metadata field or the dotted name of a function ({error})")
                return None
        if callable(value):
            return value  # type: ignore[no-any-return]
        self.fail(parameter, value, "must be a metadata field's name or a function of the task", wrong_type=True)
        return None


def import_dotted(name: str) -> Any:
    """The object behind ``"package.module:attribute"`` or ``"package.module.attribute"``.

    Raises:
        ImportError, AttributeError: It is not there.
        ValueError: The name has neither form.
    """
    module, colon, path = name.partition(":")
    if not colon:
        module, _, path = name.rpartition(".")
    if not module or not path:
        raise ValueError(f"{name!r} is not of the form 'package.module:name'")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def nearest(name: Any, names: Sequence[str]) -> List[str]:
    """Up to three of ``names`` that look like ``name``, the best first."""
    return difflib.get_close_matches(str(name).lower().replace("-", "_"), list(names), n=3, cutoff=0.55)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _range(above: float, least: float, most: float) -> str:
    parts = []
    if above != -math.inf:
        parts.append(f"greater than {above:g}")
    if least != -math.inf:
        parts.append(f"of at least {least:g}")
    if most != math.inf:
        parts.append(f"at most {most:g}")
    return " " + " and ".join(parts) if parts else ""
