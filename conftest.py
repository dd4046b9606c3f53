"""What all tests need; and the documentation is run, through Sybil: README.md, docs/*.md and packages/*/README.md.

A python block runs in the namespace of its page, in a folder of the page's own, with ``asyncio.run`` in virtual time.
Its output is what its ``# prints: ...`` comments say, a line each, or the plain block right behind it. A toml block
with strategies is loaded, profile by profile. A block whose first line is ``# name.py``, say, is such a file, too.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import io
import os
import pathlib
import re
import signal
import sys
import tempfile
import types
from typing import Any, Dict, Iterator
from unittest import mock

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from atm_core import TaskManager
from atm_core.config import profiles
from atm_core.testing import run


def pytest_configure() -> None:
    """Ctrl-C is heard, also by processes that tests start: what a shell runs in the background would ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    """Failures at which a file's tests did not look are reported at its end, and not in the middle of the next one's.

    Python 3.11 parses source to show a traceback, and cannot do so in the middle of ``ast.parse``.
    """
    yield
    gc.collect()


def set_up(page: Dict[str, Any]) -> None:
    page.update(__name__="__main__", __folder__=tempfile.TemporaryDirectory(), __before__=os.getcwd())
    sys.path.insert(0, page["__folder__"].name)
    os.chdir(page["__folder__"].name)


def tear_down(page: Dict[str, Any]) -> None:
    os.chdir(page["__before__"])
    sys.path.remove(page["__folder__"].name)
    page["__folder__"].cleanup()


def saved(example: Example, name: str) -> pathlib.Path:
    path = pathlib.Path((re.findall(r"\A# (\S+\.\w+)\n", example.parsed) or [name])[0])
    path.write_text(example.parsed, encoding="utf-8")
    return path


def run_program(example: Example) -> None:
    saved(example, "program.py")
    in_virtual_time = mock.patch("asyncio.run", functools.partial(run, allow_io=True))  # programs may use threads
    calls_it = "asyncio.run(" in example.parsed
    with contextlib.redirect_stdout(io.StringIO()) as output, in_virtual_time if calls_it else contextlib.nullcontext():
        PythonEvaluator()(example)
    behind = re.findall(r"\A\s*```\n(.*?)```", example.document.text[example.region.end :], re.DOTALL)
    expected = re.findall(r"# prints: (.*)", example.parsed) or "".join(behind).splitlines()
    shown = output.getvalue().splitlines()
    assert shown == expected, "what a program prints stands in the page"
    assert expected or not calls_it or "assert " in example.parsed, "a program without output proves nothing"


def load_config(example: Example) -> None:
    if not re.search(r"^strategies = ", example.parsed, re.MULTILINE):
        return
    with contextlib.ExitStack() as stack:
        for name in re.findall(r'"(\w[\w.]*):\w+"', example.parsed):
            try:
                importlib.import_module(name)
            except ImportError:  # a module of the reader's: any name in it is an exception
                stand_in: Any = types.ModuleType(name)
                stand_in.__getattr__ = lambda name: type(name, (Exception,), {})
                sys.modules[name] = stand_in
                stack.callback(sys.modules.pop, name)
        path = saved(example, "atm.toml")
        for profile in profiles(path):
            TaskManager.from_config(path, profile)


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", run_program), CodeBlockParser("toml", load_config)],
    patterns=["README.md", "docs/*.md"],
    setup=set_up,
    teardown=tear_down,
).pytest()
