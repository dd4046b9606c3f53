"""Tests: it is found, imported and set up as a strategy should be."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from typing import Any, List

from atm_core.discovery import find_strategy, installed_strategies
from atm_core.testing.conformance.plays import check
from atm_core.testing.conformance.subject import KINDS, Subject, hooks_of

__all__ = ["InstalledTests"]

# Runs in an interpreter of its own, where nothing is imported yet.
_IMPORT = """
import sys
name, module = sys.argv[1:]
import atm_core
from atm_core.discovery import find_strategy, installed_strategies
import asyncio, builtins, socket, subprocess, threading, time
early = module in sys.modules
installed_strategies()
if module in sys.modules and not early:
    sys.exit("listing the installed strategies imports " + module)

def forbid(owner, attribute):
    def forbidden(*args, **kwargs):
        raise SystemExit("importing {} calls {}.{}".format(module, getattr(owner, "__name__", owner), attribute))
    setattr(owner, attribute, forbidden)

sys.dont_write_bytecode = True
opened = builtins.open
def open_to_read(file, mode="r", *args, **kwargs):
    if set(mode) & set("wax+"):
        raise SystemExit("importing {} opens {} to write".format(module, file))
    return opened(file, mode, *args, **kwargs)
builtins.open = open_to_read
for owner, attribute in [
    (threading.Thread, "start"), (time, "sleep"), (subprocess.Popen, "__init__"),
    (socket.socket, "connect"), (socket.socket, "bind"), (socket, "getaddrinfo"),
    (asyncio, "new_event_loop"), (asyncio, "get_event_loop"), (asyncio, "run"),
]:
    forbid(owner, attribute)
find_strategy(name)
"""


class InstalledTests(Subject):
    """It is found, imported and set up as a strategy should be."""

    def test_it_is_found_by_its_entry_point(self) -> None:
        """Its name in the group ``atm.strategies`` leads to the class that the factory makes."""
        found = [one for one in installed_strategies() if one.name == self.name]
        check(
            found,
            f"no entry point {self.name!r} in the group atm.strategies: is the package installed (pip install -e .)?",
        )
        owners = ", ".join(sorted(one.distribution for one in found))
        check(len(found) == 1, f"several distributions offer {self.name!r}: {owners}")
        made = type(self.factory(**self.valid[0]))
        loaded = find_strategy(self.name)
        check(loaded is made, f"{self.name!r} stands for {loaded!r}, but the factory makes {made!r}")

    def test_importing_it_does_no_work(self) -> None:
        """It is not imported before it is named, and then starts nothing, waits for nothing, and prints nothing."""
        module = type(self.factory(**self.valid[0])).__module__
        place = [one.value for one in installed_strategies() if one.name == self.name] or [f"{module}:"]
        command = [sys.executable, "-W", "ignore", "-c", _IMPORT, self.name, place[0].partition(":")[0]]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check(ran.returncode == 0, f"importing it fails or does work: {ran.stdout.strip()[-2000:]}")
        check(not ran.stdout, f"importing it prints {ran.stdout!r}")

    def test_its_settings_are_described_by_its_signature(self) -> None:
        """Each is a keyword with a name and an annotation, and is explained in the docstring."""
        kind = type(self.factory(**self.valid[0]))
        words = (inspect.getdoc(kind) or "") + (inspect.getdoc(kind.__init__) or "")
        check(inspect.getdoc(kind), f"{kind.__name__} has no docstring")
        parameters = inspect.signature(kind).parameters
        for name, parameter in parameters.items():
            check(
                parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY),
                f"the setting {name} of {kind.__name__} cannot be given as a keyword: configs could not set it",
            )
            check(
                parameter.annotation is not parameter.empty,
                f"the setting {name} of {kind.__name__} has no annotation",
            )
            check(name in words, f"the setting {name} of {kind.__name__} is not explained in its docstring")
        for settings in [*self.valid, *self.invalid]:
            unknown = [name for name in settings if name not in parameters]
            check(not unknown, f"{unknown} in valid or invalid are no settings of {kind.__name__}")

    def test_it_is_made_outside_of_any_loop(self, settings: Any) -> None:
        """Managers are set up before the loop runs: the constructor asks for none. Each call makes a new object."""
        check(self.factory(**settings) is not self.factory(**settings), "the factory gave the same object twice")

    def test_each_invalid_setting_is_refused_by_name_and_value(self) -> None:
        """``SettingError``, or another ``ValueError`` or ``TypeError``, that names the parameter and the value."""
        parameters = inspect.signature(type(self.factory(**self.valid[0]))).parameters
        check(self.invalid or not parameters, "say `invalid = [...]`: settings that the strategy must refuse")
        for wrong in self.invalid:
            try:
                self.factory(**{**self.valid[0], **wrong})
            except (ValueError, TypeError) as error:
                message = str(error)
                named = [name for name in wrong if name in message and _shows(message, wrong[name])]
                check(named, f"for {wrong!r}, the error names no parameter together with its value: {message}")
            else:
                raise AssertionError(f"{wrong!r} is accepted")

    def test_its_kind_agrees_with_its_hooks(self) -> None:
        """A gate has ``atm_ready_at``; ``order``, ``holds`` (also by four methods) and ``again`` have their hooks."""
        unknown = [one for one in self.kind if one not in KINDS]
        check(not unknown, f"kind has {unknown}, which are none of {', '.join(KINDS)}")
        has = set()
        for settings in self.valid:
            calls = hooks_of(self.factory(**settings))
            if calls is None:
                has.add("holds")
                continue
            hooks = (
                ("gate", calls.ready_at),
                ("order", calls.order),
                ("holds", calls.hold),
                ("again", calls.again),
            )
            has.update(kind for kind, functions in hooks if functions)
        said = set(self.kind) - {"rejects"}
        check(said == has, f"kind says {sorted(said)}, but its hooks make it {sorted(has)}")


def _shows(message: str, value: Any) -> bool:
    """Whether the message shows the value, or a part of it that is wrong."""
    parts: List[Any] = [value]
    if isinstance(value, dict):
        parts += [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set)):
        parts += [*value]
    return any(repr(part)[:70] in message for part in parts)
