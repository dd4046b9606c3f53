"""``crawl.py:fetch`` or ``my_app.jobs:fetch`` -> the function."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import sys
import types
from typing import Any, Awaitable, Callable, NamedTuple

from atm_cli.failure import Failure, describe, place_of
from atm_core import in_thread
from atm_core.settings import nearest

__all__ = ["Target", "find_target", "let_import_from"]


class Target(NamedTuple):
    """What is to run on each input: ``call`` gives an awaitable; ``threaded`` if the function itself is a plain one."""

    name: str
    call: Callable[[Any], Awaitable[Any]]
    threaded: bool


def let_import_from(folder: str) -> None:
    """Look for modules in ``folder`` first, as ``python folder/script.py`` does."""
    folder = os.path.abspath(folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def find_target(name: str) -> Target:
    """The function that ``name`` stands for.

    Raises:
        Failure: No such file, module or function; it cannot be imported; it is nothing that can be called.
    """
    where, colon, path = name.rpartition(":")
    if not colon or not where or not path:
        raise Failure(f"{name!r} is no target: write FILE.py:FUNCTION or package.module:FUNCTION")
    module = _module(where)
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            near = nearest(
                part, [one for one in vars(found) if not one.startswith("_")] if hasattr(found, "__dict__") else []
            )
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise Failure(f"{where} has no function {part!r}{meant}")
        found = getattr(found, part)
    if not callable(found) or inspect.isclass(found):
        raise Failure(f"{name} is no function, it is {_kind(found)}")
    if inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
        raise Failure(f"{name} is a generator function: let it return one result for each input")
    if _is_async(found):
        return Target(name, found, False)
    return Target(name, in_thread(found), True)


def _module(where: str) -> types.ModuleType:
    is_file = where.endswith(".py") or os.sep in where
    if is_file and os.path.isdir(where):
        raise Failure(f"{where} is a directory: name a file in it")
    if is_file and not os.path.exists(where):
        raise Failure(f"{where}: no such file")
    let_import_from(os.path.dirname(where) if is_file else "")
    try:
        return _load(where) if is_file else importlib.import_module(where)
    except ModuleNotFoundError as error:
        if not is_file and error.name is not None and (where == error.name or where.startswith(error.name + ".")):
            raise Failure(f"there is no module {where!r} (looked in the current directory, too)") from error
        raise Failure(_cannot_import(where, error)) from error
    except (Exception, SystemExit) as error:
        raise Failure(_cannot_import(where, error)) from error


def _load(path: str) -> types.ModuleType:
    """Import a file under its own name, so that ``crawl:Busy`` in a strategy's settings means the same module."""
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        name = f"_atm_target_{name}"  # a file called json.py must not become everybody's json
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Failure(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _cannot_import(where: str, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{where} cannot be imported: {type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    place = place_of(error)
    return f"{where} cannot be imported: {describe(error)}" + (f" ({place})" if place else "")


def _is_async(fn: Any) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__):
        return True
    # What wraps an async function (a decorator, a batched function) hands on what that gives.
    wrapped = getattr(fn, "__wrapped__", None)
    return wrapped is not None and inspect.iscoroutinefunction(inspect.unwrap(wrapped))


def _kind(found: Any) -> str:
    if inspect.isclass(found):
        return "a class"
    if inspect.ismodule(found):
        return "a module"
    name = type(found).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
